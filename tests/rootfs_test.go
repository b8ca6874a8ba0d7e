package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func bind(source, destination string, options ...string) specs.Mount {
	return specs.Mount{Source: source, Destination: destination, Type: "bind", Options: append([]string{"rbind"}, options...)}
}

// ROOT-07 ROOT-08 ROOT-10
func TestReadonlyRoot(t *testing.T) {
	r := newRuntime(t)
	readonly := func(s *specs.Spec) { s.Root.Readonly = true }
	tmpfs := specs.Mount{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs"}
	b := newBundle(t, readonly, mounts(tmpfs), args("/bin/sh", "-c", "touch /x; touch /tmp/x && echo tmp; touch /dev/x && echo dev; cat /proc/self/mountinfo"))
	res := r.run(b)
	if !strings.Contains(res.stderr, "/x: Read-only file system") || b.exists("x") {
		t.Errorf("touch /x says %q", res.stderr)
	}
	if !strings.HasPrefix(res.stdout, "tmp\ndev\n") {
		t.Errorf("the other mounts: %s %s", res.stdout, res.stderr)
	}
	root, ok := mountAt(strings.TrimPrefix(res.stdout, "tmp\ndev\n"), "/")
	if !ok || !has(root.options, "ro") {
		t.Errorf("mountinfo has / as %+v", root)
	}
	if out := r.sh("touch /x && echo fine"); out != "fine" {
		t.Errorf("a writable root: %s", out)
	}
}

// ROOT-04 ROOT-06: absolute, and through a symlink.
func TestRootPath(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/cat", "/mark"))
	b.write("mark", "found\n", 0o644)
	elsewhere := filepath.Join(tempDir(t), "root with blank")
	if err := os.Rename(b.rootfs, elsewhere); err != nil {
		t.Fatal(err)
	}
	b.spec.Root.Path = elsewhere
	b.save()
	wantLines(t, r.output(b), "found")
	if err := os.Symlink(elsewhere, b.rootfs); err != nil {
		t.Fatal(err)
	}
	b.spec.Root.Path = "rootfs"
	b.save()
	wantLines(t, r.output(b), "found")
	// Where the link leads while the hooks run, or later, is all the same.
	addHooks(b, hookLists()[1], shHook("ln -sfn /etc "+b.rootfs))
	c := r.create(b)
	c.start()
	c.awaitStatus("stopped")
	wantLines(t, c.made.later(t), "found")
	c.delete()
}

// PRP-08 PRP-11 PRP-12
func TestMaskedAndReadonlyPaths(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, linux(func(l *specs.Linux) {
		l.MaskedPaths = []string{"/proc/version", "/secret/dir", "/secret/file", "/no/such/path", "/secret/other"}
		l.ReadonlyPaths = []string{"/proc/sys", "/kept", "/no/such/path"}
	}), args("/bin/sh", "-c", `wc -c </proc/version; ls -A /secret/dir /secret/other; cat /secret/file; stat -c %d /secret/dir /secret/other | uniq | wc -l; touch /secret/dir/x; touch /kept/x; cat /kept/y; echo 1 >/proc/sys/kernel/printk`))
	for _, name := range []string{"secret/dir/a", "secret/other/a", "secret/file", "kept/y"} {
		b.write(name, "content\n", 0o644)
	}
	res := r.run(b)
	wantLines(t, res.stdout, "0", "/secret/dir:", "", "/secret/other:", "1", "content")
	if n := strings.Count(res.stderr, "Read-only file system") + strings.Count(res.stderr, "can't create"); n < 3 {
		t.Errorf("writes were refused %d times: %s", n, res.stderr)
	}
	if b.exists("secret/dir/x") || b.exists("kept/x") {
		t.Error("a write went through to the image")
	}
}

// PRP-10: CVE-2025-31133, a /dev/null of the image is no mask.
func TestMaskSourceIsNotTheImages(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/cat", "/proc/version"), func(s *specs.Spec) {
		s.Mounts = append(s.Mounts[:1:1], s.Mounts[5]) // without a /dev of its own
		s.Linux.MaskedPaths = []string{"/proc/version"}
	})
	if err := os.Symlink("../etc/passwd", b.rootfs+"/dev/null"); err != nil {
		t.Fatal(err)
	}
	if res := r.run(b); strings.Contains(res.stdout, "root:") {
		t.Errorf("the masked file shows %q", res.stdout)
	}
}

