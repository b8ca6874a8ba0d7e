package libcontainer

import (
	"errors"
	"fmt"
)

// The sentences that managers match. containerd, Podman and Docker decide by these words what a failure means;
// errors_test.go pins them.
var (
	ErrExist         = errors.New("container with given ID already exists")
	ErrNotExist      = errors.New("container does not exist")
	ErrNotRunning    = errors.New("container not running")
	ErrNotPaused     = errors.New("container not paused")
	ErrInvalidID     = errors.New("invalid container ID format")
	ErrStartRunning  = errors.New("cannot start an already running container")
	ErrStartStopped  = errors.New("cannot start a container that has stopped")
	ErrStartPaused   = errors.New("cannot start a container in the paused state")
	ErrStartCreating = errors.New("cannot start a container that is being created")
	ErrExecStopped   = errors.New("cannot exec in a stopped container")
	ErrExecPaused    = errors.New("cannot exec in a paused container (use --ignore-paused to override)")
	ErrExecCreating  = errors.New("cannot exec in a container that is being created")
	ErrNoProcess     = errors.New("process: required to start a container, and not set")
)

// errNoCgroups is the refusal of what takes cgroups, which an unprivileged user may have had to do without at create.
var errNoCgroups = errors.New("the container has no cgroups")

// notStopped is the refusal of delete.
func notStopped(id string, s Status) error {
	return fmt.Errorf("cannot delete container %s that is not stopped: %s", id, s)
}
