package tests

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// PROC-03 CLI-12: a terminal in the container's devpts, whoever the process
// is; /dev/console stays as it was.
func TestExecTerminal(t *testing.T) {
	for name, edits := range map[string][]edit{"plain": nil, "user namespace": {userNamespace()}, "with a console": {terminal("exec sleep 1000")}} {
		t.Run(name, func(t *testing.T) {
			r := newRuntime(t)
			var flags []string
			if name == "with a console" {
				path, _ := consoleSocket(t)
				flags = []string{"--console-socket", path}
			}
			c := r.runDetached(newBundle(t, edits...), flags...)
			console := func() string { return c.exec("stat -c %t,%T,%m /dev/console 2>&1 || true") }
			before := console()
			path, accept := consoleSocket(t)
			c.execDetached([]string{"--tty", "--console-socket", path, "-u", "1000"}, "/bin/sh", "-c", `tty; test -t 0 && test -t 1 && test -t 2 && echo all
				stat -L -c %u /dev/stdin; echo controlling >/dev/tty; read x; echo got $x; echo END; sleep 1000`)
			name, master := accept()
			lines := strings.Split(readUntil(t, master, "controlling\n"), "\n")
			wantLines(t, strings.Join(lines[:3], "\n"), name, "all", "1000")
			if !strings.HasPrefix(name, "/dev/pts/") {
				t.Errorf("the terminal is %s", name)
			}
			if _, err := master.WriteString("typed\n"); err != nil {
				t.Fatal(err)
			}
			readUntil(t, master, "got typed\nEND\n")
			if after := console(); after != before {
				t.Errorf("/dev/console was %s and is %s", before, after)
			}
			c.delete("--force")
		})
	}
}

// PROC-04: a process file gives the terminal its size.
func TestExecTerminalSize(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t))
	path, accept := consoleSocket(t)
	file := processFile(t, "stty size; sleep 1000", func(p *specs.Process) {
		p.Terminal, p.ConsoleSize = true, &specs.Box{Height: 33, Width: 101}
	})
	c.execDetached([]string{"--process", file, "--console-socket", path})
	_, master := accept()
	readUntil(t, master, "33 101\n")
	c.delete("--force")
}

// CLI-18: a shell in the user's terminal: its size, its keys, its exit status.
func TestExecForegroundTerminal(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t))
	s := r.inTerminal(nil, nil, c.execLine([]string{"-t"}, "/bin/sh", "-c", `stty size; trap "echo resized; stty size" WINCH
		trap "echo interrupted; exit 7" INT; read line; echo "read $line"; while :; do sleep 0.05; done`)...)
	readUntil(t, s.master, "40 120\n")
	s.typeIn("hello\n")
	readUntil(t, s.master, "read hello\n")
	setSize(t, s.master, 50, 90)
	readUntil(t, s.master, "resized\n50 90\n")
	s.typeIn("\x03")
	readUntil(t, s.master, "interrupted\n")
	if code := s.end(); code != 7 {
		t.Errorf("exit %d, want 7", code)
	}
	s = r.inTerminal(nil, nil, c.execLine([]string{"-t"}, "/bin/nosuch")...)
	readUntil(t, s.master, "no such file or directory")
	if code := s.end(); code != 255 {
		t.Errorf("exit %d, want 255", code)
	}
	c.delete("--force")
}

// PROC-03: terminals and sockets that do not go together.
func TestExecTerminalMisuse(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t))
	path, _ := consoleSocket(t)
	missing := filepath.Join(tempDir(t), "missing")
	c.refuseExec("skep itself has no terminal", []string{"-t"}, "/bin/true")
	c.refuseExec("needs a console socket", []string{"-t", "-d"}, "/bin/true")
	c.refuseExec("the process has no terminal", []string{"-d", "--console-socket", path}, "/bin/true")
	c.refuseExec("console socket "+missing, []string{"-t", "-d", "--console-socket", missing}, "/bin/true")
	c.delete("--force")

	c = r.runDetached(newBundle(t, func(s *specs.Spec) { s.Mounts = append(s.Mounts[:2], s.Mounts[3:]...) })) // no devpts
	c.refuseExec("open a terminal in /dev/pts", []string{"-t", "-d", "--console-socket", path}, "/bin/true")
	c.delete("--force")
}

// pidfdSocket listens for one pidfd.
func pidfdSocket(t *testing.T) (path string, accept func() (payload string, pid int)) {
	t.Helper()
	path = filepath.Join(tempDir(t), "pidfd.sock")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return path, func() (string, int) {
		t.Helper()
		if err := listener.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		conn, err := listener.AcceptUnix()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		payload, rights := make([]byte, 4096), make([]byte, 4096)
		n, rn, _, _, err := conn.ReadMsgUnix(payload, rights)
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
		defer unix.Close(fds[0])
		pid, err := strconv.Atoi(statusFields(readFile(t, filepath.Join("/proc/self/fdinfo", strconv.Itoa(fds[0]))))["Pid"])
		if err != nil {
			t.Fatal(err)
		}
		if more, err := conn.Read(payload[n:]); more != 0 {
			t.Errorf("%d more bytes, %v", more, err)
		}
		return string(payload[:n]), pid
	}
}

// CLI-13
func TestPidfdSocket(t *testing.T) {
	r := newRuntime(t)
	path, accept := pidfdSocket(t)
	c := r.create(newBundle(t), "--pidfd-socket", path)
	if payload, pid := accept(); payload != "standard" || pid != c.pid {
		t.Errorf("create: %q for process %d, want %d", payload, pid, c.pid)
	}
	c.start()
	pid := c.execDetached([]string{"--pidfd-socket", path}, "/bin/sleep", "1000")
	if payload, sent := accept(); payload != "setns" || sent != pid {
		t.Errorf("exec: %q for process %d, want %d", payload, sent, pid)
	}
	c.delete("--force")
	c = r.runDetached(newBundle(t), "--pidfd-socket", path)
	if payload, pid := accept(); payload != "standard" || pid != c.pid {
		t.Errorf("run: %q for process %d, want %d", payload, pid, c.pid)
	}
	c.delete("--force")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r.fails("pidfd socket "+path, "create", "--bundle", newBundle(t).dir, "--pidfd-socket", path, r.id())
}
