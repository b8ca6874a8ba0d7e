package rootfs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// directory is a directory of the host as a Source.
type directory struct{ *os.File }

func (d directory) Open() (int, error) {
	fd, err := unix.FcntlInt(d.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	return fd, os.NewSyscallError("dup", err)
}
func (d directory) String() string { return d.Name() }

// foreign compiles the root of a container that has no mount namespace of its own (spec.MakesMounts): init changes to
// root.path, as the namespace that it is in has it, and no mount is made or changed. Labels and sysctls are written
// through a procfs that nobody can see, because it is never attached.
func (c *compiler) foreign() (*Plan, error) {
	c.phase.Add(plan.Umask{})
	c.procfs()
	if c.host.RootDir != nil {
		c.add("root.path", plan.Keep{From: c.take(directory{c.host.RootDir}), As: plan.Root})
	} else {
		c.add("root.path", plan.OpenRoot{Path: c.host.Root})
	}
	switch {
	case c.host.Root != "/":
		c.dev()
		c.devices()
		c.workingDirectory()
	case len(c.linux.Devices) > 0: // the root of the namespace itself is in use, and stays as its owner has made it
		return nil, errors.New("linux.devices: nothing is made in a root that others live in (root.path is /, without a new mount namespace)")
	}
	c.terminal()
	p := &Plan{Rootfs: append(c.full, c.phase)}
	c.phase = &plan.Phase{Name: "pivot"}
	c.phase.Add(plan.ChangeRoot{})
	if err := c.sysctls(); err != nil {
		return nil, err
	}
	c.close()
	p.Pivot = c.phase
	return p, nil
}
