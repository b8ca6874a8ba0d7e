package nsenter

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// tmpfs is a new mount in the slot Mount.
func tmpfs(params ...string) plan.Step {
	return plan.Filesystem{Type: "tmpfs", Source: "tmpfs", Params: params, Into: plan.Mount}
}

// TestMakePaths makes directories below roots in which symlinks stand in the way.
func TestMakePaths(t *testing.T) {
	tests := []struct {
		name, link, target string // what stands there
		make, found        string // what to make, and where it has to be
	}{
		{"plain", "", "", "/a/b/c", "a/b/c"},
		{"relative", "", "", "a/b", "a/b"},
		{"exists", "", "", "/etc", "etc"},
		{"root", "", "", "/", "etc"},
		{"dots", "", "", "/a/./b/../c", "a/c"},
		{"dots beyond the root", "", "", "/../../../x/y", "x/y"},
		{"absolute link", "var/run", "/run", "/var/run/deep/x", "run/deep/x"},
		{"relative link", "var/run", "../run", "/var/run/deep/x", "run/deep/x"},
		{"link beyond the root", "up", "../../../../etc", "/up/x", "etc/x"},
		{"link as the last part", "to", "/etc", "/to", "etc"},
		{"chain", "one", "/two/three", "/one/x", "two/three/x"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := pack(t, false, 0)
			play(t, b.Child, plan.Mkdirs{At: plan.In("/etc")}, plan.Mkdirs{At: plan.In("/run")}, plan.Mkdirs{At: plan.In("/two/three")})
			if test.link != "" {
				b.link(t, test.target, test.link)
			}
			for range 2 { // the second time it exists
				play(t, b.Child, plan.Mkdirs{At: plan.In(test.make)})
			}
			st, err := os.Lstat(b.path(test.found))
			if err != nil || st.Mode() != os.ModeDir|0o755 {
				t.Errorf("%s: %v, %v", test.found, st, err)
			}
		})
	}
}

// TestPathsRefused holds what no path may lead to.
func TestPathsRefused(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := pack(t, kind.user, 0)
			b.link(t, "/etc", "link")
			b.link(t, "/nowhere/at/all", "dangling")
			b.link(t, "loop", "loop")
			b.write(t, "etc/file", "")
			c := b.Child
			refused(t, c, unix.ENOENT, tmpfs(), plan.Attach{Mount: plan.Mount, At: plan.In("/none")})
			refused(t, c, unix.ELOOP, tmpfs(), plan.Attach{Mount: plan.Mount, At: plan.Real("/link"), Make: plan.Directory})
			refused(t, c, unix.ELOOP, plan.Mkdirs{At: plan.Real("/link/new")})
			refused(t, c, unix.ELOOP, plan.Symlink{Target: "x", At: plan.Real("/link/x")})
			refused(t, c, unix.ELOOP, plan.Mkdirs{At: plan.In("/loop/x")})
			refused(t, c, unix.ENOENT, plan.Mkdirs{At: plan.In("/dangling")})
			refused(t, c, unix.ENOTDIR, plan.Mkdirs{At: plan.In("/etc/file")})
			refused(t, c, unix.ENOTDIR, plan.Mkdirs{At: plan.In("/etc/file/x")})
			refused(t, c, unix.ENOTDIR, plan.Mknod{At: plan.In("/etc/file/x"), Mode: unix.S_IFIFO})
			if _, err := os.Stat(b.path("etc/new")); !os.IsNotExist(err) {
				t.Errorf("a refused path was made: %v", err)
			}
		})
	}
}

