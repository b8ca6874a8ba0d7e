package tests

import (
	"encoding/json"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"
)

func readFeatures(r *ociRuntime) features.Features {
	r.t.Helper()
	var f features.Features
	if err := json.Unmarshal([]byte(r.ok("features").stdout), &f); err != nil {
		r.t.Fatal(err)
	}
	return f
}

// FT-01 FT-02 FT-03 FT-05 FT-09 FT-10
func TestFeatures(t *testing.T) {
	r := newRuntime(t)
	out := r.ok("features").stdout
	if !strings.HasPrefix(out, "{\n    \"ociVersionMin\": \"1.0.0\",\n") || !strings.HasSuffix(out, "\n}\n") {
		t.Errorf("not an object with four blanks before each key:\n%s", out)
	}
	if !strings.Contains(out, "\n    \"potentiallyUnsafeConfigAnnotations\": [\n        \"org.criu.config\",\n        \"org.systemd.property.\",\n        \"run.oci.mount_context_type\"\n    ]") {
		t.Errorf("whether there are unsafe annotations is not told:\n%s", out)
	}
	nobody := call{args: []string{"features"}, user: &syscall.Credential{Uid: 65534, Gid: 65534}, bare: true, wrap: []string{"unshare", "-Ur"}}
	if other := r.succeed(nobody).stdout; other != out {
		t.Errorf("somebody else, in other surroundings, reads\n%s", other)
	}
	f := readFeatures(r)
	version, _, _ := strings.Cut(r.ok("--version").stdout, "\n")
	for key, value := range f.Annotations {
		if value == "" || strings.ContainsAny(value, "\n\r") {
			t.Errorf("annotation %s is %q", key, value)
		}
	}
	if got := "skep version " + f.Annotations["skep.version"]; got != version {
		t.Errorf("the features say %q, --version %q", got, version)
	}
	s := f.Linux.Seccomp
	for _, name := range s.SupportedFlags {
		if !slices.Contains(s.KnownFlags, name) {
			t.Errorf("%s is supported, but not known", name)
		}
	}
	r.fails("unexpected argument", "features", "x")
}

// What the features list is accepted, and what they do not list is refused. Most of a plan needs no host that has it.
// VER-05 FT-06 FT-07 FTL-01 FTL-03 FTL-04 FTL-05 FTL-06 FTL-07 FTL-08 FTL-09 FTL-10
func TestFeaturesPlanned(t *testing.T) {
	r := newRuntime(t)
	f := readFeatures(r)
	b := newBundle(t)
	plan := func(what string, promised bool, change edit) {
		t.Helper()
		saved := b.spec
		b.spec = defaultSpec()
		change(b.spec)
		b.save()
		b.spec = saved
		res := r.do("plan", "--bundle", b.dir)
		switch refused := strings.Contains(res.stderr, "not supported"); {
		case promised && res.code != 0 && !strings.Contains(res.stderr, "not enabled on this host"):
			t.Errorf("%s is listed: exit %d, %s", what, res.code, res.stderr)
		case !promised && !refused:
			t.Errorf("%s is not listed, but done: exit %d, %s", what, res.code, res.stderr)
		}
	}
	for _, version := range []string{f.OCIVersionMin, f.OCIVersionMax} {
		plan("ociVersion "+version, true, func(s *specs.Spec) { s.Version = version })
	}
	for _, name := range f.MountOptions {
		plan("mount option "+name, true, mountWith(name))
	}
	for _, name := range []specs.LinuxNamespaceType{"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"} {
		new := namespace(name, "")
		if name == specs.UserNamespace {
			new = userNamespace()
		}
		plan("namespace "+string(name), slices.Contains(f.Linux.Namespaces, string(name)), new)
	}
	plannedHooks(f, plan)
	plannedSeccomp(f, plan)
	plannedLinux(f, plan)
}

type planned func(what string, promised bool, change edit)

// mountWith makes a mount that an option suits.
func mountWith(option string) edit {
	m := specs.Mount{Destination: "/x", Type: "tmpfs", Source: "tmpfs", Options: []string{option}}
	switch strings.TrimPrefix(option, "r") {
	case "bind":
		m.Type, m.Source = "", "/tmp"
	case "idmap", "didmap":
		m.Type, m.Source, m.Options = "", "/tmp", []string{"rbind", option}
		return func(s *specs.Spec) {
			userNamespace()(s)
			mounts(m)(s)
		}
	case "emount":
		m = specs.Mount{Destination: "/dev/shm", Options: []string{option}}
	}
	return mounts(m)
}

