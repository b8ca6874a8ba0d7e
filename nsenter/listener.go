package nsenter

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// FinishListening is Finish for a phase that loads a seccomp filter with a listener, which it returns.
func (c *Child) FinishListening(p *plan.Phase) (*os.File, error) {
	defer c.Close()
	queued, err := c.Play()
	if err != nil {
		return nil, err
	}
	queued.close()
	program, err := c.send(p)
	if err != nil {
		return nil, err
	}
	res := &Results{}
	defer res.close()
	if err := c.await(program, p, res, errListening); err != nil {
		return nil, err
	}
	listener, err := c.fetchListener(program, p, res.Slot(plan.Listener))
	if err != nil {
		return nil, err
	}
	if slices.Contains(p.Steps, plan.Step(plan.AwaitStart{Filtered: true})) {
		return listener, nil // no more is said below the filter
	}
	if err := c.await(program, p, res, errReady); err != nil {
		listener.Close()
		return nil, err
	}
	return listener, nil
}

// await waits for one of the messages that come before a phase ends.
func (c *Child) await(program *plan.Program, p *plan.Phase, res *Results, event error) error {
	err := c.conclude(program, p, res)
	if errors.Is(err, event) {
		return nil
	}
	if err == nil {
		return fmt.Errorf("phase %s: ended without %w", p.Name, event)
	}
	return err
}

// fetchListener takes the listener out of the child. Its number was announced right before the filter is loaded, so
// that it may not be there yet, or, when loading fails, never be.
func (c *Child) fetchListener(program *plan.Program, p *plan.Phase, number int) (*os.File, error) {
	for spoken := false; ; spoken = c.speaks(100 * time.Microsecond) { // loading takes about that long
		fd, err := unix.PidfdGetfd(c.pidfd, number, 0)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), plan.Listener.String()), nil
		case err == unix.EPERM:
			return nil, fmt.Errorf("fetch the seccomp listener: pidfd_getfd: %w (it takes the right to ptrace; see kernel.yama.ptrace_scope)", err)
		case err != unix.EBADF && err != unix.ESRCH:
			return nil, fmt.Errorf("fetch the seccomp listener: pidfd_getfd: %w", err)
		case spoken: // and still no listener: what it says is why
			return nil, c.await(program, p, &Results{}, errListening)
		}
	}
}

// speaks waits, but not for long, until there is a message of the child's or it is gone.
func (c *Child) speaks(long time.Duration) bool {
	fds := []unix.PollFd{{Fd: int32(c.socket), Events: unix.POLLIN}}
	patience := unix.NsecToTimespec(long.Nanoseconds())
	n, err := unix.Ppoll(fds, &patience, nil)
	return n > 0 && err == nil
}
