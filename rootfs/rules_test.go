package rootfs_test

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"skep/rootfs"
	"skep/spec"
)

// compiled compiles the example with changes.
func compiled(change func(s *specs.Spec, h *rootfs.Host)) (string, error) {
	s, h := spec.Example(spec.ExampleOptions{}), fakeHost()
	change(s, &h)
	return compile(s, h)
}

func withMount(m specs.Mount) func(*specs.Spec, *rootfs.Host) {
	return func(s *specs.Spec, _ *rootfs.Host) { s.Mounts = append(s.Mounts, m) }
}

func idmapped(m specs.Mount) specs.Mount {
	m.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 5, HostID: 6, Size: 7}}
	m.GIDMappings = m.UIDMappings
	return m
}

// MNT-09 MNT-15 MNT-18 MNT-19 IDM-11 MOPT-43: what cannot be done is said with its JSON path.
func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		change func(*specs.Spec, *rootfs.Host)
		want   string
	}{
		{withMount(bind("/missing/dir", "/x")), "mounts[7] /x: source: stat /missing/dir: no such file or directory"},
		{withMount(idmapped(bind("/srv", "/x", "remount"))), "mounts[7] /x: the owners of a mount that is in use already cannot be mapped"},
		{withMount(idmapped(specs.Mount{Destination: "/x", Type: "ext4", Options: []string{"iversion"}})),
			"mounts[7] /x: a ext4 with such options is mounted at once, and its owners cannot be mapped"},
		{func(s *specs.Spec, h *rootfs.Host) {
			h.Privileged = false
			withMount(idmapped(bind("/srv", "/x")))(s, h)
		},
			"mounts[7] /x: only the host's root can map the owners of a bind mount"},
		{func(s *specs.Spec, h *rootfs.Host) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
			withMount(idmapped(tmpfs("/x")))(s, h)
		}, "mounts[7] /x: the owners of a tmpfs that is made in a user namespace cannot be mapped"},
		{withMount(tmpfs("/x", "tmpcopyup", "iversion")), "mounts[7] /x: a tmpfs with such options is mounted at once, and tmpcopyup comes too late"},
		{withMount(tmpfs("/proc")), "mounts[7] /proc: only a procfs may be mounted on /proc, not tmpfs"},
		{withMount(tmpfs("/a/../proc/")), "mounts[7] /a/../proc/: only a procfs may be mounted on /proc, not tmpfs"},
		{withMount(specs.Mount{Destination: "/x", Options: []string{"remount", "size=1k"}}),
			`mounts[7] /x: "size=1k": a remount can change the flags of the mount, not its filesystem`},
		{withMount(specs.Mount{Destination: "/x", Type: "overlay", Options: []string{"lowerdir=" + strings.Repeat("/x", 3000)}}),
			"mounts[7] /x: the options of overlay are 6009 bytes long, the kernel takes 4095"},
		{func(s *specs.Spec, _ *rootfs.Host) { s.Linux.MaskedPaths = []string{"/a", "/b/.."} },
			"linux.maskedPaths[1] /b/..: nothing would be left"},
		{func(s *specs.Spec, _ *rootfs.Host) { s.Linux.Sysctl = map[string]string{"net/../kernel/x": "1"} },
			`linux.sysctl["net/../kernel/x"]: not the name of a kernel parameter: it leaves its directory`},
	} {
		if _, err := compiled(test.change); err == nil || err.Error() != test.want {
			t.Errorf("got %v\nwant %s", err, test.want)
		}
	}
}

