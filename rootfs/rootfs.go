// Package rootfs compiles what a configuration says about the root filesystem (root, mounts, devices, masked and
// read-only paths, sysctls) into phases of steps for the player in the container's init.
//
// [Compile] is pure: it reads the configuration and a few facts about the [Host], and changes nothing. The phases
// of [Plan.Rootfs] build the mount tree while init still sees the host's mounts; [Plan.Pivot] makes it init's root
// and then takes away what the program must not have. Between them the hooks of the runtime run.
//
// Mounts go from descriptor to descriptor. A bind source is cloned and made what it has to be before anybody can
// see it, by the parent ([Tree]) or, where the parent is unprivileged, by init. A destination is resolved once,
// below the root. Nothing is ever mounted in the host's mount namespace.
package rootfs

import (
	"os"
	"path"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
	"skep/spec"
)

// Host is what the compiler must know about the host.
type Host struct {
	Bundle string // absolute
	Root   string // absolute: root.path without symlinks, or, in a mount namespace that is joined, as it is
	// RootDir is that directory, opened. Nil looks Root up again; in a mount namespace that is joined, init does.
	RootDir *os.File

	// Privileged says that the parent may clone mounts of the host. Otherwise init does, after its namespaces exist.
	Privileged bool
	// NoMounts says that the mount namespace is not the container's own: see spec.MakesMounts.
	NoMounts bool
	// NoPivot asks for another way than pivot_root, which a host whose root is a ramfs refuses.
	NoPivot bool
	// Revealing are the host's mount points of procfs and sysfs, in the order of their mounting. NoPivot leaves the
	// host's mounts in the container's mount namespace, and where a whole procfs is, however far out of sight, the
	// kernel lets any user mount another one, without masks, in a user namespace.
	Revealing []string

	// IsDir tells whether a path of the host is a directory, following symlinks. The error says why nothing is
	// there.
	IsDir func(path string) (bool, error)

	// ForeignNetwork says that the network namespace, unless it is a new one, does not belong to the user namespace that
	// the container joins or, without one, is made in.
	ForeignNetwork bool
	// NoDeviceNodes says that the runtime itself is in a user namespace, where no device node can be made.
	NoDeviceNodes bool

	// UserNamespace opens the user namespace that maps ids like this: a new one, or without mappings the container's.
	// It is called when phases are played, after the container's exists. Its caller closes the descriptor.
	UserNamespace func(uids, gids []specs.LinuxIDMapping) (fd int, err error)

	// Cgroups holds the absolute directory of the container in each cgroup hierarchy, by the hierarchy's name in
	// /proc/self/cgroup: "memory", "cpu,cpuacct", "name=systemd", and "" for v2.
	Cgroups map[string]string
}

// Plan is the compiled root filesystem.
type Plan struct {
	// Rootfs are the phases that build the mount tree: one, or more when there are more mounts than descriptors
	// fit into one.
	Rootfs []*plan.Phase
	// CopyUps holds what has to be compiled and played after a phase.
	CopyUps map[*plan.Phase]*CopyUp
	// Pivot is the phase that makes it the root.
	Pivot *plan.Phase
}

// Compile compiles a configuration that spec.Validate accepts. Errors begin with the JSON path of what cannot be
// done.
func Compile(s *specs.Spec, h Host) (*Plan, error) {
	c := &compiler{spec: s, linux: s.Linux, host: h, phase: &plan.Phase{Name: "rootfs"}}
	if c.linux == nil {
		c.linux = &specs.Linux{}
	}
	if h.NoMounts {
		return c.foreign()
	}
	if err := c.checkContext(); err != nil {
		return nil, err
	}
	c.root()
	if err := c.mounts(); err != nil {
		return nil, err
	}
	c.dev()
	c.devices()
	c.terminal()
	c.workingDirectory()
	c.protectDev()
	p := &Plan{Rootfs: append(c.full, c.phase), CopyUps: c.copyUps}
	c.phase = &plan.Phase{Name: "pivot"}
	if err := c.pivot(); err != nil {
		return nil, err
	}
	p.Pivot = c.phase
	return p, nil
}

// compiler holds what one compilation has found so far.
type compiler struct {
	spec  *specs.Spec
	linux *specs.Linux // never nil
	host  Host

	full    []*plan.Phase // those that take no more descriptors
	phase   *plan.Phase   // the one that is being filled
	copyUps map[*plan.Phase]*CopyUp

	devBound    bool   // /dev is a bind mount: its owner says what is in it
	devReadonly string // the item that makes /dev read-only once it is filled

	kernel [2]bool // which of kernelFilesystems are at their places
	found  string  // which of them the slot Mount holds, as it is by now; empty for none
	looked bool    // the slot holds one of them
}