// DDEV-01 … DDEV-07 DDEV-09 DDEV-10 DDEV-11
func TestDefaultDevices(t *testing.T) {
	r := newRuntime(t)
	const show = `cd /dev; for d in null zero full random urandom tty; do stat -c '%n %A %u %g %t:%T' $d; done
		for l in ptmx fd stdin stdout stderr; do echo $l $(readlink $l); done
		echo x >null; head -c 3 zero | od -An -tx1; head -c 1 urandom >null && echo read; (echo x >full) 2>/dev/null || echo full`
	want := []string{
		"null crw-rw-rw- 0 0 1:3", "zero crw-rw-rw- 0 0 1:5", "full crw-rw-rw- 0 0 1:7",
		"random crw-rw-rw- 0 0 1:8", "urandom crw-rw-rw- 0 0 1:9", "tty crw-rw-rw- 0 0 5:0",
		"ptmx pts/ptmx", "fd /proc/self/fd", "stdin /proc/self/fd/0", "stdout /proc/self/fd/1", "stderr /proc/self/fd/2",
		" 00 00 00", "read", "full",
	}
	wantLines(t, r.sh(show), want...)
	wantLines(t, r.sh(show, user(1000, 1000)), want...)
}

// DDEV-04: what the configuration mounts on a default device stays there; many have /dev/urandom on /dev/random.
func TestMountedDefaultDevice(t *testing.T) {
	r := newRuntime(t)
	file := filepath.Join(tempDir(t), "file")
	writeFile(t, file, "mine\n")
	over := mounts(specs.Mount{Destination: "/dev/random", Source: "/dev/urandom", Options: []string{"bind"}}, bind(file, "/dev/full"))
	for _, more := range []edit{func(*specs.Spec) {}, userNamespace()} {
		b := newBundle(t, more, over, args("/bin/sh", "-c", "stat -c %t:%T /dev/random /dev/urandom; cat /dev/full"))
		b.chown(100_000, 100_000)
		wantLines(t, r.output(b), "1:9", "1:9", "mine")
	}
	// A /dev over them hides them.
	wantLines(t, r.sh("stat -c %t:%T /dev/random /dev/full", func(s *specs.Spec) {
		dev := s.Mounts[1]
		over(s)
		s.Mounts = append(slices.Delete(s.Mounts, 1, 2), dev)
		s.Linux.MaskedPaths = nil
	}), "1:8", "1:7")
}

// DDEV-15: a /dev/null of the host on stdio becomes the container's.
func TestStdioNull(t *testing.T) {
	r := newRuntime(t)
	// Detached: a foreground runtime may stand between the streams.
	c := r.runDetached(newBundle(t, args("/bin/sh", "-c", "stat -L -c %d /proc/$$/fd/0; stat -c %d /dev/null")))
	c.awaitStatus("stopped")
	lines := strings.Fields(c.made.later(t))
	if len(lines) != 2 || lines[0] != lines[1] {
		t.Errorf("stdin and /dev/null are on the filesystems %v", lines)
	}
}

