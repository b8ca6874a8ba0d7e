package libcontainer

import (
	"context"
	"strings"

	"golang.org/x/sys/unix"

	"skep/cgroups"
	"skep/nsenter"
)

// startIn starts a player in a cgroup of the container: it is born in the v2 directory, or systemd moves it there.
func (c *Container) startIn(group *cgroups.Group, o *options, temp string) (*nsenter.Child, error) {
	if c.outside(group) {
		return c.startAttached(group, o, nsenter.Options{Cgroup: -1, TempDir: temp})
	}
	cgroup, err := openGroup(group)
	if err != nil {
		return nil, err
	}
	if cgroup >= 0 {
		defer unix.Close(cgroup)
	}
	return nsenter.Start(nsenter.Options{Cgroup: cgroup, TempDir: temp})
}

// outside tells whether the kernel lets this process have no child in the cgroup, though it is the user's: a session
// is not below the user's systemd, and the way between the two leads through what belongs to root.
func (c *Container) outside(group *cgroups.Group) bool {
	return c.state.Cgroup.Unit.User && !group.CanJoin()
}

// startAttached starts a player that systemd moves there.
func (c *Container) startAttached(group *cgroups.Group, o *options, start nsenter.Options) (*nsenter.Child, error) {
	m, err := o.connect(context.Background(), true)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	child, err := nsenter.Start(start)
	if err != nil {
		return nil, err
	}
	facts := c.state.Cgroup
	below := strings.TrimPrefix(group.V2Dir(), facts.Paths[""])
	if err := m.Attach(facts.Unit.Name, below, child.Pid); err != nil {
		child.Kill()
		child.Release()
		return nil, err
	}
	return child, nil
}
