package libcontainer

import (
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"skep/cgroups"
)

// A container without cgroups has a pid namespace of its own: that tells which processes are its, at the price of a
// walk through /proc.

// processesBeside returns the processes in the pid namespace of one of them and in those below it, in ascending order.
func processesBeside(pid int) ([]int, error) {
	var own unix.Stat_t
	if err := unix.Stat(pidNamespace(pid), &own); err != nil {
		return nil, os.NewSyscallError("stat", err)
	}
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && inPidNamespace(pid, &own) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, nil
}

func pidNamespace(pid int) string { return procFile(pid, "ns/pid") }

// inPidNamespace tells whether a process is in a pid namespace or below it. One that is gone is not, nor is one that
// this user may not look at.
func inPidNamespace(pid int, own *unix.Stat_t) bool {
	fd, err := unix.Open(pidNamespace(pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	for err == nil {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && sameFile(&st, own) {
			unix.Close(fd)
			return true
		}
		var parent int
		parent, err = unix.IoctlRetInt(fd, unix.NS_GET_PARENT) // EPERM: above our own
		unix.Close(fd)
		fd = parent
	}
	return false
}

// signalAll sends a signal to every process of the container.
func (c *Container) signalAll(sig unix.Signal) error {
	group := cgroups.Open(c.state.Cgroup)
	if group.Mode() != cgroups.None {
		return group.Kill(sig)
	}
	init, err := c.state.Init.open()
	if err == ErrNotRunning { // and with it all that was in its namespace
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(init)
	pids, err := processesBeside(c.state.Init.Pid)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := c.signalBeside(pid, sig); err != nil {
			return err
		}
	}
	return nil
}

// signalBeside signals a process if it is still one of those beside init: its pid may be another's by now.
func (c *Container) signalBeside(pid int, sig unix.Signal) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return ignoreGone("pidfd_open", err)
	}
	defer unix.Close(fd)
	var own unix.Stat_t
	if unix.Stat(pidNamespace(c.state.Init.Pid), &own) != nil || !inPidNamespace(pid, &own) {
		return nil
	}
	return ignoreGone("pidfd_send_signal", unix.PidfdSendSignal(fd, sig, nil, 0))
}

func ignoreGone(call string, err error) error {
	if err == unix.ESRCH {
		return nil
	}
	return os.NewSyscallError(call, err)
}