// DEV-01 DEV-03 DEV-06 DEV-07 DEV-10 DEV-13
func TestDevices(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, linux(func(l *specs.Linux) {
		l.Devices = []specs.LinuxDevice{
			{Path: "/dev/mine", Type: "c", Major: 1, Minor: 5, FileMode: ptr(os.FileMode(0o640)), UID: ptr(uint32(7)), GID: ptr(uint32(8))},
			{Path: "/a/b/block", Type: "b", Major: 7, Minor: 0},
			{Path: "/dev/pipe", Type: "p", FileMode: ptr(os.FileMode(0o600))},
			{Path: "/dev/null", Type: "c", Major: 1, Minor: 3, FileMode: ptr(os.FileMode(0o600))},
			{Path: "/dev/podman", Type: "c", Major: 1, Minor: 5, FileMode: ptr(os.FileMode(0o20644))}, // with file type bits
		}
	}), args("/bin/sh", "-c", "stat -c '%n %A %u %g %t:%T' /dev/mine /a/b/block /dev/pipe /dev/null /dev/podman"))
	strict := []string{"/bin/sh", "-c", `umask 077; exec "$@"`, "sh"}
	wantLines(t, r.succeed(call{args: r.runLine(b), wrap: strict}).stdout,
		"/dev/mine crw-r----- 7 8 1:5", "/a/b/block brw-rw-rw- 0 0 7:0", "/dev/pipe prw------- 0 0 0:0",
		"/dev/null crw------- 0 0 1:3", "/dev/podman crw-r--r-- 0 0 1:5")
}

// DEV-04
func TestDeviceMismatch(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, linux(func(l *specs.Linux) {
		l.Devices = []specs.LinuxDevice{{Path: "/data/dev", Type: "c", Major: 1, Minor: 5}}
	}))
	b.write("data/dev", "a file", 0o644)
	r.fails("/data/dev", "create", "--bundle", b.dir, r.id())
	if err := os.Remove(b.rootfs + "/data/dev"); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(b.rootfs+"/data/dev", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))); err != nil {
		t.Fatal(err)
	}
	r.output(newBundle(t, args("/bin/true"), linux(func(l *specs.Linux) { l.Devices = b.spec.Linux.Devices })))
}

// DDEV-13: a /dev that is bound stays as it is.
func TestBoundDev(t *testing.T) {
	r := newRuntime(t)
	dev := tempDir(t)
	if err := unix.Mknod(dev+"/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		t.Fatal(err)
	}
	r.sh("ls /dev >/tmp/list", func(s *specs.Spec) {
		s.Mounts = append(s.Mounts[:1:1], bind(dev, "/dev"))
		s.Linux.MaskedPaths = nil
	})
	if entries, err := os.ReadDir(dev); err != nil || len(entries) != 1 {
		t.Errorf("the host's directory now has %v; %v", entries, err)
	}
}

// DDEV-14 MNT-04: CVE-2026-41579, links of the image lead nowhere outside.
func TestSymlinksOfTheImage(t *testing.T) {
	outside := filepath.Join(tempDir(t), "outside")
	for name, prepare := range map[string]func(b bundle) error{
		"absolute": func(b bundle) error { return os.Symlink(outside, b.rootfs+"/a") },
		"dotdot": func(b bundle) error {
			return os.Symlink(strings.Repeat("../", 20)+outside, b.rootfs+"/a")
		},
		"two": func(b bundle) error {
			if err := os.Symlink(outside, b.rootfs+"/link"); err != nil {
				return err
			}
			return os.Symlink("link", b.rootfs+"/a")
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRuntime(t)
			if err := os.MkdirAll(outside, 0o755); err != nil {
				t.Fatal(err)
			}
			b := newBundle(t, mounts(specs.Mount{Destination: "/a/x", Type: "tmpfs", Source: "inner"}), args("/bin/sh", "-c", "grep ' inner ' /proc/self/mountinfo"))
			if err := prepare(b); err != nil {
				t.Fatal(err)
			}
			if res := r.run(b); res.code == 0 {
				if m := mustMountAt(t, res.stdout, filepath.Join(outside, "x")); m.source != "inner" {
					t.Errorf("mounted %+v", m)
				}
			}
			if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
				t.Errorf("the host's directory now has %v; %v", entries, err)
			}
		})
	}
	t.Run("/dev", func(t *testing.T) {
		r := newRuntime(t)
		b := newBundle(t, args("/bin/true"), func(s *specs.Spec) { s.Mounts = s.Mounts[:1] })
		if err := os.Remove(b.rootfs + "/dev"); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(strings.Repeat("../", 20)+outside, b.rootfs+"/dev"); err != nil {
			t.Fatal(err)
		}
		r.run(b) // an error or inside the root, but never outside
		if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
			t.Errorf("the host's directory now has %v; %v", entries, err)
		}
	})
	t.Run("/proc", func(t *testing.T) { // MNT-17, CVE-2019-19921
		r := newRuntime(t)
		b := newBundle(t)
		if err := os.Remove(b.rootfs + "/proc"); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("tmp", b.rootfs+"/proc"); err != nil {
			t.Fatal(err)
		}
		r.fails("/proc", "create", "--bundle", b.dir, r.id())
	})
}

