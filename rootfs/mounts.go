package rootfs

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
	"skep/spec"
)

// hardened are the attributes of filesystems that hold neither programs nor devices.
const hardened = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC

const (
	// fsconfigMax is the longest string that fsconfig(2) takes, in bytes.
	fsconfigMax = 255
	// mountDataMax is the longest data string that mount(2) takes: a page with its NUL, on every architecture.
	mountDataMax = 4095
)

// mount is one entry of mounts with what it means.
type mount struct {
	*specs.Mount
	opt   spec.MountOptions
	item  string
	at    plan.Path // the destination
	idmap *IDMap    // nil for the owners as they are
}

// mounts adds the mounts, in the order of the configuration.
func (c *compiler) mounts() error {
	for i := range c.spec.Mounts {
		m := mount{Mount: &c.spec.Mounts[i]}
		m.item = at("mounts", i, m.Destination)
		var err error
		if m.opt, err = spec.ParseMountOptions(m.Options); err == nil {
			m.at = c.destination(&m)
			err = c.mount(&m)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", m.item, err)
		}
	}
	return nil
}

// destination lets no symlink of the image choose where the mounts go that the runtime and the masks rely on
// (CVE-2019-19921, CVE-2026-41579).
func (c *compiler) destination(m *mount) plan.Path {
	name := path.Clean("/" + m.Destination)
	switch {
	case name == "/proc", name == "/sys", name == "/dev":
		return plan.Real(name)
	case !m.opt.Bind && (m.Type == "proc" || m.Type == "sysfs"):
		return plan.Real(name)
	}
	return c.place(name)
}

// place is where a mount may go, missing or not. Below /proc validation has let only harmless files pass; through a
// symlink nothing gets there.
func (c *compiler) place(name string) plan.Path {
	p := plan.In(name)
	p.Instead = dangling(c.host.RootDir, name)
	p.NoProcfs = !strings.HasPrefix(name, "/proc/")
	return p
}

func (c *compiler) mount(m *mount) error {
	o := &m.opt
	var err error
	if m.idmap, err = c.idmap(m); err != nil {
		return err
	}
	switch {
	case o.Remount:
		return c.remount(m)
	case m.at.Name == "/proc" && !o.Bind && m.Type != "proc":
		return fmt.Errorf("only a procfs may be mounted on /proc, not %s", m.Type)
	}
	if m.at.Name == "/dev" {
		c.devBound, c.devReadonly = o.Bind, ""
	}
	c.note(m)
	switch {
	case o.Bind:
		return c.bind(m)
	case m.Type == "cgroup", m.Type == "cgroup2" && (c.host.onlyV2() || len(c.host.Cgroups) == 0):
		return c.cgroup(m)
	case m.Type == "sysfs" && !c.ownsNetwork():
		c.hostSysfs(m)
		return nil
	}
	return c.filesystem(m)
}

// remount changes what the options name and nothing else; the superblock, which other containers or the host may
// use too, stays as it is.
func (c *compiler) remount(m *mount) error {
	if len(m.opt.Data) > 0 {
		return fmt.Errorf("%q: a remount can change the flags of the mount, not its filesystem", m.opt.Data[0])
	}
	c.change(m)
	return nil
}

// change applies the options to the mount that is at the destination.
func (c *compiler) change(m *mount) {
	c.add(m.item, plan.Find{At: m.at, Into: plan.Mount})
	for _, change := range asked(&m.opt) {
		change.Mount = plan.Mount
		c.add(m.item, change)
	}
	c.add(m.item, plan.Close{Slots: []plan.Slot{plan.Mount}})
}

// filesystem mounts a new filesystem.
func (c *compiler) filesystem(m *mount) error {
	params := m.params()
	context := c.context(m.Type, params...)
	if m.needsClassic(params) {
		if m.idmap != nil {
			return fmt.Errorf("a %s with such options is mounted at once, and its owners cannot be mapped", m.Type)
		}
		if m.opt.TmpCopyUp {
			return errors.New("a tmpfs with such options is mounted at once, and tmpcopyup comes too late")
		}
		return c.classic(m, context)
	}
	params = append(params, context...)
	o := &m.opt
	attr := o.AttrSet&^o.RecAttrClear | o.RecAttrSet // nothing is mounted below
	var after []plan.Step
	if m.Type == "tmpfs" {
		after, attr = c.tmpfs(m, params, attr)
	}
	c.add(m.item, plan.Filesystem{Type: m.Type, Source: m.Source, Params: params, Attr: attr, Into: plan.Mount})
	if m.idmap != nil {
		c.add(m.item, plan.MapOwners{Mount: plan.Mount, Namespace: c.take(m.idmap), Type: m.Type})
	}
	c.labelRoot(m)
	if o.TmpCopyUp {
		c.tmpCopyUp(m, params)
	}
	c.add(m.item, after...)
	switch o.Propagation {
	case unix.MS_SHARED, unix.MS_UNBINDABLE: // a new mount is private
		c.add(m.item, plan.SetAttr{Mount: plan.Mount, Propagation: o.Propagation})
	}
	c.add(m.item, plan.Attach{Mount: plan.Mount, At: m.at, Make: plan.Directory})
	return nil
}