// TestChdir enters directories, but never through a magic link (CVE-2024-21626).
func TestChdir(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := pack(t, kind.user, unix.CLONE_NEWPID)
			play(t, b.Child,
				plan.Mkdirs{At: plan.In("/work/deep")}, plan.Mkdirs{At: plan.In("/proc")}, plan.Mkdirs{At: plan.In("/out")},
				plan.Filesystem{Type: "proc", Source: "proc", Into: plan.Mount},
				plan.Attach{Mount: plan.Mount, At: plan.Real("/proc")}, plan.Pivot{},
				plan.Chdir{At: plan.In("/work/deep")})
			if cwd, err := os.Readlink(b.proc("cwd")); err != nil || cwd != "/work/deep" {
				t.Errorf("it works in %s, %v", cwd, err)
			}
			b.link(t, "/proc/self/fd", "fds")
			for _, name := range []string{"/proc/self/fd/3", "/proc/1/root", "/proc/self/cwd/x", "/fds/3"} {
				if e := refused(t, b.Child, unix.ELOOP, plan.Chdir{At: plan.In(name)}); e.Call != "openat2" {
					t.Errorf("%s: %v", name, e)
				}
			}
			refused(t, b.Child, unix.ENOENT, plan.Chdir{At: plan.In("/none")})
			refused(t, b.Child, unix.ENOTDIR, plan.Chdir{At: plan.In("/proc/uptime")})
		})
	}
}

// TestMknod makes nodes, accepts those that match, and refuses what only looks like them.
func TestMknod(t *testing.T) {
	b := pack(t, false, 0)
	null := plan.Mknod{At: plan.In("/dev/null"), Mode: unix.S_IFCHR | 0o666, Major: 1, Minor: 3, UID: 5, GID: 6}
	loop := plan.Mknod{At: plan.In("/dev/loop0"), Mode: unix.S_IFBLK | 0o660, Major: 7}
	fifo := plan.Mknod{At: plan.In("/dev/deep/fifo"), Mode: unix.S_IFIFO | 0o622}
	for range 2 {
		play(t, b.Child, null, loop, fifo)
	}
	for name, want := range map[string]unix.Stat_t{
		"dev/null":      {Mode: unix.S_IFCHR | 0o666, Rdev: unix.Mkdev(1, 3), Uid: 5, Gid: 6},
		"dev/loop0":     {Mode: unix.S_IFBLK | 0o660, Rdev: unix.Mkdev(7, 0)},
		"dev/deep/fifo": {Mode: unix.S_IFIFO | 0o622},
	} {
		var got unix.Stat_t
		if err := unix.Lstat(b.path(name), &got); err != nil {
			t.Fatal(err)
		}
		if got.Mode != want.Mode || got.Rdev != want.Rdev || got.Uid != want.Uid || got.Gid != want.Gid {
			t.Errorf("%s: %o %#x %d:%d", name, got.Mode, got.Rdev, got.Uid, got.Gid)
		}
	}
	b.write(t, "dev/file", "")
	b.link(t, "/dev/null", "dev/link")
	mismatch := func(s plan.Mknod, name string, mode, major, minor uint32) {
		s.At, s.Mode, s.Major, s.Minor = plan.In(name), mode, major, minor
		if e := refused(t, b.Child, unix.EEXIST, s); e.Call != "check" {
			t.Errorf("%s: %v", s, e)
		}
	}
	mismatch(null, "/dev/null", unix.S_IFBLK|0o666, 1, 3)
	mismatch(null, "/dev/null", unix.S_IFCHR|0o666, 1, 5)
	mismatch(null, "/dev/null", unix.S_IFCHR|0o666, 2, 3)
	mismatch(null, "/dev/null", unix.S_IFIFO|0o666, 0, 0)
	mismatch(null, "/dev/file", unix.S_IFCHR|0o666, 1, 3)
	mismatch(null, "/dev/link", unix.S_IFCHR|0o666, 1, 3) // CVE-2026-41579
	b2 := pack(t, true, 0)
	if e := refused(t, b2.Child, unix.EPERM, null); e.Call != "mknodat" {
		t.Errorf("in a user namespace: %v", e)
	}
	play(t, b2.Child, fifo)
}

// TestSymlink makes links, and keeps or replaces what stands there.
func TestSymlink(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := pack(t, kind.user, 0)
			link := func(target string, replace bool) plan.Symlink {
				return plan.Symlink{Target: target, At: plan.In("/dev/ptmx"), Replace: replace}
			}
			for _, step := range []struct {
				target  string
				replace bool
				want    string
			}{{"one", false, "one"}, {"two", false, "one"}, {"three", true, "three"}, {"three", true, "three"}} {
				play(t, b.Child, link(step.target, step.replace))
				if got, err := os.Readlink(b.path("dev/ptmx")); err != nil || got != step.want {
					t.Errorf("after %+v it is %s, %v", step, got, err)
				}
			}
			play(t, b.Child, plan.Mkdirs{At: plan.In("/dev/dir")})
			refused(t, b.Child, unix.EISDIR, plan.Symlink{Target: "x", At: plan.In("/dev/dir"), Replace: true})
		})
	}
}

