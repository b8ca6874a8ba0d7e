package libcontainer

import (
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// maxPreserved is how many descriptors fit into the last phase beside the two fifos of start.
const maxPreserved = plan.MaxInputs - 2

// inherited is a descriptor of this process that the program is to find open.
type inherited int

func (fd inherited) Open() (int, error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return -1, fmt.Errorf("preserve descriptor %d: %w", int(fd), err)
	}
	return dup, nil
}
func (fd inherited) String() string { return "descriptor " + strconv.Itoa(int(fd)) }

// preserve takes note of the descriptors for the program, all of which have to be open by now: first those of its
// activator (sd_listen_fds(3)).
func (b *blueprint) preserve(o *options) error {
	n := o.listenFDs + o.preserveFDs
	if n > maxPreserved {
		return fmt.Errorf("preserve %d descriptors: at most %d can be handed over", n, maxPreserved)
	}
	for fd := 3; fd < 3+n; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return fmt.Errorf("preserve descriptor %d: it is not open", fd)
		}
		b.process.Preserve = append(b.process.Preserve, inherited(fd))
	}
	return nil
}

// tellListenFDs tells the program which descriptors its activator means, and that it is the one who is meant.
func (c *candidate) tellListenFDs() error {
	if c.listenFDs == 0 {
		return nil
	}
	pid, err := innerPid(c.child.Pid)
	if err != nil {
		return err
	}
	env := []string{"LISTEN_FDS=" + strconv.Itoa(c.listenFDs), "LISTEN_PID=" + strconv.Itoa(pid)}
	if c.listenNames != "" {
		env = append(env, "LISTEN_FDNAMES="+c.listenNames)
	}
	c.spec.Process.Env = slices.Concat(c.spec.Process.Env, env)
	return nil
}