// PRP-07: --no-pivot is what a root on initramfs needs.
func TestNoPivot(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/sh", "-c", "ls -d /work /mark; cat /proc/self/mountinfo"))
	b.write("mark", "", 0o644)
	res := r.call(call{args: r.runLine(b, "--no-pivot")})
	list, table, _ := strings.Cut(res.stdout, "\n")
	if res.code != 0 || list != "/mark" {
		t.Errorf("exit %d, %s %s", res.code, list, res.stderr)
	}
	if m := mustMountAt(t, table, "/proc"); m.fstype != "proc" {
		t.Errorf("/proc is %+v", m)
	}
}

// PRP-07 PRP-08: nor do the host's mounts, which stay, let a user in the container mount a procfs or sysfs without masks.
func TestNoPivotKeepsMasks(t *testing.T) {
	r := newRuntime(t)
	const look = `unshare -Urmpf sh -c "mount -t proc proc /home && cat /home/keys"; unshare -Urmn sh -c "mount -t sysfs sysfs /home && ls /home/firmware"`
	for _, flags := range [][]string{nil, {"--no-pivot"}} {
		for name, more := range map[string]edit{"host's": func(*specs.Spec) {}, "own user namespace": userNamespace()} {
			b := newBundle(t, more, capabilities("CAP_SETUID", "CAP_SETGID", "CAP_SETFCAP"), args("/bin/sh", "-c", "unshare -U true && echo made;"+look))
			if res := r.run(b, flags...); res.stdout != "made\n" || strings.Count(res.stderr, "denied") != 2 {
				t.Errorf("%q, %s: %q %s", flags, name, res.stdout, res.stderr)
			}
		}
	}
}

// NS-03 PRP-06: nothing of the host's mounts is left inside.
func TestMountTable(t *testing.T) {
	r := newRuntime(t)
	table := r.sh("cat /proc/self/mountinfo")
	for _, m := range parseMounts(table) {
		known := m.point == "/"
		for _, prefix := range []string{"/proc", "/dev", "/sys"} {
			known = known || m.point == prefix || strings.HasPrefix(m.point, prefix+"/")
		}
		if !known {
			t.Errorf("inside is mounted: %+v", m)
		}
	}
	if m := mustMountAt(t, table, "/dev/shm"); !has(m.options, "nosuid") || !has(m.options, "noexec") || !has(m.options, "nodev") || !has(m.super, "size=65536k") {
		t.Errorf("/dev/shm is %+v", m)
	}
}

// PRP-01 PRP-02 PRP-03 PRP-04 PRP-06
func TestRootfsPropagation(t *testing.T) {
	r := newRuntime(t)
	for value, want := range map[string]string{"": "master:", "slave": "master:", "private": "", "shared": "shared:", "unbindable": "unbindable"} {
		table := r.sh("cat /proc/self/mountinfo", linux(func(l *specs.Linux) { l.RootfsPropagation = value }))
		tags := mustMountAt(t, table, "/").tags
		if want == "" && tags != "" || !strings.Contains(tags, want) {
			t.Errorf("%q: / has the tags %q, want %q", value, tags, want)
		}
		if strings.Contains(tags, "shared:") && hostPeer(t, tags) {
			t.Errorf("%q: / is in the host's peer group %s", value, tags)
		}
	}
}

// hostPeer says whether a shared:N tag is one of the host's.
func hostPeer(t *testing.T, tags string) bool {
	t.Helper()
	var group int
	if _, err := fmt.Sscanf(tags, "shared:%d", &group); err != nil {
		t.Fatalf("%q: %v", tags, err)
	}
	return strings.Contains(readFile(t, "/proc/self/mountinfo"), fmt.Sprintf(" shared:%d ", group))
}