// TestSteps looks at single decisions: lines that have to be in the plan, and with ! before them must not.
func TestSteps(t *testing.T) {
	user := specs.LinuxNamespace{Type: specs.UserNamespace}
	for name, test := range map[string]struct {
		change func(*specs.Spec, *rootfs.Host)
		want   []string
	}{
		"MNT-13 options in one string": {withMount(tmpfs("/x", "size=64k,mode=700", "nosuid")),
			[]string{"new tmpfs size=64k mode=700 nosuid → mount", "!give mount the mode of /x"}},
		"MNT-20 mode of the directory": {withMount(tmpfs("/x", "size=64k")), []string{"give mount the mode of /x"}},
		"MOPT-09 iversion": {withMount(specs.Mount{Destination: "/x", Type: "ext4", Source: "/dev/vdb", Options: []string{"iversion", "ro"}}),
			[]string{"mount ext4  → /x"}},
		"MNT-15 a comma that does not separate": {withMount(specs.Mount{Destination: "/x", Type: "overlay", Options: []string{`lowerdir=/a\,b:/c`}}),
			[]string{`mount overlay lowerdir=/a\,b:/c → /x`}},
		"MOPT-30 both levels": {withMount(specs.Mount{Destination: "/x", Type: "ext4", Source: "/dev/vdb", Options: []string{"ro", "noload"}}),
			[]string{"new ext4 ro noload ro → mount"}},
		"MNT-19 bind on /proc": {withMount(bind("/proc", "/proc")),
			[]string{"open  clone of /proc and all below, slave recursively, prove that it is on procfs → input4"}},
		"IDM-03 IDM-07 own mappings": {withMount(idmapped(bind("/srv", "/x"))),
			[]string{"open  clone of /srv and all below, owners mapped by user namespace of the uids 5:6:7 and the gids 5:6:7, slave recursively → input4"}},
		"IDM-04 IDM-06 the container's": {withMount(bind("/srv", "/x", "ridmap")),
			[]string{"open  clone of /srv and all below, owners mapped by the container's user namespace recursively, slave recursively → input4"}},
		"IDM-11 a new filesystem": {withMount(idmapped(tmpfs("/x"))),
			[]string{"open  user namespace of the uids 5:6:7 and the gids 5:6:7 → input4", "map the owners of mount by input4"}},
		"MOPT-43 MNT-21 filled, then read-only, then seen": {withMount(tmpfs("/x", "tmpcopyup", "ro")), []string{"new tmpfs → mount",
			"make directory /x", "find /x → covered", "hand covered to skep", "close covered", "set mount ro", "attach mount → /x"}},
		"DDEV-09 ptmx is mounted": {withMount(bind("/dev/pts/ptmx", "/dev/ptmx")), []string{"!link /dev/ptmx → pts/ptmx"}},
		"DDEV-12 no kcore": {func(_ *specs.Spec, h *rootfs.Host) {
			h.IsDir = func(path string) (bool, error) { return fakeIsDir("/missing") }
		}, []string{"!link /dev/core → /proc/kcore", "link /dev/fd → /proc/self/fd"}},
		"DDEV-13 the last mount on /dev counts": {withMount(bind("/srv", "/dev/")), []string{"!make node /dev/null c 1:3", "!link /dev/fd → /proc/self/fd"}},
		"MNT-25 sysfs with its own network": {func(s *specs.Spec, _ *rootfs.Host) { s.Linux.Namespaces = append(s.Linux.Namespaces, user) },
			[]string{"new sysfs ro ro nosuid nodev noexec → mount"}},
		"MNT-25 sysfs with a joined network": {func(s *specs.Spec, _ *rootfs.Host) {
			s.Linux.Namespaces = []specs.LinuxNamespace{user, {Type: specs.NetworkNamespace, Path: "/run/netns/x"}}
		}, []string{"open  clone of /sys and all below, ro nosuid nodev noexec slave recursively → input1"}},
		"MNT-25 both joined": {func(s *specs.Spec, _ *rootfs.Host) {
			s.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.UserNamespace, Path: "/u"}, {Type: specs.NetworkNamespace, Path: "/n"}}
		}, []string{"new sysfs ro ro nosuid nodev noexec → mount"}},
		"MNT-25 both joined, of different owners": {func(s *specs.Spec, h *rootfs.Host) {
			s.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.UserNamespace, Path: "/u"}, {Type: specs.NetworkNamespace, Path: "/n"}}
			h.ForeignNetwork = true
		}, []string{"open  clone of /sys and all below, ro nosuid nodev noexec slave recursively → input1"}},
		"SYS-04 domainname in a user namespace": {func(s *specs.Spec, _ *rootfs.Host) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, user)
			s.Linux.Sysctl = map[string]string{"kernel.domainname": "example.org"}
		}, []string{"set the domain name example.org"}},
		"HKW-03 a hook wants to see the root": {func(s *specs.Spec, _ *rootfs.Host) {
			s.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{{Path: "/bin/true"}}}
		}, []string{"attach root → host:/bundle/rootfs"}},
		"HKW-02 others do not": {func(s *specs.Spec, _ *rootfs.Host) {
			s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/true"}}}
		}, []string{"attach root → host:/"}},
		"nothing to mask": {func(s *specs.Spec, _ *rootfs.Host) { s.Linux.MaskedPaths = nil },
			[]string{"!open  clone of /dev/null, nosuid noexec private, prove that it is c 1:3 → input0", "!close mask null"}},
		"no linux section": {func(s *specs.Spec, _ *rootfs.Host) { s.Linux, s.Process = nil, nil }, []string{"pivot to root", "set root ro"}},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := compiled(test.change)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range test.want {
				line, not := strings.CutPrefix(line, "!")
				if strings.Contains(text, "\n  "+line+"\n") == not {
					t.Errorf("line %q, unwanted: %v\n%s", line, not, text)
				}
			}
		})
	}
}