// TestWriteFile writes sysctls through a procfs of the container's own, and not what is mounted over them
// (CVE-2019-16884).
func TestWriteFile(t *testing.T) {
	b := pack(t, false, unix.CLONE_NEWPID|unix.CLONE_NEWUTS|unix.CLONE_NEWIPC)
	b.write(t, "fake", "nothing")
	play(t, b.Child,
		plan.Filesystem{Type: "proc", Source: "proc", Into: plan.Procfs},
		plan.Mkdirs{At: plan.In("/proc")}, plan.Attach{Mount: plan.Procfs, At: plan.In("/proc"), Keep: true},
		plan.WriteFile{Name: "sys/kernel/hostname", Value: "skep-test"},
		plan.WriteFile{Name: "sys/kernel/shm_rmid_forced", Value: "1"})
	for name, want := range map[string]string{"hostname": "skep-test\n", "shm_rmid_forced": "1\n"} {
		if got := inside(t, b.Child, "sys/kernel/"+name); got != want {
			t.Errorf("%s reads %q", name, got)
		}
	}
	refused(t, b.Child, unix.ENOENT, plan.WriteFile{Name: "sys/kernel/none", Value: "1"})
	refused(t, b.Child, unix.EINVAL, plan.WriteFile{Name: "sys/kernel/shm_rmid_forced", Value: "x"})
	refused(t, b.Child, unix.EXDEV, plan.WriteFile{Name: "../proc/sys/kernel/hostname", Value: "x"})
	refused(t, b.Child, unix.ELOOP, plan.WriteFile{Name: "self/cwd/fake", Value: "x"})
	play(t, b.Child, plan.OpenTree{Path: "/dev/null", Into: plan.Mount},
		plan.Attach{Mount: plan.Mount, At: plan.In("/proc/sys/kernel/hostname")})
	refused(t, b.Child, unix.EXDEV, plan.WriteFile{Name: "sys/kernel/hostname", Value: "x"})
}

// inside reads a file below the child's procfs: what it says depends on who asks.
func inside(t *testing.T, c *Child, name string) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := &plan.Phase{Name: "read"}
	out := p.Take(file("/proc/self/fd/" + strconv.Itoa(int(w.Fd()))))
	p.Add(records(func(l *plan.Lowering) {
		buf := l.Bytes(make([]byte, 64))
		l.Call(unix.SYS_OPENAT, plan.Value(plan.Procfs), l.String(name), plan.Imm(unix.O_RDONLY)).Into(plan.Null)
		l.Call(unix.SYS_READ, plan.Value(plan.Null), buf, plan.Imm(64)).Into(plan.Result(0))
		l.Call(unix.SYS_WRITE, plan.Value(out), buf, plan.Value(plan.Result(0)))
		l.Call(unix.SYS_CLOSE, plan.Value(out))
	}), plan.Close{Slots: []plan.Slot{plan.Null}})
	_, err = c.Run(p)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestRacingRenames looks `..` up while everything moves, which the kernel answers with EAGAIN now and then.
func TestRacingRenames(t *testing.T) {
	b := pack(t, false, 0)
	play(t, b.Child, plan.Mkdirs{At: plan.In("/a/b")})
	dir := t.TempDir()
	var done atomic.Bool
	finished := make(chan error)
	go func() {
		one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
		err := os.Mkdir(one, 0o700)
		for err == nil && !done.Load() {
			if err = os.Rename(one, two); err == nil {
				err = os.Rename(two, one)
			}
		}
		finished <- err
	}()
	var steps []plan.Step
	for range 200 {
		steps = append(steps, plan.Mkdirs{At: plan.In("/a/b/../b/../../a/b/../../a/../a/b/../../a/b")})
	}
	for range 5 {
		if _, err := b.Run(&plan.Phase{Name: "race", Steps: steps}); err != nil {
			t.Error(err)
			break
		}
	}
	done.Store(true)
	if err := <-finished; err != nil {
		t.Error(err)
	}
}
