package libcontainer

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/cgroups"
	"skep/libcontainer/process"
	"skep/libcontainer/resctrl"
	"skep/nsenter/plan"
	"skep/rootfs"
	"skep/spec"
)

// initName is what a container's init is called until it becomes the program (at most 15 bytes).
const initName = "skep:[init]"

// blueprint is everything that can be known about a container before anything of it exists.
type blueprint struct {
	config   *spec.Config
	spec     *specs.Spec
	bundle   string // absolute
	root     string // absolute, symlinks resolved
	rootDir  *os.File
	joins    []*joined // namespaces of others
	unit     *unit     // nil without systemd
	group    *cgroups.Group
	writes   []cgroups.Write
	mounts   *rootfs.Plan
	owners   *owners
	rdt      *resctrl.Tree // nil without linux.intelRdt
	reveal   []string      // see rootfs.Host.Revealing
	process  process.Host
	rights   rights
	slack    uint64 // timer slack to be given back to the child, in nanoseconds; 0 leaves it
	warnings []string
}

// design loads, validates and compiles the configuration of a bundle. Nothing on the host is changed.
func design(ctx context.Context, bundle, id string, o *options) (*blueprint, error) {
	b := &blueprint{slack: o.timerSlack, rights: rightsFor(o)}
	var err error
	if b.bundle, err = filepath.Abs(bundle); err != nil {
		return nil, err
	}
	if !utf8.ValidString(b.bundle) { // nor could managers read the state, which tells of it
		return nil, fmt.Errorf("the bundle's path %q is not UTF-8", b.bundle)
	}
	if b.config, err = spec.Load(b.bundle); err != nil {
		return nil, err
	}
	b.spec = b.config.Spec
	warnings, err := spec.Validate(b.spec, spec.Options{
		Rootless:      !b.rights.admin,
		NoPivot:       o.noPivot,
		Detached:      o.console == nil && !o.planning,
		ConsoleSocket: o.consoleSocket != "",
	})
	b.warn(b.config.Warnings...)
	b.warn(warnings...)
	if err != nil {
		return nil, err
	}
	if b.spec.Linux == nil {
		b.spec.Linux = &specs.Linux{}
	}
	if err := checkMountNamespace(b.spec); err != nil {
		return nil, err
	}
	b.designNotify(o)
	if err := b.designProcess(id, o); err != nil {
		return nil, err
	}
	if err := b.openRoot(); err != nil {
		return nil, err
	}
	if err = b.designCgroups(ctx, id, o); err == nil {
		err = b.designNamespaces(o)
	}
	if err == nil {
		err = b.designRdt(o)
	}
	if err == nil && o.noPivot {
		b.reveal, err = revealing()
	}
	if err == nil {
		b.mounts, err = rootfs.Compile(b.spec, b.rootfsHost(o))
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *blueprint) warn(ws ...string) { b.warnings = append(b.warnings, ws...) }

// openRoot follows symlinks in root.path once. From then on the descriptor is the root: what its path comes to mean
// does not matter (root.path, config.md#root).
func (b *blueprint) openRoot() error {
	path := b.spec.Root.Path
	if !filepath.IsAbs(path) {
		path = filepath.Join(b.bundle, path)
	}
	if ns := spec.FindNamespace(b.spec.Linux, specs.MountNamespace); ns != nil && ns.Path != "" {
		b.root = filepath.Clean(path) // there, where init opens it
		return nil
	}
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("root.path: %s: %w", path, err)
	}
	b.rootDir = os.NewFile(uintptr(fd), path)
	if b.root, err = os.Readlink("/proc/self/fd/" + strconv.Itoa(fd)); err != nil {
		return fmt.Errorf("root.path: %w", err)
	}
	return nil
}

func (b *blueprint) designCgroups(ctx context.Context, id string, o *options) error {
	layout, err := cgroups.Detect()
	if err != nil {
		return err
	}
	resources := b.spec.Linux.Resources
	switch {
	case !b.rights.host:
		resources = deviceRules(resources)
	case o.noCgroups:
		rest := deviceRules(resources)
		if denies(resources) && !denies(rest) {
			b.warn("linux.resources.devices: not enforced, because the caller wants no cgroups: whoever may open a device's node in the container has the device")
		}
		resources = rest
	case !o.rootless:
		resources = guarded(resources)
	}
	var warnings []string
	if b.writes, warnings, err = cgroups.Compile(layout.Mode(), resources); err != nil {
		return err
	}
	b.warn(warnings...)
	if o.noCgroups {
		layout = nil
	} else if o.systemd {
		return b.designUnit(ctx, layout, id, o)
	}
	b.group, err = cgroups.New(layout, b.spec.Linux.CgroupsPath, id, o.rootless)
	return err
}

// groupOf finds the cgroups of a configuration.
func (o *options) groupOf(s *specs.Spec, id string) (*cgroups.Group, error) {
	layout, err := cgroups.Detect()
	if err != nil {
		return nil, err
	}
	if o.systemd {
		u, group, err := o.findUnit(context.Background(), layout, s, id)
		u.close()
		return group, err
	}
	path := ""
	if s.Linux != nil {
		path = s.Linux.CgroupsPath
	}
	return cgroups.New(layout, path, id, o.rootless)
}

