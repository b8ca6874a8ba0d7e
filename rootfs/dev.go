package rootfs

import (
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// The whole of /dev is made through paths none of whose components may be a symlink: one of the image would have
// the runtime make nodes elsewhere (CVE-2026-41579).

// dev fills /dev with what every container has (config-linux.md#default-devices, runtime-linux.md#dev-symbolic-links).
func (c *compiler) dev() {
	if c.devBound {
		return
	}
	for _, d := range [...]specs.LinuxDevice{
		{Path: "/dev/null", Type: "c", Major: 1, Minor: 3},
		{Path: "/dev/zero", Type: "c", Major: 1, Minor: 5},
		{Path: "/dev/full", Type: "c", Major: 1, Minor: 7},
		{Path: "/dev/random", Type: "c", Major: 1, Minor: 8},
		{Path: "/dev/urandom", Type: "c", Major: 1, Minor: 9},
		{Path: "/dev/tty", Type: "c", Major: 5, Minor: 0},
	} {
		if !c.listed(d.Path) && !c.mountedOn(d.Path) {
			c.node("default device "+d.Path, &d)
		}
	}
	links := []plan.Symlink{
		{Target: "/proc/self/fd", At: plan.Real("/dev/fd")},
		{Target: "/proc/self/fd/0", At: plan.Real("/dev/stdin")},
		{Target: "/proc/self/fd/1", At: plan.Real("/dev/stdout")},
		{Target: "/proc/self/fd/2", At: plan.Real("/dev/stderr")},
	}
	if _, err := c.host.IsDir("/proc/kcore"); err == nil { // CONFIG_PROC_KCORE
		links = append(links, plan.Symlink{Target: "/proc/kcore", At: plan.Real("/dev/core")})
	}
	if !c.mountedOn("/dev/ptmx") {
		links = append(links, plan.Symlink{Target: "pts/ptmx", At: plan.Real("/dev/ptmx"), Replace: true})
	}
	for _, l := range links {
		c.add("default link "+l.At.Name, l)
	}
}

// listed tells whether the configuration has a device of its own in place of a default one.
func (c *compiler) listed(name string) bool {
	return slices.ContainsFunc(c.linux.Devices, func(d specs.LinuxDevice) bool { return path.Clean(d.Path) == name })
}

// mountedOn tells whether the configuration mounts something on a name below /dev, such as /dev/urandom on /dev/random.
func (c *compiler) mountedOn(name string) bool {
	for _, m := range slices.Backward(c.spec.Mounts) {
		switch path.Clean("/" + m.Destination) {
		case name:
			return true
		case "/dev": // covers what is mounted before
			return false
		}
	}
	return false
}

// devices makes linux.devices. In a /dev that is a bind mount they would be made on the host, and its owner says
// what is in it; /dev/ptmx has been made.
func (c *compiler) devices() {
	for i := range c.linux.Devices {
		d := &c.linux.Devices[i]
		name := path.Clean(d.Path)
		if name == "/dev/ptmx" || c.devBound && strings.HasPrefix(name, "/dev/") {
			continue
		}
		c.node(at("linux.devices", i, d.Path), d)
	}
}

// node makes a device node. In a user namespace none can be made, and the host's node at the same path is bound
// instead, with the owner and the mode that it has there.
func (c *compiler) node(item string, d *specs.LinuxDevice) {
	name := path.Clean(d.Path)
	to := c.place(name)
	if strings.HasPrefix(name, "/dev/") {
		to = plan.Real(name)
	}
	if d.Type != "p" && (c.host.NoDeviceNodes || c.has(specs.UserNamespace)) {
		slot := c.clone(Tree{Item: item, Path: name, Device: d, Changes: []plan.SetAttr{
			{Set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC, Propagation: unix.MS_PRIVATE},
		}})
		c.add(item, plan.Attach{Mount: slot, At: to, Make: plan.File})
		return
	}
	n := plan.Mknod{At: to, Mode: nodeType(d) | 0o666, Major: uint32(d.Major), Minor: uint32(d.Minor)}
	if d.FileMode != nil {
		n.Mode = nodeType(d) | uint32(*d.FileMode)&0o7777
	}
	if d.UID != nil {
		n.UID = *d.UID
	}
	if d.GID != nil {
		n.GID = *d.GID
	}
	c.add(item, n)
}

// nodeType returns the S_IF* bits of a device.
func nodeType(d *specs.LinuxDevice) uint32 {
	switch d.Type {
	case "b":
		return unix.S_IFBLK
	case "p":
		return unix.S_IFIFO
	}
	return unix.S_IFCHR // c, and u for an unbuffered one
}

// terminal opens the container's terminal and shows it as /dev/console, where that may be mounted.
func (c *compiler) terminal() {
	if p := c.spec.Process; p == nil || !p.Terminal {
		return
	}
	c.add("process.terminal", plan.OpenPty{})
	if !c.host.NoMounts {
		c.add("process.terminal",
			plan.CloneFile{From: plan.PtySlave, Into: plan.Mount},
			plan.Attach{Mount: plan.Mount, At: plan.Real("/dev/console"), Make: plan.File})
	}
	c.add("process.terminal",
		plan.Export{Slot: plan.PtyMaster},
		plan.Close{Slots: []plan.Slot{plan.PtyMaster}},
	)
}

// protectDev makes a tmpfs on /dev read-only, as its options ask, now that it is filled.
func (c *compiler) protectDev() {
	if c.devReadonly == "" {
		return
	}
	c.add(c.devReadonly, plan.Find{At: plan.Real("/dev"), Into: plan.Mount},
		plan.SetAttr{Mount: plan.Mount, Set: unix.MOUNT_ATTR_RDONLY}, plan.Close{Slots: []plan.Slot{plan.Mount}})
}
