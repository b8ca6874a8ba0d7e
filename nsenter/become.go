package nsenter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// Become plays a phase that ends with Exec. It returns once the child is that program, or with the reason why it is
// not. A child that died on the way looks like one that became the program: what Wait returns tells.
func (c *Child) Become(p *plan.Phase) error {
	program, err := c.send(p)
	if err != nil {
		return err
	}
	res := &Results{}
	defer res.close()
	index, errno, err := c.receive(res)
	switch {
	case errors.Is(err, errGone):
		return nil
	case err != nil:
		return fmt.Errorf("phase %s: %w", p.Name, err)
	case errno != 0:
		return c.explain(program, index, errno)
	}
	return fmt.Errorf("phase %s: ended without an exec", p.Name)
}

// adopt makes the process that a Fork step has made the child. The one before it has told the pid when it ends; its
// message and the new one's answer may come in either order.
func (c *Child) adopt(res *Results) error {
	c.Wait()
	if res.forked == 0 {
		var pid [plan.ForkedSize]byte
		if n, err := unix.Read(c.socket, pid[:]); n != len(pid) {
			return fmt.Errorf("pid of the forked process: %w", err)
		}
		res.forked = int(binary.NativeEndian.Uint32(pid[:4]))
	}
	pid := res.forked
	res.forked = 0
	return c.Follow(pid)
}

// Follow makes another child of this process the Child: one that the Child has made its sibling.
func (c *Child) Follow(pid int) error {
	pidfd, err := unix.PidfdOpen(pid, 0) // our own, not reaped: the pid is still its
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	c.Release()
	c.Pid, c.pidfd, c.status = pid, pidfd, nil
	return nil
}

// Ended says in words how a process ended.
func Ended(status unix.WaitStatus) string {
	if status.Signaled() {
		return "was killed by " + unix.SignalName(status.Signal())
	}
	return "exited with status " + strconv.Itoa(status.ExitStatus())
}
