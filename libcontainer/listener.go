package libcontainer

import (
	"fmt"
	"os"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/runtime-spec/specs-go"

	"skep/libcontainer/internal/socket"
	"skep/nsenter/plan"
)

// finishListening is the end of finish where the seccomp filter has a listener: its agent gets it while init waits.
func (c *creation) finishListening(release *plan.Phase) error {
	listener, err := c.child.FinishListening(release)
	if err != nil {
		return err
	}
	defer listener.Close()
	return sendListener(listener, c.spec.Linux.Seccomp, c.state.Init.Pid, specs.State{
		Version: specs.Version, ID: c.state.ID, Status: specs.StateCreating, Pid: c.state.Init.Pid,
		Bundle: c.state.Bundle, Annotations: c.state.Annotations,
	})
}

// sendListener gives the listener of a process to the container's seccomp agent, over a connection of its own
// (config-linux.md#the-container-process-state). The pid is that of the process, as this one sees it.
func sendListener(listener *os.File, s *specs.LinuxSeccomp, pid int, state specs.State) error {
	payload, err := json.Marshal(specs.ContainerProcessState{
		Version:  specs.Version,
		Fds:      []string{specs.SeccompFdName},
		Pid:      pid,
		Metadata: s.ListenerMetadata,
		State:    state,
	})
	if err != nil {
		return fmt.Errorf("encode the state for the seccomp agent: %w", err)
	}
	if err := socket.Send(s.ListenerPath, payload, listener); err != nil {
		return fmt.Errorf("linux.seccomp.listenerPath %s: %w", s.ListenerPath, err)
	}
	return nil
}
