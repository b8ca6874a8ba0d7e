package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"skep/cgroups"
)

// Kill sends a signal to a container's init, or with all to every one of its processes (runtime.md#kill). SIGKILL to a
// container that shares its pid namespace goes to every process in its cgroup: nobody else would end them.
func Kill(root, id string, sig unix.Signal, all bool) error {
	c, err := Load(root, id)
	if err != nil {
		return err
	}
	return c.Kill(sig, all)
}

// Kill sends a signal to the container's init, or with all to every one of its processes, as the function of the same
// name does. The error is ErrNotRunning for a container without processes; with all that is none.
func (c *Container) Kill(sig unix.Signal, all bool) error {
	status := c.Status()
	if !status.allows().signal {
		if all { // what is left of the container's processes
			return c.signalAll(sig)
		}
		return ErrNotRunning
	}
	if all || (sig == unix.SIGKILL && !c.state.OwnPidns) {
		return c.signalAll(sig)
	}
	if err := c.signal(sig); err != nil {
		return err
	}
	if sig == unix.SIGKILL {
		return cgroups.Open(c.state.Cgroup).ThawAll()
	}
	return nil
}

func (c *Container) signal(sig unix.Signal) error {
	fd, err := c.state.Init.open()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil {
		if err == unix.ESRCH {
			return ErrNotRunning
		}
		return os.NewSyscallError("pidfd_send_signal", err)
	}
	return nil
}

// Delete removes what create made for a container (runtime.md#delete). A container that is only created is killed
// first, as all peers do; with force a running one too, and an id that does not exist is no error. Without, it is
// ErrNotExist.
func Delete(root, id string, force bool, opts ...Option) error {
	if force { // a start that has the lock may be waiting for an init that does not go on
		if c, err := Load(root, id); err == nil && c.complete {
			_ = c.signal(unix.SIGKILL) // destroy does it again, and says why it cannot
		}
	}
	c, err := loadForDelete(root, id, force, opts)
	if err != nil {
		if force && errors.Is(err, ErrNotExist) {
			return nil
		}
		return deleteBroken(root, id, force, opts, err)
	}
	defer c.dir.release()
	if s := c.Status(); !force && !s.allows().destroy {
		return notStopped(id, s)
	}
	return c.destroy()
}

// Delete ends the container if it still runs, and removes what create made for it. That somebody else has removed it
// is no error.
func (c *Container) Delete() error {
	switch err := c.dir.acquire(unix.LOCK_EX); {
	case errors.Is(err, ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	defer c.dir.release()
	if s, _, err := c.dir.read(); err == nil && !s.Created.Equal(c.state.Created) {
		return nil // another container has the id by now, and maybe the cgroup
	}
	return c.destroy()
}

// Undo is Delete for whoever has created or restored the container, and has failed since: it takes the pid file back, too.
func (c *Container) Undo() error {
	if c.options.pidFile != "" {
		removePidFile(c.options.pidFile)
	}
	return c.Delete()
}

// destroy ends the processes and removes cgroups and state, in the reverse order of their making. It replays the
// journal of a create that was killed just as well, and can itself be repeated. What the poststop hooks do changes
// nothing.
func (c *Container) destroy() error {
	hooks, err := c.hooksAt(poststop)
	if err != nil {
		c.options.report([]string{"hooks.poststop: " + err.Error()})
	}
	c.returnDevices() // before their namespace may end with init
	if err := c.end(); err != nil {
		return err
	}
	group := cgroups.Open(c.state.Cgroup)
	if !c.state.OwnPidns || c.state.Init.Pid == 0 { // otherwise the kernel has ended every process with init
		if err := group.Kill(unix.SIGKILL); err != nil {
			return err
		}
	}
	if err := c.stopUnit(group); err != nil { // there may be no systemd any more
		c.options.report([]string{err.Error()})
	}
	if err := group.Remove(); err != nil {
		return err
	}
	if err := c.removeRdtGroups(); err != nil {
		return err
	}
	if err := c.dir.remove(); err != nil {
		return err
	}
	c.dir.release() // nobody need wait for the hooks of what is gone
	c.runPoststop(hooks)
	return nil
}

// end kills init and waits until it is gone.
func (c *Container) end() error {
	fd, err := c.state.Init.open()
	if errors.Is(err, ErrNotRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		return os.NewSyscallError("pidfd_send_signal", err)
	}
	if err := cgroups.Open(c.state.Cgroup).ThawAll(); err != nil {
		return err
	}
	if err := awaitExit(fd, c.state.Init.Pid, deletePatience); err != nil {
		return fmt.Errorf("%w: %s", err, c.stuck())
	}
	return nil
}

// awaitExit waits for the end of a process, which makes its pidfd readable.
func awaitExit(pidfd, pid int, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("process %d does not end, %s after SIGKILL", pid, patience)
		}
		fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, milliseconds(left))
		if err != nil && err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
		if n > 0 {
			return nil
		}
	}
}