// add appends steps that belong to an item of the configuration.
func (c *compiler) add(item string, steps ...plan.Step) {
	for _, s := range steps {
		c.phase.Add(plan.For{Item: item, Step: s})
	}
}

// take adds a descriptor, to a new phase when this one is full.
func (c *compiler) take(s plan.Source) plan.Slot {
	if !c.phase.Room(1) {
		c.nextPhase()
	}
	return c.phase.Take(s)
}

func (c *compiler) nextPhase() {
	c.full = append(c.full, c.phase)
	c.phase = &plan.Phase{Name: c.phase.Name}
}

// clone brings a mount of the host into a slot: handed over by the parent, or opened by init itself.
func (c *compiler) clone(t Tree) plan.Slot {
	if c.host.Privileged {
		return c.take(t)
	}
	c.add(t.Item, plan.OpenTree{Path: t.Path, Recursive: t.Recursive, Into: plan.Mount})
	c.add(t.Item, t.proofs(plan.Mount)...)
	for _, change := range t.Changes {
		change.Mount = plan.Mount
		c.add(t.Item, change)
	}
	return plan.Mount
}

// root attaches the root mount.
func (c *compiler) root() {
	// Modes are exactly those asked for, whatever the caller's umask is.
	c.phase.Add(plan.Umask{})
	// Always slaves: what is attached below never reaches the host, and what the host mounts meanwhile still
	// arrives. rootfsPropagation says what the new root becomes, not how it is made.
	c.phase.Add(plan.Enslave{})
	c.procfs()
	c.attachRoot(c.attachPoint())
}

// attachRoot clones the root and mounts it at a place of the host that init sees.
func (c *compiler) attachRoot(place string) {
	propagation := uint64(unix.MS_SLAVE)
	switch flags, _ := spec.Propagations.Lookup(c.linux.RootfsPropagation); flags &^ unix.MS_REC {
	case unix.MS_PRIVATE, unix.MS_UNBINDABLE:
		propagation = unix.MS_PRIVATE
	}
	slot := c.clone(Tree{Item: "root.path", Path: c.host.Root, Dir: c.host.RootDir, Recursive: true,
		Changes: []plan.SetAttr{{Propagation: propagation, Recursive: true}}})
	c.add("root.path", plan.Keep{From: slot, As: plan.Root}, plan.AttachRoot{Path: place})
}

// procfs brings a procfs into a slot that is out of the image's reach, if something is to be written through it.
func (c *compiler) procfs() {
	item := c.writesProcfs()
	if item == "" {
		return
	}
	pid := spec.FindNamespace(c.linux, specs.PIDNamespace)
	if (c.has(specs.UserNamespace) || c.host.NoDeviceNodes) && (pid == nil || pid.Path != "") {
		// A user namespace may mount none of a pid namespace that is not its own; through the host's, too, the kernel
		// writes to the namespaces of who opens a file.
		c.add(item, plan.Keep{From: c.take(hostProcfs{}), As: plan.Procfs})
		return
	}
	// Made while the host's /proc is still in sight: where that is hidden, a user namespace may not mount one.
	c.add(item, plan.Filesystem{Type: "proc", Attr: hardened, Into: plan.Procfs})
}

// writesProcfs returns the first item that is written through a private procfs, or nothing.
func (c *compiler) writesProcfs() string {
	if len(c.linux.Sysctl) > 0 {
		return "linux.sysctl"
	}
	return c.label()
}

// label returns the item that labels the process, or nothing. The labels are written after the last phase of this
// package, when the program is about to be executed.
func (c *compiler) label() string {
	switch p := c.spec.Process; {
	case p == nil:
	case p.ApparmorProfile != "":
		return "process.apparmorProfile"
	case p.SelinuxLabel != "":
		return "process.selinuxLabel"
	}
	return ""
}

// attachPoint is "/", where no path of the host has to be looked up, unless a createContainer hook is to see the
// root at its path.
func (c *compiler) attachPoint() string {
	if h := c.spec.Hooks; h != nil && len(h.CreateContainer) > 0 {
		return c.host.Root
	}
	return "/"
}

// workingDirectory makes process.cwd when it is missing, before anything turns read-only.
func (c *compiler) workingDirectory() {
	if p := c.spec.Process; p != nil && path.Clean(p.Cwd) != "/" {
		at := plan.In(path.Clean(p.Cwd))
		at.Instead = dangling(c.host.RootDir, at.Name)
		c.add("process.cwd", plan.Mkdirs{At: at})
	}
}

// has reports whether the container has a namespace of its own or a joined one.
func (c *compiler) has(t specs.LinuxNamespaceType) bool { return spec.FindNamespace(c.linux, t) != nil }

// at names an element of a list in the configuration.
func at(list string, i int, object string) string {
	return list + "[" + strconv.Itoa(i) + "] " + object
}
