package tests

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// unmounted takes what only mounts can do out of a configuration.
func unmounted(s *specs.Spec) {
	s.Mounts, s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil, nil
}

// NS-12 ROOT-06 DDEV-01: in the host's mount namespace a container has its root, and a /dev, and nothing is mounted.
func TestHostMountNamespace(t *testing.T) {
	r := newRuntime(t)
	mounts := readFile(t, "/proc/self/mountinfo")
	b := newBundle(t, without(specs.MountNamespace), unmounted, proc(func(p *specs.Process) { p.Cwd = "/work/here" }),
		linux(func(l *specs.Linux) {
			l.Sysctl = map[string]string{"kernel.msgmax": "4242"} // through a procfs that nobody sees
			l.Devices = []specs.LinuxDevice{{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229}}
		}), args("/bin/sh", "-c", "pwd; ls /; echo x >/dev/null && stat -c %t:%T /dev/fuse; exec sleep 1000"))
	c := r.runDetached(b)
	if namespaceOf(t, c.pid, "mnt") != namespaceOf(t, os.Getpid(), "mnt") {
		t.Error("the container has a mount namespace of its own")
	}
	if root, err := os.Readlink(procPath(c.pid, "root")); err != nil || root != b.rootfs {
		t.Errorf("its root is %s, %v", root, err)
	}
	eventually(t, "output", func() bool { return strings.Count(c.made.later(t), "\n") == 12 })
	wantLines(t, c.made.later(t), "/work/here", "bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "usr", "work", "a:e5")
	if now := readFile(t, "/proc/self/mountinfo"); now != mounts {
		t.Errorf("the host has other mounts now:\n%s", now)
	}
	c.stop()
	c.delete()
	if now := readFile(t, "/proc/self/mountinfo"); now != mounts {
		t.Errorf("the host has other mounts afterwards:\n%s", now)
	}
}

// NS-12: what takes a mount is refused, all of it at once.
func TestHostMountNamespaceRefusals(t *testing.T) {
	r := newRuntime(t)
	create := func(edits ...edit) call {
		return call{args: []string{"create", "--bundle", newBundle(t, append([]edit{without(specs.MountNamespace), unmounted}, edits...)...).dir, r.id()}}
	}
	const why = "nothing is mounted in the host's mount namespace"
	r.refuse(create(mounts(tmpfsAt("/x")), linux(func(l *specs.Linux) { l.RootfsPropagation = "slave" }), func(s *specs.Spec) { s.Root.Readonly = true }),
		"mounts, root.readonly, linux.rootfsPropagation: "+why)
	r.refuse(create(userNamespace()), "a user namespace, whose devices are mounts: "+why)
	pid := holder(t, unix.CLONE_NEWNS, nil)
	path := procPath(pid, "ns/mnt")
	r.refuse(create(namespace(specs.MountNamespace, path), mounts(tmpfsAt("/x")), linux(func(l *specs.Linux) {
		l.MaskedPaths, l.ReadonlyPaths = []string{"/a"}, []string{"/b"}
	})), "mounts, linux.maskedPaths, linux.readonlyPaths: nothing is mounted in the mount namespace "+path)
}

// NS-09 ROOT-03: a second container in the filesystem of another one, which notices nothing.
func TestMountNamespaceJoined(t *testing.T) {
	r := newRuntime(t)
	first := r.runDetached(newBundle(t, mounts(tmpfsAt("/shared"))))
	writeFile(t, procPath(first.pid, "root/shared/file"), "of the first\n")
	mounts := readFile(t, procPath(first.pid, "mountinfo"))
	join := func(root string) []edit {
		return []edit{namespace(specs.MountNamespace, procPath(first.pid, "ns/mnt")), namespace(specs.PIDNamespace, procPath(first.pid, "ns/pid")), unmounted, func(s *specs.Spec) { s.Root.Path = root },
			args("/bin/sh", "-c", "cat /shared/file /file 2>/dev/null; cut -d' ' -f5 /proc/self/mountinfo; exec sleep 1000")}
	}
	second := r.runDetached(newBundle(t, join("/")...))
	wantJoined(t, second, first.pid, "mnt")
	var points []string
	for _, m := range parseMounts(mounts) {
		points = append(points, m.point)
	}
	eventually(t, "output", func() bool { return strings.Count(second.made.later(t), "\n") == 1+len(points) })
	lines := strings.Split(strings.TrimSpace(second.made.later(t)), "\n")
	if lines[0] != "of the first" || !slices.Equal(lines[1:], points) {
		t.Errorf("%q, want the mounts %q", lines, points)
	}
	// The root may be any directory there.
	third := newBundle(t, append(join("/shared"), proc(func(p *specs.Process) { p.Args = []string{"/busybox", "cat", "/file"} }))...)
	busybox := readFile(t, third.rootfs+"/bin/busybox")
	if err := os.WriteFile(procPath(first.pid, "root/shared/busybox"), []byte(busybox), 0o755); err != nil {
		t.Fatal(err)
	}
	wantLines(t, r.output(third), "of the first")
	r.fails("root.path", "create", "--bundle", newBundle(t, join("rootfs")...).dir, r.id()) // the bundle is not there

	second.stop()
	second.delete()
	if now := readFile(t, procPath(first.pid, "mountinfo")); now != mounts {
		t.Errorf("the first container has other mounts now:\n%s", now)
	}
	first.delete("--force")
}

// NS-12 HKW-03 HKW-04: hooks of the container see the root that it has.
func TestHostMountNamespaceHooks(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, without(specs.MountNamespace), unmounted, args("/bin/true"))
	lists := hookLists()
	addHooks(b, lists[2], shHook("pwd >"+b.dir+"/log"))
	addHooks(b, lists[3], specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", "pwd >/log; ls / >>/log"}})
	r.output(b)
	wantLines(t, readFile(t, filepath.Join(b.dir, "log")), b.dir)
	wantLines(t, strings.Join(b.log(), "\n"), "/", "bin", "dev", "etc", "home", "log", "proc", "root", "sys", "tmp", "usr")
}

// NS-09 NS-12 CGP-12: exec comes to where init is, not to the root of the namespace.
func TestForeignExec(t *testing.T) {
	r := newRuntime(t)
	first := r.runDetached(newBundle(t, mounts(tmpfsAt("/shared"))))
	for name, edits := range map[string][]edit{
		"host":   {without(specs.MountNamespace)},
		"joined": {namespace(specs.MountNamespace, procPath(first.pid, "ns/mnt")), func(s *specs.Spec) { s.Root.Path = "/tmp" }},
	} {
		b := newBundle(t, append(edits, unmounted)...)
		if name == "joined" {
			busybox := readFile(t, b.rootfs+"/bin/busybox")
			if err := os.MkdirAll(procPath(first.pid, "root/tmp/bin"), 0o755); err != nil {
				t.Fatal(err)
			}
			for _, applet := range []string{"sleep", "pwd", "ls"} {
				if err := os.WriteFile(procPath(first.pid, "root/tmp/bin/"+applet), []byte(busybox), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			b.spec.Process.Args = []string{"/bin/sleep", "1000"}
			b.save()
		}
		c := r.runDetached(b)
		writeFile(t, procPath(c.pid, "root/mark-"+name), "")
		if out := r.ok("exec", c.id, "/bin/ls", "/").stdout; !strings.Contains(out, "mark-"+name) {
			t.Errorf("%s: exec sees %s", name, out)
		}
		c.stop()
		c.delete()
	}
	first.delete("--force")
}