func plannedHooks(f features.Features, plan planned) {
	hook := []specs.Hook{{Path: "/bin/true"}}
	for name, hooks := range map[string]specs.Hooks{
		"prestart": {Prestart: hook}, "createRuntime": {CreateRuntime: hook}, "createContainer": {CreateContainer: hook},
		"startContainer": {StartContainer: hook}, "poststart": {Poststart: hook}, "poststop": {Poststop: hook},
	} {
		plan("hook "+name, slices.Contains(f.Hooks, name), func(s *specs.Spec) { s.Hooks = &hooks })
	}
}

func plannedSeccomp(f features.Features, plan planned) {
	with := func(change func(*specs.LinuxSeccomp)) edit {
		profile := specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: "/agent"}
		change(&profile)
		return seccomp(profile)
	}
	rule := func(action string, args ...specs.LinuxSeccompArg) edit {
		return with(func(s *specs.LinuxSeccomp) {
			s.Syscalls = []specs.LinuxSyscall{{Names: []string{"mkdir"}, Action: specs.LinuxSeccompAction(action), Args: args}}
		})
	}
	for _, name := range f.Linux.Seccomp.Actions {
		plan(name, true, rule(name))
	}
	for _, name := range f.Linux.Seccomp.Operators {
		plan(name, true, rule("SCMP_ACT_ERRNO", specs.LinuxSeccompArg{Op: specs.LinuxSeccompOperator(name)}))
	}
	for _, name := range f.Linux.Seccomp.SupportedFlags {
		plan(name, true, with(func(s *specs.LinuxSeccomp) { s.Flags = []specs.LinuxSeccompFlag{specs.LinuxSeccompFlag(name)} }))
	}
	// A filter for the other byte order cannot be built together with the host's own.
	for _, name := range []string{"SCMP_ARCH_X86", "SCMP_ARCH_X86_64", "SCMP_ARCH_ARM", "SCMP_ARCH_AARCH64", "SCMP_ARCH_RISCV64"} {
		if slices.Contains(f.Linux.Seccomp.Archs, name) {
			plan(name, true, with(func(s *specs.LinuxSeccomp) { s.Architectures = []specs.Arch{specs.Arch(name)} }))
		}
	}
}

func plannedLinux(f features.Features, plan planned) {
	l := f.Linux
	plan("memoryPolicy", l.MemoryPolicy != nil, linux(func(l *specs.Linux) {
		l.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolLocal}
	}))
	plan("intelRdt", *l.IntelRdt.Enabled, linux(func(l *specs.Linux) { l.IntelRdt = &specs.LinuxIntelRdt{ClosID: "x"} }))
	plan("intelRdt.schemata", *l.IntelRdt.Schemata, linux(func(l *specs.Linux) {
		l.IntelRdt = &specs.LinuxIntelRdt{ClosID: "x", Schemata: []string{"L3:0=f"}}
	}))
	plan("intelRdt.monitoring", *l.IntelRdt.Monitoring, linux(func(l *specs.Linux) {
		l.IntelRdt = &specs.LinuxIntelRdt{ClosID: "x", EnableMonitoring: true}
	}))
	plan("netDevices", *l.NetDevices.Enabled, linux(func(l *specs.Linux) {
		l.NetDevices = map[string]specs.LinuxNetDevice{"eth9": {}}
	}))
	plan("apparmor", *l.Apparmor.Enabled, proc(func(p *specs.Process) { p.ApparmorProfile = "x" }))
	plan("selinux", *l.Selinux.Enabled, func(s *specs.Spec) { s.Process.SelinuxLabel, s.Linux.MountLabel = "a:b:c:s0", "a:b:d:s0" })
	plan("rdma", *l.Cgroup.Rdma, resources(func(r *specs.LinuxResources) {
		r.Rdma = map[string]specs.LinuxRdma{"mlx5": {HcaHandles: ptr(uint32(1))}}
	}))
}
