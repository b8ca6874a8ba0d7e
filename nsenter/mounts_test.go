package nsenter

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// flagsOf returns the ST_* flags of what a path of the box is on.
func (b *box) flagsOf(t *testing.T, name string) int64 {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(b.path(name), &st); err != nil {
		t.Fatal(err)
	}
	return st.Flags
}

// TestAttach puts mounts where something is, and where nothing is yet.
func TestAttach(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := pack(t, kind.user, 0)
			b.write(t, "there/below", "")
			b.link(t, "/there", "link")
			b.write(t, "hosts", "container's\n")
			c := b.Child
			play(t, c, plan.For{Item: "mounts[0] /link", Step: tmpfs("size=64k")}, plan.Attach{Mount: plan.Mount, At: plan.In("/link")},
				tmpfs(), plan.Attach{Mount: plan.Mount, At: plan.In("/new/deep"), Make: plan.Directory, Keep: true},
				plan.SetAttr{Mount: plan.Mount, Set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOEXEC})
			b.write(t, "there/covered", "")
			if _, err := os.Stat(b.path("there/below")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the directory is not covered: %v", err)
			}
			if got := b.flagsOf(t, "new/deep"); got&(unix.ST_RDONLY|unix.ST_NOEXEC) != unix.ST_RDONLY|unix.ST_NOEXEC {
				t.Errorf("flags %#x", got)
			}
			host := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(host, []byte("host's\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			play(t, c, plan.OpenTree{Path: host, Into: plan.Mount},
				plan.Attach{Mount: plan.Mount, At: plan.In("/etc/deep/file"), Make: plan.File})
			if got := b.read(t, "etc/deep/file"); got != "host's\n" {
				t.Errorf("the file that was bound reads %q", got)
			}
			refused(t, c, unix.EINVAL, tmpfs(), plan.Attach{Mount: plan.Mount, At: plan.In("/hosts")})
			refused(t, c, unix.ENOENT, plan.OpenTree{Path: "/nowhere", Into: plan.Mount})
			refused(t, c, unix.EINVAL, plan.SetAttr{Mount: plan.Root, Set: 1 << 30})
		})
	}
}

// TestOpenTree clones one mount, or what is mounted below it too.
func TestOpenTree(t *testing.T) {
	b := pack(t, false, 0)
	play(t, b.Child, plan.OpenTree{Path: "/sys", Into: plan.Mount}, plan.Attach{Mount: plan.Mount, At: plan.In("/one"), Make: plan.Directory},
		plan.OpenTree{Path: "/sys", Recursive: true, Into: plan.Mount},
		plan.Attach{Mount: plan.Mount, At: plan.In("/all"), Make: plan.Directory, Keep: true},
		plan.SetAttr{Mount: plan.Mount, Set: unix.MOUNT_ATTR_RDONLY, Propagation: unix.MS_PRIVATE, Recursive: true})
	if names, err := os.ReadDir(b.path("one/fs/cgroup")); err != nil || len(names) != 0 {
		t.Errorf("without what is mounted below, /sys/fs/cgroup holds %v, %v", names, err)
	}
	for _, name := range []string{"all", "all/fs/cgroup"} {
		if got := b.flagsOf(t, name); got&unix.ST_RDONLY == 0 {
			t.Errorf("%s is writable: %#x", name, got)
		}
	}
}

// TestClassicMount passes more data than fsconfig takes.
func TestClassicMount(t *testing.T) {
	b := pack(t, false, 0)
	dir, data := t.TempDir(), "lowerdir="
	for i := range 6 {
		lower := filepath.Join(dir, strings.Repeat(strconv.Itoa(i), 40))
		if err := os.Mkdir(lower, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(lower, "hello"), []byte("lower"), 0o644); err != nil {
			t.Fatal(err)
		}
		data += lower + ":"
	}
	if len(data) < 256 {
		t.Fatalf("%d bytes would fit into fsconfig", len(data))
	}
	data = strings.TrimSuffix(data, ":")
	play(t, b.Child, plan.ClassicMount{Type: "overlay", Source: "overlay", At: plan.In("/merged"), Flags: unix.MS_NODEV | unix.MS_RDONLY, Data: data})
	if got := b.read(t, "merged/hello"); got != "lower" {
		t.Errorf("%q", got)
	}
	if got := b.flagsOf(t, "merged"); got&unix.ST_NODEV == 0 {
		t.Errorf("flags %#x", got)
	}
	refused(t, b.Child, unix.ENODEV, plan.ClassicMount{Type: "zorkfs", Source: "none", At: plan.In("/merged")})
}

// cover fills the slots that Hide uses.
func cover(t *testing.T, b *box) {
	t.Helper()
	play(t, b.Child,
		plan.Filesystem{Type: "tmpfs", Source: "mask", Attr: unix.MOUNT_ATTR_RDONLY, Into: plan.Mask},
		plan.OpenTree{Path: "/dev/null", Into: plan.Null})
}

