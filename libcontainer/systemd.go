package libcontainer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"skep/cgroups"
	"skep/cgroups/systemd"
)

// With systemd, the cgroup is that of a unit. A scope is made around processes that are there already, so init begins
// in the cgroup of its parent and systemd moves it, before it has done anything that counts. All else is as without
// systemd: the same files are written, and the same cgroup is looked at later.

// unit is what systemd is to make for a container.
type unit struct {
	systemd.Unit
	manager    *systemd.Manager // nil while planning
	properties []systemd.Property
}

// manages tells whether systemd makes the cgroup, once there is an init to be put in.
func (b *blueprint) manages() bool { return b.unit != nil }

// designUnit finds the unit of a configuration, and what it is to be like.
func (b *blueprint) designUnit(ctx context.Context, layout cgroups.Layout, id string, o *options) error {
	annotated, err := systemd.Annotated(b.spec.Annotations)
	if err != nil {
		return err
	}
	u, group, err := o.findUnit(ctx, layout, b.spec, id)
	if err != nil {
		return err
	}
	host := systemd.Host{
		Version: math.MaxInt,
		Read:    func(string, string) string { return "" }, // there is nothing yet
		Drivers: systemd.Drivers,
		V1:      layout.Mode() != cgroups.V2,
	}
	if u.manager != nil {
		host.Version = u.manager.Version
	}
	u.properties, b.writes = systemd.Convert(b.writes, host)
	u.properties = append(u.properties, annotated...)
	b.unit, b.group = u, group
	return nil
}

// findUnit finds the unit of a configuration and its cgroup. The caller closes the connection to its manager.
//
// Root in a user namespace is mostly an ordinary user, whose session is known then, and else that of a system with a
// systemd of its own.
func (o *options) findUnit(ctx context.Context, layout cgroups.Layout, s *specs.Spec, id string) (*unit, *cgroups.Group, error) {
	user := o.rootless && (os.Geteuid() != 0 || len(o.userBus) > 0)
	if user && layout.Mode() != cgroups.V2 {
		return nil, nil, fmt.Errorf("the user's systemd has no controllers on cgroup %s: a host with cgroup v2 alone is needed", layout.Mode())
	}
	cgroupsPath := ""
	if s.Linux != nil {
		cgroupsPath = s.Linux.CgroupsPath
	}
	u := &unit{}
	var err error
	if u.Unit, err = systemd.NewUnit(cgroupsPath, id, user); err != nil {
		return nil, nil, err
	}
	root := "/"
	switch {
	case !o.planning:
		if u.manager, err = o.connect(ctx, user); err != nil {
			return nil, nil, err
		}
		root = u.manager.Root
	case user:
		root = fmt.Sprintf("/user.slice/user-%d.slice/user@%[1]d.service", os.Geteuid())
	}
	return u, cgroups.OfUnit(layout, cgroups.Unit{Name: u.Name, User: user}, path.Join(root, u.Path)), nil
}

// connect connects to the systemd of the host, or to that of the user.
func (o *options) connect(ctx context.Context, user bool) (*systemd.Manager, error) {
	if user {
		return systemd.ConnectUser(ctx, o.userBus)
	}
	return systemd.Connect(ctx)
}

// close ends the connection to systemd.
func (u *unit) close() {
	if u != nil && u.manager != nil {
		u.manager.Close()
	}
}

// startUnit has systemd make the cgroup, with init in it.
func (c *creation) startUnit() error {
	if !c.manages() {
		return nil
	}
	if err := c.unit.manager.Start(c.unit.Unit, c.state.ID, c.state.Init.Pid, c.unit.properties); err != nil {
		if errors.Is(err, systemd.ErrNotMade) {
			// A unit of that name is somebody else's, and so are its processes.
			c.state.Cgroup = cgroups.Facts{}
		}
		return err
	}
	if err := c.fillCgroups(); err != nil {
		return err
	}
	if c.unit.IsSlice() {
		return c.moveInit()
	}
	return nil
}

// stopUnit has systemd forget the container's unit, if it has one. Where that cannot be said to systemd, it still sees
// that the unit is empty.
func (c *Container) stopUnit(group *cgroups.Group) error {
	u := group.Unit()
	if u.Name == "" {
		return nil
	}
	err := c.withManager(u, func(m *systemd.Manager) error { return m.Stop(u.Name) })
	if err != nil {
		const patience = time.Second
		err = errors.Join(err, group.LeaveToSystemd(patience))
	}
	return err
}

// withManager connects to the systemd that has a unit.
func (c *Container) withManager(u cgroups.Unit, do func(*systemd.Manager) error) error {
	m, err := c.options.connect(context.Background(), u.User)
	if err != nil {
		return err
	}
	defer m.Close()
	return do(m)
}

// updateUnit does the writes of an update, and has systemd know of them. The files come first: the kernel may refuse
// them, and a limit on memory that is in use is refused before systemd could have processes killed for it.
func (c *Container) updateUnit(group *cgroups.Group, writes, rules []cgroups.Write) (undo func() error, err error) {
	m, err := c.options.connect(context.Background(), group.Unit().User)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	host := systemd.Host{
		Version: m.Version, Update: true, Read: group.Value, Drivers: systemd.Drivers, V1: group.Mode() != cgroups.V2,
	}
	before, _ := systemd.Convert(append(group.Before(writes), rules...), host)
	props, writes := systemd.Convert(writes, host)
	undoFiles, err := group.Update(writes, rules)
	if err != nil {
		return nil, err
	}
	if err := m.Set(group.Unit().Name, props); err != nil {
		return nil, errors.Join(err, undoFiles())
	}
	return func() error {
		setBack := c.withManager(group.Unit(), func(m *systemd.Manager) error { return m.Set(group.Unit().Name, before) })
		return errors.Join(setBack, undoFiles())
	}, nil
}