// tmpfs takes the mode of the directory that it covers, unless it is given one, and turns read-only afterwards;
// /dev even later, when it is filled.
func (c *compiler) tmpfs(m *mount, params []string, attr uint64) (after []plan.Step, first uint64) {
	if !slices.ContainsFunc(params, func(p string) bool { return strings.HasPrefix(p, "mode=") }) {
		after = append(after, plan.TakeMode{Mount: plan.Mount, From: m.at})
	}
	switch {
	case attr&unix.MOUNT_ATTR_RDONLY == 0:
	case m.at.Name == "/dev":
		c.devReadonly = m.item
	default:
		after = append(after, plan.SetAttr{Mount: plan.Mount, Set: unix.MOUNT_ATTR_RDONLY})
	}
	return after, attr &^ unix.MOUNT_ATTR_RDONLY
}

// params returns the parameters of the filesystem as fsconfig(2) takes them, one by one. An option of the
// configuration may hold several, separated by commas.
func (m *mount) params() []string {
	var params []string
	for _, flag := range m.opt.SuperSet {
		if flag != "ro" || m.Type != "tmpfs" { // a tmpfs is still to be filled; its mount turns read-only
			params = append(params, flag)
		}
	}
	for _, option := range m.opt.Data {
		params = append(params, strings.FieldsFunc(option, func(r rune) bool { return r == ',' })...)
	}
	return params
}

// needsClassic tells what only mount(2) can do: strings that are too long for fsconfig(2), commas that a quote or
// a backslash keeps from separating, and a flag that has no name.
func (m *mount) needsClassic(params []string) bool {
	return m.opt.Flags&unix.MS_I_VERSION != 0 || len(m.Source) > fsconfigMax ||
		slices.ContainsFunc(m.opt.Data, func(s string) bool { return strings.ContainsAny(s, `"\`) }) ||
		slices.ContainsFunc(params, func(s string) bool {
			_, value, _ := strings.Cut(s, "=")
			return len(value) > fsconfigMax
		})
}

// classic mounts by mount(2).
func (c *compiler) classic(m *mount, context []string) error {
	options := m.opt.Data
	for _, label := range context { // whose categories are separated by commas, too
		key, value, _ := strings.Cut(label, "=")
		options = append(slices.Clip(options), key+`="`+value+`"`)
	}
	data := strings.Join(options, ",")
	if len(data) > mountDataMax {
		return fmt.Errorf("the options of %s are %d bytes long, the kernel takes %d", m.Type, len(data), mountDataMax)
	}
	c.add(m.item, plan.ClassicMount{Type: m.Type, Source: m.Source, At: m.at, Flags: uint64(m.opt.Flags), Data: data})
	if m.opt.Propagation != 0 || m.opt.Recursive() {
		rest := *m
		rest.opt.AttrSet, rest.opt.AttrClear = 0, 0 // mount(2) has set them
		c.change(&rest)
	}
	return nil
}

// bind mounts a file or directory of the host.
func (c *compiler) bind(m *mount) error {
	source := c.host.source(m.Mount)
	dir, err := c.host.IsDir(source)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	place := plan.File
	if dir {
		place = plan.Directory
	}
	t := Tree{Item: m.item, Path: source, Recursive: m.opt.RBind, IDMap: m.idmap, Procfs: m.at.Name == "/proc"}
	if c.host.Privileged {
		t.Changes, t.Implied = exactly(&m.opt)
	} else {
		// A user namespace has locked all flags of its mounts and made them slaves.
		t.Changes = asked(&m.opt)
	}
	c.add(m.item, plan.Attach{Mount: c.clone(t), At: m.at, Make: place})
	return nil
}

// hostSysfs binds the host's /sys, since sysfs may be mounted by the owner of the network namespace only. What is
// mounted below the host's gets the flags too: asked to be read-only, all of it is.
func (c *compiler) hostSysfs(m *mount) {
	slot := c.clone(Tree{Item: m.item, Path: "/sys", Recursive: true, Changes: []plan.SetAttr{
		{Set: m.opt.AttrSet | m.opt.RecAttrSet, Clear: m.opt.AttrClear & unix.MOUNT_ATTR__ATIME, Propagation: unix.MS_SLAVE, Recursive: true},
	}})
	c.add(m.item, plan.Attach{Mount: slot, At: m.at, Make: plan.Directory})
}

// ownsNetwork tells whether init may mount sysfs: its network namespace has to belong to its user namespace.
func (c *compiler) ownsNetwork() bool {
	user := spec.FindNamespace(c.linux, specs.UserNamespace)
	network := spec.FindNamespace(c.linux, specs.NetworkNamespace)
	switch {
	case network != nil && network.Path == "":
		return true
	case user != nil && (network == nil || user.Path == ""):
		return false
	}
	return !c.host.ForeignNetwork
}
