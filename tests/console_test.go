package tests

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// consoleSocket listens as containerd and conmon do.
func consoleSocket(t *testing.T) (path string, accept func() (name string, master *os.File)) {
	t.Helper()
	path = filepath.Join(tempDir(t), "console.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return path, func() (string, *os.File) {
		t.Helper()
		deadline := time.Now().Add(patience)
		if err := listener.(*net.UnixListener).SetDeadline(deadline); err != nil {
			t.Fatal(err)
		}
		conn, err := listener.Accept()
		if err != nil {
			t.Fatalf("nobody connected to the console socket: %v", err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(deadline); err != nil {
			t.Fatal(err)
		}
		payload, rights := make([]byte, 4096), make([]byte, 4096)
		n, rn, _, _, err := conn.(*net.UnixConn).ReadMsgUnix(payload, rights)
		if err != nil {
			t.Fatal(err)
		}
		messages, err := unix.ParseSocketControlMessage(rights[:rn])
		if err != nil || len(messages) != 1 {
			t.Fatalf("%d control messages, %v", len(messages), err)
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil || len(fds) != 1 {
			t.Fatalf("%d descriptors, want exactly one; %v", len(fds), err)
		}
		if err := unix.SetNonblock(fds[0], true); err != nil {
			t.Fatal(err)
		}
		master := os.NewFile(uintptr(fds[0]), "pty master")
		t.Cleanup(func() { master.Close() })
		return string(payload[:n]), master
	}
}

// readUntil reads from a pty until the text holds the wanted end.
func readUntil(t *testing.T, master *os.File, end string) string {
	t.Helper()
	if err := master.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	buf := make([]byte, 1024)
	plain := func() string { return strings.ReplaceAll(text.String(), "\r\n", "\n") }
	for !strings.Contains(plain(), end) {
		n, err := master.Read(buf)
		if err != nil {
			t.Fatalf("pty: %v after %q", err, plain())
		}
		text.Write(buf[:n])
	}
	return plain()
}

func terminal(script string) edit {
	return proc(func(p *specs.Process) {
		p.Terminal = true
		p.Args = []string{"/bin/sh", "-c", script}
	})
}

// PROC-03 PROC-04 CLI-12 DDEV-08
func TestConsoleSocket(t *testing.T) {
	r := newRuntime(t)
	path, accept := consoleSocket(t)
	script := `for fd in 0 1 2; do test -t $fd && echo tty $fd; done; tty; stty size;
		stat -c %t,%T /dev/console; stat -L -c %t,%T /proc/self/fd/0;
		echo controlling >/dev/tty; sh -c 'read x </dev/tty; echo got $x; echo END'; sleep 1000`
	b := newBundle(t, terminal(script), proc(func(p *specs.Process) {
		p.ConsoleSize = &specs.Box{Height: 33, Width: 101}
	}))
	c := r.create(b, "--console-socket", path)
	name, master := accept()
	if !regexp.MustCompile(`^/dev/pts/\d+$`).MatchString(name) {
		t.Errorf("the name of the pty is %q", name)
	}
	c.start()
	out := readUntil(t, master, "controlling\n")
	lines := strings.Split(out, "\n")
	wantLines(t, strings.Join(lines[:3], "\n"), "tty 0", "tty 1", "tty 2")
	if tty := lines[3]; tty != name && tty != "/dev/console" {
		t.Errorf("tty says %s, the payload said %s", tty, name)
	}
	if lines[4] != "33 101" {
		t.Errorf("stty size says %s", lines[4])
	}
	if lines[5] != lines[6] {
		t.Errorf("/dev/console is device %s, stdin is %s", lines[5], lines[6])
	}
	if _, err := master.WriteString("typed\n"); err != nil {
		t.Fatal(err)
	}
	if out := readUntil(t, master, "END"); !strings.Contains(out, "got typed\n") {
		t.Errorf("the program read %q", out)
	}
	c.stop()
	c.delete()
}

// CLI-12: sun_path ends at 108 bytes, paths do not.
func TestConsoleSocketLongPath(t *testing.T) {
	r := newRuntime(t)
	path, accept := consoleSocket(t)
	long := filepath.Join(tempDir(t), strings.Repeat("d", 120))
	if err := os.Symlink(filepath.Dir(path), long); err != nil {
		t.Fatal(err)
	}
	c := r.create(newBundle(t, terminal("echo END; sleep 1000")), "--console-socket", filepath.Join(long, "console.sock"))
	_, master := accept()
	c.start()
	readUntil(t, master, "END")
}

// USR-08: the program's user owns its terminal.
func TestConsoleOwner(t *testing.T) {
	r := newRuntime(t)
	path, accept := consoleSocket(t)
	b := newBundle(t, terminal(`stat -L -c %u /proc/self/fd/0; echo again >/dev/stdout; echo END; sleep 1000`),
		proc(func(p *specs.Process) { p.User = specs.User{UID: 1000, GID: 1000} }))
	c := r.create(b, "--console-socket", path)
	_, master := accept()
	c.start()
	wantLines(t, readUntil(t, master, "END"), "1000", "again", "END")
}

// PROC-03
func TestTerminalMisuse(t *testing.T) {
	r := newRuntime(t)
	path, _ := consoleSocket(t)
	b := newBundle(t, terminal("sleep 1000"))
	r.fails("process.terminal", "create", "--bundle", b.dir, r.id())
	r.fails("process.terminal", "run", "--detach", "--bundle", b.dir, r.id())
	r.fails("console socket", "create", "--console-socket", filepath.Join(tempDir(t), "missing"), "--bundle", b.dir, r.id())

	plain := newBundle(t)
	r.fails("process.terminal", "create", "--console-socket", path, "--bundle", plain.dir, r.id())
	r.fails("process.terminal", "run", "--detach", "--console-socket", path, "--bundle", plain.dir, r.id())
}

// PROC-05
func TestConsoleSizeWithoutTerminal(t *testing.T) {
	r := newRuntime(t)
	r.sh("true", proc(func(p *specs.Process) { p.ConsoleSize = &specs.Box{Height: 1, Width: 2} }))
}