// processHost gathers what the host lets a process have.
func processHost(s *specs.Spec) process.Host {
	h := process.Host{}
	bounding := uint64(0)
	for ; h.LastCap < 64; h.LastCap++ {
		on, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(h.LastCap), 0, 0, 0)
		if err != nil {
			break // the kernel knows no more
		}
		bounding |= uint64(on) << h.LastCap
	}
	h.LastCap--
	if spec.FindNamespace(s.Linux, specs.UserNamespace) != nil {
		h.Grantable = 1<<(h.LastCap+1) - 1
		return h
	}
	if bits, err := unix.PrctlRetInt(unix.PR_GET_SECUREBITS, 0, 0, 0, 0); err == nil {
		h.Securebits = bits
	}
	var data [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &data[0]); err == nil {
		h.Grantable = bounding & (uint64(data[1].Permitted)<<32 | uint64(data[0].Permitted))
	}
	return h
}

func (b *blueprint) rootfsHost(o *options) rootfs.Host {
	b.owners = &owners{}
	return rootfs.Host{
		Bundle:     b.bundle,
		Root:       b.root,
		RootDir:    b.rootDir,
		Privileged: b.rights.mounts,
		Cgroups:    b.group.Paths(),
		NoMounts:   !spec.MakesMounts(b.spec.Linux),
		NoPivot:    o.noPivot,
		Revealing:  b.reveal,

		UserNamespace:  b.owners.open,
		ForeignNetwork: b.foreignNetwork(),
		NoDeviceNodes:  !b.rights.host,
		IsDir: func(path string) (bool, error) {
			if path == o.notifyDir {
				return true, nil // it will be made together with the container
			}
			st, err := os.Stat(path)
			return err == nil && st.IsDir(), err
		},
	}
}

// enter is init's first phase: it takes its place in cgroups and namespaces.
func (b *blueprint) enter(tasks []plan.Source) *plan.Phase {
	p := &plan.Phase{Name: "enter"}
	p.Add(plan.Name{Name: initName}, plan.ResetSignals{}, plan.Setsid{})
	if b.slack != 0 {
		p.Add(plan.TimerSlack{Nanoseconds: b.slack})
	}
	for _, t := range tasks {
		p.Add(plan.JoinCgroup{Tasks: p.Take(t), Name: t.String()})
	}
	p.Add(plan.ResetAffinity{})
	clone, _, late := b.namespaceFlags()
	if clone&unix.CLONE_NEWUSER != 0 {
		uid, gid := firstIDs(b.spec.Linux)
		p.Add(plan.SetIDs{UID: uid, GID: gid, KeepGroups: b.process.KeepGroups})
	}
	if !b.stepwise() {
		b.joinAll(p, func(*joined) bool { return true })
	}
	unshareAll(p, late)
	p.Add(inheritedByAll(b.spec.Linux)...)
	if b.spec.Hostname != "" {
		p.Add(plan.For{Item: "hostname", Step: plan.Hostname{Name: b.spec.Hostname}})
	}
	if b.spec.Domainname != "" {
		p.Add(plan.For{Item: "domainname", Step: plan.Domainname{Name: b.spec.Domainname}})
	}
	if b.makes(specs.NetworkNamespace) {
		p.Add(plan.LoopbackUp{})
	}
	return p
}

// inheritedByAll are the steps for what every process of the container inherits from its first.
func inheritedByAll(l *specs.Linux) []plan.Step {
	var steps []plan.Step
	if per := l.Personality; per != nil {
		domain, _ := spec.Personalities.Lookup(per.Domain)
		steps = append(steps, plan.For{Item: "linux.personality", Step: plan.Personality{Domain: uint64(domain), Name: string(per.Domain)}})
	}
	if m := l.MemoryPolicy; m != nil {
		steps = append(steps, process.MemoryPolicy(m))
	}
	return steps
}

// Plan returns what Create and Start would do for a bundle, as text. It needs no privileges.
func Plan(bundle, id string, opts ...Option) (string, error) {
	o := newOptions(false, opts)
	o.planning = true
	b, err := design(context.Background(), bundle, id, o)
	if err != nil {
		return "", err
	}
	defer b.close()
	o.report(b.warnings)
	phases := append(b.placement(), b.enter(tasksSources(b.group)))
	phases = append(append(phases, b.mounts.Rootfs...), b.mounts.Pivot)
	if p := b.spec.Process; p != nil {
		filter, err := b.filter("")
		if err != nil {
			return "", err
		}
		settle, warnings, err := process.Settle(p, b.process, filter != nil)
		if err != nil {
			return "", err
		}
		o.report(warnings)
		env, err := process.Environment(p, "/")
		if err != nil {
			return "", err
		}
		release := process.Release(p, p.Args[0], env, b.process, filter)
		waitAt(release, fifo(gateFile), fifo(verdictFile))
		phases = append(phases, settle, release)
	}
	var text strings.Builder
	b.printCgroups(&text)
	if err := b.printRdt(&text, id); err != nil {
		return "", err
	}
	printDevices(&text, b.spec.Linux.NetDevices)
	printHooks(&text, b.spec.Hooks)
	known := plan.SlotSet(0)
	for _, p := range phases {
		if _, err := plan.Lower(p, &known); err != nil {
			return "", err
		}
		text.WriteString(p.String())
	}
	return text.String(), nil
}

func (b *blueprint) printCgroups(w *strings.Builder) {
	w.WriteString("cgroups " + b.group.Mode().String() + "\n")
	if b.manages() {
		w.WriteString("  unit  " + b.unit.Name + " in " + b.unit.Slice + "\n")
		for _, p := range b.unit.properties {
			w.WriteString("  set   " + p.String() + "\n")
		}
	}
	for _, path := range slices.Sorted(maps.Values(b.group.Paths())) {
		w.WriteString("  make  " + path + "\n")
	}
	for _, write := range b.writes {
		w.WriteString("  write " + write.File + " " + write.Value + "\n")
	}
}
