package nsenter

import (
	"io"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// TestTerminal opens a terminal of the container's devpts, makes it its standard streams and /dev/console, and
// hands the master out (process.terminal).
func TestTerminal(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := pack(t, kind.user, 0)
			res := play(t, b.Child, plan.ResetSignals{}, plan.Setsid{},
				plan.Filesystem{Type: "devpts", Params: []string{"newinstance", "ptmxmode=0666", "mode=0620"}, Into: plan.Mount},
				plan.Attach{Mount: plan.Mount, At: plan.Real("/dev/pts"), Make: plan.Directory},
				plan.OpenPty{}, plan.Export{Slot: plan.PtyMaster},
				plan.CloneFile{From: plan.PtySlave, Into: plan.Mount},
				plan.Attach{Mount: plan.Mount, At: plan.Real("/dev/console"), Make: plan.File},
				plan.UseTerminal{}, plan.OwnStream{FD: 0, UID: 1000},
				plan.Close{Slots: []plan.Slot{plan.PtyMaster, plan.PtySlave}},
				records(func(l *plan.Lowering) {
					l.Call(unix.SYS_WRITE, plan.Imm(2), l.String("hello\n"), plan.Imm(6))
				}))
			master := res.Files[plan.PtyMaster]
			got := make([]byte, len("hello\r\n"))
			if _, err := io.ReadFull(master, got); err != nil || string(got) != "hello\r\n" { // it may come in parts
				t.Errorf("the terminal says %q, %v", got, err)
			}
			var pts, console unix.Stat_t
			if err := unix.Stat(b.path("dev/pts/0"), &pts); err != nil {
				t.Fatal(err)
			}
			if err := unix.Stat(b.path("dev/console"), &console); err != nil {
				t.Fatal(err)
			}
			if console.Rdev != pts.Rdev || console.Ino != pts.Ino || pts.Uid != 1000 {
				t.Errorf("/dev/console is %#x of uid %d, /dev/pts/0 is %#x", console.Rdev, console.Uid, pts.Rdev)
			}
			for _, fd := range []string{"fd/0", "fd/1", "fd/2"} {
				if name, err := os.Readlink(b.proc(fd)); err != nil || name != "/dev/pts/0" && name != "/0" {
					t.Errorf("%s is %s, %v", fd, name, err)
				}
			}
			hangUp(t, b, master)
		})
	}
}

// hangUp ends the child by its controlling terminal.
func hangUp(t *testing.T, b *box, master *os.File) {
	t.Helper()
	if err := master.Close(); err != nil {
		t.Fatal(err)
	}
	deadline := time.AfterFunc(patience, b.Kill)
	defer deadline.Stop()
	if status := b.Wait(); !status.Signaled() || status.Signal() != unix.SIGHUP {
		t.Errorf("a terminal that hangs up ends it with %#x", status)
	}
}

// TestTerminalFails has no devpts, or a symlink in its place (CVE-2025-52565).
func TestTerminalFails(t *testing.T) {
	b := pack(t, false, 0)
	refused(t, b.Child, unix.ENOENT, plan.OpenPty{})
	b.link(t, "/etc", "dev/pts")
	refused(t, b.Child, unix.ELOOP, plan.OpenPty{})
	p := &plan.Phase{Name: "test"}
	p.Add(plan.Keep{From: p.Take(file("/dev/null")), As: plan.PtySlave}, plan.UseTerminal{})
	if _, err := b.Run(p); err == nil {
		t.Error("/dev/null is a terminal")
	}
}

// TestOwnStream gives away what can be given, and tolerates the rest.
func TestOwnStream(t *testing.T) {
	b := pack(t, true, 0)
	b.write(t, "out", "")
	use := func(flags int) plan.Step {
		return records(func(l *plan.Lowering) {
			l.Call(unix.SYS_OPENAT, plan.Value(plan.Root), l.String("out"), plan.Imm(flags)).Into(plan.Null)
			l.Call(unix.SYS_DUP3, plan.Value(plan.Null), plan.Imm(1), plan.Imm(0))
			l.Call(unix.SYS_CLOSE, plan.Value(plan.Null))
		})
	}
	play(t, b.Child, use(unix.O_WRONLY), plan.OwnStream{FD: 1, UID: 1000}, plan.OwnStream{FD: 1, UID: 1 << 20})
	var st unix.Stat_t
	if err := unix.Stat(b.path("out"), &st); err != nil || st.Uid != 1000 || st.Gid != 0 {
		t.Errorf("%d:%d, %v", st.Uid, st.Gid, err)
	}
	play(t, b.Child, use(unix.O_RDONLY), plan.SetAttr{Mount: plan.Root, Set: unix.MOUNT_ATTR_RDONLY}, plan.OwnStream{FD: 1, UID: 0},
		plan.SetAttr{Mount: plan.Root, Clear: unix.MOUNT_ATTR_RDONLY}, plan.SetCaps{}, plan.OwnStream{FD: 1, UID: 0})
	refused(t, b.Child, unix.EBADF, plan.OwnStream{FD: 1000})
}
