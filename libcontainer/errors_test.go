package libcontainer

import "testing"

// CLI-07, OPK-02, OPS-02: callers decide by these words.
func TestSentencesThatManagersMatch(t *testing.T) {
	for want, err := range map[string]error{
		"container with given ID already exists":                              ErrExist,
		"container does not exist":                                            ErrNotExist,
		"container not running":                                               ErrNotRunning,
		"container not paused":                                                ErrNotPaused,
		"invalid container ID format":                                         ErrInvalidID,
		"cannot start an already running container":                           ErrStartRunning,
		"cannot start a container that has stopped":                           ErrStartStopped,
		"cannot start a container in the paused state":                        ErrStartPaused,
		"cannot delete container web that is not stopped: running":            notStopped("web", Running),
		"cannot delete container web that is not stopped: paused":             notStopped("web", Paused),
		"process: required to start a container, and not set":                 ErrNoProcess,
		"cannot start a container that is being created":                      ErrStartCreating,
		"cannot exec in a stopped container":                                  ErrExecStopped,
		"cannot exec in a container that is being created":                    ErrExecCreating,
		"cannot exec in a paused container (use --ignore-paused to override)": ErrExecPaused,
	} {
		if err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	}
}