// MOPT-49: a bind mount is read-only before it can be seen, whoever makes it so.
func TestFlagsComeBeforeAttaching(t *testing.T) {
	for _, test := range []struct {
		privileged bool
		before     string
	}{
		{true, "  open  clone of /srv and all below, ro"}, {false, "  set mount ro\n"},
	} {
		text, err := compiled(func(s *specs.Spec, h *rootfs.Host) {
			h.Privileged = test.privileged
			s.Mounts = []specs.Mount{bind("/srv", "/x", "ro")}
		})
		before, after, found := strings.Cut(text, " → /x\n")
		if err != nil || !found || !strings.Contains(before, test.before) || strings.Contains(after, "set mount ro") {
			t.Errorf("privileged %v: %v\n%s", test.privileged, err, text)
		}
	}
}

// SYS-09: whatever the order of a map, plans are the same.
func TestOrderOfSysctls(t *testing.T) {
	values := map[string]string{}
	for _, name := range []string{"net.c", "net.a", "fs.mqueue.b", "kernel.msgmax", "net/a.b", "net.d"} {
		values[name] = "1"
	}
	text, err := compiled(func(s *specs.Spec, _ *rootfs.Host) { s.Linux.Sysctl = values })
	if err != nil {
		t.Fatal(err)
	}
	const want = "  write 1 to /proc/sys/fs/mqueue/b\n  write 1 to /proc/sys/kernel/msgmax\n  write 1 to /proc/sys/net/a\n" +
		"  write 1 to /proc/sys/net/c\n  write 1 to /proc/sys/net/d\n  write 1 to /proc/sys/net/a.b\n"
	if !strings.Contains(text, want) {
		t.Error(text)
	}
}

// MNT-19: only a procfs comes onto /proc.
func TestBindOnProc(t *testing.T) {
	for _, k := range kinds {
		b := newBox(t, k)
		b.mount(bind("/proc", "/proc", "ro"))
		b.up()
		if m := b.at("/proc"); m.fstype != "proc" || !m.has("ro") {
			t.Errorf("%+v", m)
		}
		b = newBox(t, k)
		b.mount(bind(t.TempDir(), "/proc"))
		b.fails("mounts[7] /proc: ", "procfs")
	}
}

// TestSourceVanishes removes a source between compilation and play.
func TestSourceVanishes(t *testing.T) {
	for _, k := range kinds {
		b := newBox(t, k)
		b.host.IsDir = func(string) (bool, error) { return true, nil }
		b.mount(bind("/no/such/source", "/x"))
		b.fails("mounts[7] /x: clone the mount at /no/such/source", "no such file or directory")
	}
}
