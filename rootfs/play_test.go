package rootfs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter"
	"skep/nsenter/plan"
	"skep/rootfs"
	"skep/spec"
)

// insideVariable tells the test binary that it runs in a mount namespace of its own.
const insideVariable = "SKEP_TEST_INSIDE"

// TestMain runs the tests in a copy of the host's mounts, all of them shared, as on hosts with systemd: what leaks
// shows there and goes no further.
func TestMain(m *testing.M) {
	if err := isolate(); err != nil {
		fmt.Fprintln(os.Stderr, "these tests mount: run them as root:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func isolate() error {
	if os.Getenv(insideVariable) == "" {
		cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
		cmd.Env = append(os.Environ(), insideVariable+"=1")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
		if err := cmd.Run(); cmd.ProcessState == nil {
			return err
		}
		os.Exit(cmd.ProcessState.ExitCode())
	}
	for _, propagation := range []uintptr{unix.MS_PRIVATE, unix.MS_SHARED} {
		if err := unix.Mount("", "/", "", propagation|unix.MS_REC, ""); err != nil {
			return err
		}
	}
	return nil
}

// kind is a way in which skep runs.
type kind struct {
	name         string
	user         bool // in a user namespace
	unprivileged bool // the parent may not clone mounts: init does
}

var kinds = []kind{{name: "root"}, {name: "user namespace", user: true}, {name: "unprivileged", user: true, unprivileged: true}}

// box is a bundle and the container that is made of it.
type box struct {
	t       *testing.T
	spec    *specs.Spec
	host    rootfs.Host
	enter   plan.Phase // played before anything else
	child   *nsenter.Child
	results map[plan.Slot]*os.File
}

// newBox makes a bundle with the example's configuration: without a terminal, with a writable root.
func newBox(t *testing.T, k kind) *box {
	t.Helper()
	b := &box{t: t, spec: spec.Example(spec.ExampleOptions{}), results: map[plan.Slot]*os.File{}}
	bundle := t.TempDir()
	b.host = rootfs.Host{Bundle: bundle, Root: filepath.Join(bundle, "rootfs"), Privileged: !k.unprivileged, IsDir: isDir}
	b.spec.Process.Terminal, b.spec.Root.Readonly = false, false
	if k.user {
		b.spec.Linux.Namespaces = append(b.spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	}
	for _, dir := range []string{"proc", "dev", "sys", "etc", "work"} {
		b.mkdir(dir, 0o755)
	}
	return b
}

func isDir(path string) (bool, error) {
	st, err := os.Stat(path)
	return err == nil && st.IsDir(), err
}

// image names a file of the image.
func (b *box) image(name string) string { return filepath.Join(b.host.Root, name) }

func (b *box) mkdir(name string, mode uint32) {
	b.t.Helper()
	must(b.t, os.MkdirAll(b.image(name), 0o755))
	must(b.t, unix.Chmod(b.image(name), mode))
}

func (b *box) write(name, text string) {
	b.t.Helper()
	must(b.t, os.MkdirAll(filepath.Dir(b.image(name)), 0o755))
	must(b.t, os.WriteFile(b.image(name), []byte(text), 0o644))
}

// link replaces a name of the image by a symlink.
func (b *box) link(target, name string) {
	b.t.Helper()
	must(b.t, os.RemoveAll(b.image(name)))
	must(b.t, os.Symlink(target, b.image(name)))
}

func (b *box) mount(ms ...specs.Mount) { b.spec.Mounts = append(b.spec.Mounts, ms...) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// try makes the container up to where its process would come. Whatever happens, the host's mounts must stay as
// they are.
func (b *box) try() error {
	b.t.Helper()
	before := mountinfo(b.t, "self")
	b.t.Cleanup(func() {
		if after := mountinfo(b.t, "self"); after != before {
			b.t.Errorf("the host's mounts were\n%sand are\n%s", before, after)
		}
	})
	p, err := rootfs.Compile(b.spec, b.host)
	if err != nil {
		return err
	}
	b.start()
	for _, phase := range append(p.Rootfs, p.Pivot) {
		if err := b.run(phase); err != nil {
			return err
		}
	}
	return nil
}

func (b *box) start() {
	b.t.Helper()
	var clone uintptr
	for _, ns := range b.spec.Linux.Namespaces {
		if ns.Type != specs.CgroupNamespace { // made when the cgroups have been joined
			row, _ := spec.Namespaces.Lookup(ns.Type)
			clone |= uintptr(row.Flag)
		}
	}
	child, err := nsenter.Start(nsenter.Options{Flags: clone, Cgroup: -1, TempDir: b.t.TempDir()})
	must(b.t, err)
	b.t.Cleanup(func() {
		child.Kill()
		child.Release()
	})
	b.child = child
	if clone&unix.CLONE_NEWUSER != 0 {
		for _, name := range []string{"uid_map", "gid_map"} {
			must(b.t, os.WriteFile(b.proc(name), []byte("0 0 65536"), 0))
		}
		b.enter.Add(plan.SetIDs{})
	}
	must(b.t, b.run(&b.enter))
}

func (b *box) run(phase *plan.Phase) error {
	results, err := b.child.Run(phase)
	if err != nil {
		return err
	}
	for slot, f := range results.Files {
		b.results[slot] = f
		b.t.Cleanup(func() { f.Close() })
	}
	return nil
}

// up makes a container that has to succeed.
func (b *box) up() {
	b.t.Helper()
	must(b.t, b.try())
}

// fails makes a container that has to fail, and looks for words in the error.
func (b *box) fails(words ...string) {
	b.t.Helper()
	err := b.try()
	if err == nil {
		b.t.Fatal("it did not fail")
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			b.t.Errorf("the error does not say %q: %v", word, err)
		}
	}
}

func (b *box) proc(name string) string {
	return filepath.Join("/proc", strconv.Itoa(b.child.Pid), name)
}

// path names a file of the running container. Symlinks in it would lead to the host.
func (b *box) path(name string) string { return b.proc("root") + name }

func (b *box) stat(name string) unix.Stat_t {
	b.t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(b.path(name), &st); err != nil {
		b.t.Fatalf("%s: %v", name, err)
	}
	return st
}

func (b *box) read(name string) string {
	b.t.Helper()
	text, err := os.ReadFile(b.path(name))
	must(b.t, err)
	return string(text)
}

// writable tells whether a file can be made in a directory of the container.
func (b *box) writable(dir string) bool {
	b.t.Helper()
	name := b.path(dir + "/probe")
	err := os.WriteFile(name, nil, 0o600)
	if err == nil {
		must(b.t, os.Remove(name))
	}
	return err == nil
}

// mountLine is a line of mountinfo.
type mountLine struct{ id, parent, root, point, options, tags, fstype, source, super string }

func (m mountLine) has(option string) bool {
	return slices.Contains(strings.Split(m.options, ","), option)
}

func mountinfo(t *testing.T, pid string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + pid + "/mountinfo")
	must(t, err)
	return string(text)
}

func (b *box) mounts() []mountLine {
	b.t.Helper()
	var lines []mountLine
	for line := range strings.Lines(mountinfo(b.t, strconv.Itoa(b.child.Pid))) {
		left, right, _ := strings.Cut(line, " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		lines = append(lines, mountLine{l[0], l[1], l[3], l[4], l[5], strings.Join(l[6:], " "), r[0], r[1], r[2]})
	}
	return lines
}

// at returns the topmost mount on a path.
func (b *box) at(point string) mountLine {
	b.t.Helper()
	var top mountLine
	found := slices.DeleteFunc(b.mounts(), func(m mountLine) bool { return m.point != point })
	for _, m := range found { // in the order of their making, which is not that of their attaching
		if !slices.ContainsFunc(found, func(above mountLine) bool { return above.parent == m.id }) {
			top = m
		}
	}
	if len(found) == 0 {
		b.t.Fatalf("nothing is mounted on %s:\n%s", point, mountinfo(b.t, strconv.Itoa(b.child.Pid)))
	}
	return top
}

// hostTmpfs mounts a tmpfs on the host, for the time of the test.
func hostTmpfs(t *testing.T, dir string, flags uintptr) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o755))
	must(t, unix.Mount("host", dir, "tmpfs", flags, ""))
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
}
