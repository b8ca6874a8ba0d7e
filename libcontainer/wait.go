package libcontainer

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Wait waits for the end of the container's init and reaps it. Init is a child of the process that has created or
// restored the container; in any other Wait is an error. It is ErrNotRunning where init has been reaped already, and
// that of ctx if ctx ends before init.
func (c *Container) Wait(ctx context.Context) (unix.WaitStatus, error) {
	pidfd, err := c.state.Init.openIf(c.state.Init.there)
	if err != nil {
		return 0, err
	}
	defer unix.Close(pidfd)
	const look = unix.WEXITED | unix.WNOHANG | unix.WNOWAIT | unix.WALL
	if err := unix.Waitid(unix.P_PIDFD, pidfd, nil, look, nil); err != nil {
		return 0, c.cannotWait(err)
	}
	if err := awaitInput(ctx, pidfd); err != nil {
		return 0, err
	}
	var status unix.WaitStatus
	for err = unix.EINTR; err == unix.EINTR; {
		_, err = unix.Wait4(c.state.Init.Pid, &status, unix.WALL, nil)
	}
	if err != nil {
		return 0, c.cannotWait(err)
	}
	return status, nil
}

func (c *Container) cannotWait(err error) error {
	switch {
	case !c.state.Init.there(): // another Wait was faster
		return ErrNotRunning
	case errors.Is(err, unix.ECHILD):
		return fmt.Errorf("wait for the init of %s: process %d is no child of this process", c.state.ID, c.state.Init.Pid)
	}
	return fmt.Errorf("wait for the init of %s: %w", c.state.ID, err)
}
