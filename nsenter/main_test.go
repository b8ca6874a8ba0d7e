package nsenter

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// roleVariable makes the test binary act as a parent that a test can kill, or that lives under odd conditions.
const roleVariable = "SKEP_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := act(role); err != nil {
			fmt.Fprintln(os.Stderr, role+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests make namespaces, mounts and devices: run them as root")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// records is a step made of what its function appends.
type records func(*plan.Lowering)

func (r records) Lower(l *plan.Lowering) { r(l) }
func (records) String() string           { return "records" }

// file is a Source: a file of the host, opened for reading and writing.
type file string

func (f file) Open() (int, error) { return unix.Open(string(f), unix.O_RDWR|unix.O_CLOEXEC, 0) }
func (f file) String() string     { return "host:" + string(f) }

// launch starts a child that ends with the test.
func launch(t testing.TB, flags uintptr) *Child {
	t.Helper()
	c, err := Start(Options{Flags: flags, Cgroup: -1, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Kill()
		c.Release()
	})
	return c
}

// mapped starts a child in a new user namespace as its root, with the host's ids: so can the test write its files.
func mapped(t testing.TB, flags uintptr) *Child {
	t.Helper()
	c := launch(t, flags|unix.CLONE_NEWUSER)
	for _, name := range []string{"uid_map", "gid_map"} {
		if err := os.WriteFile(c.proc(name), []byte("0 0 65536"), 0); err != nil {
			t.Fatal(err)
		}
	}
	play(t, c, plan.SetIDs{})
	return c
}

func (c *Child) proc(name string) string { return "/proc/" + strconv.Itoa(c.Pid) + "/" + name }

// play performs steps that have to succeed.
func play(t testing.TB, c *Child, steps ...plan.Step) *Results {
	t.Helper()
	res, err := c.Run(&plan.Phase{Name: "test", Steps: steps})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(res.close)
	return res
}

// refused performs steps of which the last has to fail with an errno, and returns its error.
func refused(t testing.TB, c *Child, errno unix.Errno, steps ...plan.Step) *plan.StepError {
	t.Helper()
	_, err := c.Run(&plan.Phase{Name: "test", Steps: steps})
	var e *plan.StepError
	if !errors.As(err, &e) {
		t.Fatalf("%s: got %v, want %v", steps[len(steps)-1], err, errno)
	}
	if e.Errno != errno || e.Index != len(steps)-1 || e.Phase != "test" {
		t.Fatalf("step %d of phase %s: %v; want step %d to fail with %v", e.Index, e.Phase, err, len(steps)-1, errno)
	}
	return e
}

// box is a child with mounts of its own and an empty tmpfs as its root mount.
type box struct {
	*Child
	root *os.File
}

// kinds is for tests that hold with the host's root and in a user namespace.
var kinds = [...]struct {
	name string
	user bool
}{{"root", false}, {"user namespace", true}}

func pack(t testing.TB, user bool, more uintptr) *box {
	t.Helper()
	var c *Child
	if user {
		c = mapped(t, unix.CLONE_NEWNS|more)
	} else {
		c = launch(t, unix.CLONE_NEWNS|more)
	}
	res := play(t, c,
		plan.Umask{},
		plan.Enslave{},
		plan.Filesystem{Type: "tmpfs", Source: "root", Params: []string{"mode=755"}, Into: plan.Root},
		plan.AttachRoot{Path: "/"},
		plan.Export{Slot: plan.Root},
	)
	return &box{c, res.Files[plan.Root]}
}

// path names a file of the box for the test: the mounts of the box are seen through its root's descriptor.
func (b *box) path(name string) string {
	return filepath.Join("/proc/self/fd", strconv.Itoa(int(b.root.Fd())), name)
}

// write makes a file of the box, with its directories.
func (b *box) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(b.path(name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.path(name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (b *box) read(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(b.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// link makes a symlink in the box, with its directories.
func (b *box) link(t testing.TB, target, name string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(b.path(name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, b.path(name)); err != nil {
		t.Fatal(err)
	}
}

// field returns a line of /proc/PID/status.
func field(t testing.TB, pid int, name string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if key, value, _ := strings.Cut(line, ":"); key == name {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	t.Fatalf("no %s in the status of %d", name, pid)
	return ""
}

// patience bounds every wait for another process.
const patience = 5 * time.Minute

// awaitExit waits until the process behind a pidfd has ended.
func awaitExit(t testing.TB, pidfd int) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for deadline := time.Now().Add(patience); ; {
		n, err := unix.Poll(fds, int(time.Until(deadline).Milliseconds()))
		if n == 1 {
			return
		}
		if err != unix.EINTR {
			t.Fatalf("the process is still there: %d, %v", n, err)
		}
	}
}
