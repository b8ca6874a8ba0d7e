package libcontainer

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"skep/libcontainer/console"
	"skep/libcontainer/internal/socket"
	"skep/libcontainer/process"
	"skep/nsenter"
	"skep/nsenter/plan"
)

// candidate is a process that is to become a program in a container: init, or one that exec adds. Once it is in its
// namespaces and cgroups, the two are treated alike.
type candidate struct {
	*blueprint
	*options
	root           string // of all state
	child          *nsenter.Child
	master         *os.File // of the terminal
	pidFileWritten bool
	program        string // the file to be executed, once it has been looked up
}

// settleLimits does what only the parent may do to the child, while the child still has the parent's ids.
func (c *candidate) settleLimits() error {
	p := c.spec.Process
	if p == nil {
		return nil
	}
	if err := setOOMScore(c.child.Pid, p.OOMScoreAdj); err != nil {
		return err
	}
	for _, r := range process.RaiseLimits(p) {
		if err := raiseLimit(c.child.Pid, r); err != nil {
			return err
		}
	}
	return nil
}

// settle gives the process its identity and looks its program up with that. It returns the last phase, and the filter
// that the phase loads, if there is one.
func (c *candidate) settle() (*plan.Phase, *process.Filter, error) {
	p := c.spec.Process
	if err := c.tellListenFDs(); err != nil {
		return nil, nil, err
	}
	filter, err := c.filter(c.root)
	if err != nil {
		return nil, nil, err
	}
	settle, warnings, err := process.Settle(p, c.process, filter != nil)
	if err != nil {
		return nil, nil, err
	}
	c.report(warnings)
	home := "/"
	if process.NeedsHome(p) {
		settle.Add(plan.Export{Slot: plan.Root})
	}
	results, err := c.child.Run(settle)
	if err != nil {
		return nil, nil, err
	}
	c.reportKeyring(results)
	if master := results.Files[plan.PtyMaster]; master != nil {
		c.master = master
	}
	if err := c.handOverTerminal(); err != nil {
		return nil, nil, err
	}
	if root := results.Files[plan.Root]; root != nil {
		home = process.Home(root, p.User.UID)
		root.Close()
	}
	env, err := process.Environment(p, home)
	if err != nil {
		return nil, nil, err
	}
	if c.program, err = c.lookUp(results); err != nil {
		return nil, nil, err
	}
	return process.Release(p, c.program, env, c.process, filter), filter, nil
}

// lookUp finds the program by the answers of the phase that has been played, asking on where PATH is long.
func (c *candidate) lookUp(first *nsenter.Results) (string, error) {
	answers := []func(plan.Slot) unix.Errno{first.Errno}
	for _, p := range process.MoreProbes(c.spec.Process) {
		results, err := c.child.Run(p)
		if err != nil {
			return "", err
		}
		answers = append(answers, results.Errno)
	}
	return process.Choose(c.spec.Process, answers...)
}

// handOverTerminal gives the terminal's master to whom it belongs, with the size that the configuration asks for.
func (c *candidate) handOverTerminal() error {
	if c.master == nil {
		return nil
	}
	master := c.master
	if size := c.spec.Process.ConsoleSize; size != nil {
		if err := console.Resize(master, size.Height, size.Width); err != nil {
			return err
		}
	}
	if c.consoleSocket != "" {
		return console.Send(c.consoleSocket, master)
	}
	c.master = nil
	return c.console(master)
}

// announce sends a pidfd of the process to whoever asked for one. The payload tells it from others.
func (c *candidate) announce(payload string) error {
	if c.pidfdSocket == "" {
		return nil
	}
	fd, err := unix.FcntlInt(uintptr(c.child.Pidfd()), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return os.NewSyscallError("dup", err)
	}
	file := os.NewFile(uintptr(fd), "pidfd")
	defer file.Close()
	if err := socket.Send(c.pidfdSocket, []byte(payload), file); err != nil {
		return fmt.Errorf("pidfd socket %s: %w", c.pidfdSocket, err)
	}
	return nil
}

// closeChild lets go of what stands for the process here.
func (c *candidate) closeChild() {
	if c.master != nil {
		c.master.Close()
	}
	if c.child != nil {
		c.child.Close()
		c.child.Release()
	}
}

// hint adds what the user can do about a step that failed or a process that was killed.
func (c *candidate) hint(err error) error {
	if r := c.spec.Linux.Resources; lackedMemory(err) && r != nil && r.Memory != nil && r.Memory.Limit != nil && *r.Memory.Limit > 0 {
		return fmt.Errorf("%w: linux.resources.memory.limit of %d bytes is too low?", err, *r.Memory.Limit)
	}
	return c.stepHint(err)
}

// lackedMemory tells whether a memory limit explains the error. The kernel kills the process, or refuses it memory:
// on v2 already for the clone, because init is born in its cgroup, or for exec.
func lackedMemory(err error) bool {
	var death *nsenter.DeathError
	if !errors.As(err, &death) {
		return errors.Is(err, unix.ENOMEM)
	}
	return death.Status.Signal() == unix.SIGKILL || death.Status.ExitStatus() == nsenter.ExecFailed
}