// TestHide covers directories and files, once and again (maskedPaths).
func TestHide(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := pack(t, kind.user, 0)
			cover(t, b)
			b.write(t, "dir/secret", "x")
			b.write(t, "other/secret", "x")
			b.write(t, "file", "secret")
			b.write(t, "file2", "secret")
			b.link(t, "/other", "link")
			before := descriptors(t, b.Pid)
			for range 2 {
				for _, name := range []string{"/file", "/dir", "/link", "/none", "/file/none", "/file2"} {
					play(t, b.Child, plan.Hide{At: plan.In(name)})
				}
			}
			for _, dir := range []string{"dir", "other"} {
				if names, err := os.ReadDir(b.path(dir)); err != nil || len(names) != 0 {
					t.Errorf("%s shows %v, %v", dir, names, err)
				}
				if err := os.WriteFile(b.path(dir+"/new"), nil, 0o600); !errors.Is(err, unix.EROFS) {
					t.Errorf("writing to %s: %v", dir, err)
				}
			}
			for _, file := range []string{"file", "file2"} {
				if got := b.read(t, file); got != "" {
					t.Errorf("%s reads %q", file, got)
				}
			}
			if got := descriptors(t, b.Pid); got != before {
				t.Errorf("%d descriptors are open, %d were before", got, before)
			}
			refused(t, b.Child, unix.ELOOP, plan.Hide{At: plan.Real("/link")})
		})
	}
}

// TestProtect makes paths read-only, with what is mounted below, and keeps their other flags (readonlyPaths).
func TestProtect(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := pack(t, kind.user, 0)
			b.write(t, "dir/file", "x")
			b.write(t, "file", "x")
			play(t, b.Child,
				plan.Filesystem{Type: "tmpfs", Attr: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC, Into: plan.Mount},
				plan.Attach{Mount: plan.Mount, At: plan.In("/dir/below"), Make: plan.Directory})
			before := descriptors(t, b.Pid)
			for range 2 {
				for _, name := range []string{"/dir", "/file", "/none", "/file/none"} {
					play(t, b.Child, plan.Protect{At: plan.In(name)})
				}
			}
			for _, name := range []string{"dir/file", "dir/below/new", "file"} {
				if err := os.WriteFile(b.path(name), nil, 0o600); !errors.Is(err, unix.EROFS) {
					t.Errorf("writing to %s: %v", name, err)
				}
			}
			b.write(t, "free", "") // the rest stays writable
			const want = unix.ST_RDONLY | unix.ST_NOSUID | unix.ST_NOEXEC
			if got := b.flagsOf(t, "dir/below"); got&want != want {
				t.Errorf("flags %#x", got)
			}
			if got := descriptors(t, b.Pid); got != before {
				t.Errorf("%d descriptors are open, %d were before", got, before)
			}
		})
	}
}

// TestPivot leaves the host's mounts behind, by pivot_root and by a move.
func TestPivot(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := pack(t, kind.user, 0)
			b.write(t, "inside", "")
			play(t, b.Child, plan.Pivot{})
			text, err := os.ReadFile(b.proc("mountinfo"))
			if err != nil || strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), " / / ") {
				t.Errorf("it sees %q, %v", text, err)
			}
			atRoot(t, b)
		})
	}
}

// TestMoveRoot is for hosts whose root pivot_root refuses: with the root mount at its own path, and over "/".
func TestMoveRoot(t *testing.T) {
	for _, at := range []string{t.TempDir(), "/"} {
		b := &box{Child: launch(t, unix.CLONE_NEWNS)}
		b.root = play(t, b.Child,
			plan.Enslave{},
			plan.Filesystem{Type: "tmpfs", Into: plan.Root}, plan.AttachRoot{Path: at}, plan.Export{Slot: plan.Root},
		).Files[plan.Root]
		b.write(t, "inside", "")
		play(t, b.Child, plan.MoveRoot{})
		atRoot(t, b)
	}
}

func atRoot(t *testing.T, b *box) {
	t.Helper()
	for _, name := range []string{"root/inside", "cwd/inside"} {
		if _, err := os.Stat(b.proc(name)); err != nil {
			t.Error(err)
		}
	}
	refused(t, b.Child, unix.ENOENT, plan.OpenTree{Path: "/etc/passwd", Into: plan.Mount})
}

// TestPivotShared pivots away from mounts that are shared with the host, which must keep them. The host is a mount
// namespace of the test's own.
func TestPivotShared(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVariable+"=shared mounts", "TMPDIR="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// pivotShared is that host.
func pivotShared() error {
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		return err
	}
	before, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	c, err := Start(Options{Flags: unix.CLONE_NEWNS, Cgroup: -1, TempDir: os.Getenv("TMPDIR")})
	if err != nil {
		return err
	}
	defer c.Release()
	defer c.Kill()
	if _, err := c.Run(&plan.Phase{Name: "test", Steps: []plan.Step{
		plan.Enslave{},
		plan.Filesystem{Type: "tmpfs", Into: plan.Root}, plan.AttachRoot{Path: "/"}, plan.Pivot{},
	}}); err != nil {
		return err
	}
	after, err := os.ReadFile("/proc/self/mountinfo")
	if err == nil && string(after) != string(before) {
		err = errors.New("the host's mounts are now\n" + string(after) + "and were\n" + string(before))
	}
	return err
}
