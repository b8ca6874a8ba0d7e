package tests

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// serviceManager is the socket on which systemd listens to its services.
type serviceManager struct {
	t    *testing.T
	path string
	conn *net.UnixConn
}

func newServiceManager(t *testing.T) *serviceManager {
	t.Helper()
	path := filepath.Join(tempDir(t), "manager.sock")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &serviceManager{t, path, conn}
}

func (m *serviceManager) env() []string { return []string{"NOTIFY_SOCKET=" + m.path} }

// next returns the next message, and closes the descriptors that come with it, as a manager does.
func (m *serviceManager) next() string {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		m.t.Fatal(err)
	}
	text, rights := make([]byte, 4096), make([]byte, 4096)
	n, rn, _, _, err := m.conn.ReadMsgUnix(text, rights)
	if err != nil {
		m.t.Fatalf("the service manager heard nothing: %v", err)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:rn])
	if err != nil {
		m.t.Fatal(err)
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			m.t.Fatal(err)
		}
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
	return string(text[:n])
}

// quiet fails the test if something has been said meanwhile.
func (m *serviceManager) quiet() {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now()); err != nil {
		m.t.Fatal(err)
	}
	text := make([]byte, 4096)
	if n, err := m.conn.Read(text); err == nil {
		m.t.Errorf("the service manager heard %q", text[:n])
	}
}

// notifying makes a bundle whose program says something to its service manager by way of logger(1), which sends one
// datagram and puts a line of its own before the message's.
func notifying(t *testing.T, script string, edits ...edit) bundle {
	t.Helper()
	return newBundle(t, append(edits, args("/bin/sh", "-ec", `
		say() { logger "$(printf 'log\n%s' "$*")"; }
		ln -s "$NOTIFY_SOCKET" /dev/log
		`+script))...)
}

// CLI-14: the service manager hears READY=1 although it is not the first line, then the pid; start waits for it.
func TestNotifyStart(t *testing.T) {
	r := newRuntime(t)
	m := newServiceManager(t)
	ready := filepath.Join(tempDir(t), "ready")
	if err := unix.Mkfifo(ready, 0o600); err != nil {
		t.Fatal(err)
	}
	b := notifying(t, `say STATUS=warming up; cat /ready; say READY=1; exec sleep 1000`,
		mounts(specs.Mount{Destination: "/ready", Type: "bind", Source: ready, Options: []string{"bind"}}))
	c := r.make(b, call{args: []string{"create"}, env: m.env()})
	wait := r.start(call{args: []string{"start", c.id}, env: m.env()})
	c.awaitStatus("running")
	m.quiet()
	if err := os.WriteFile(ready, []byte("go\n"), 0); err != nil { // waits for the program to open the fifo
		t.Fatal(err)
	}
	if got := m.next(); got != "READY=1" {
		t.Errorf("first %q", got)
	}
	if got := m.next(); got != "MAINPID="+strconv.Itoa(c.pid) {
		t.Errorf("then %q, init is %d", got, c.pid)
	}
	if got := m.next(); got != "BARRIER=1" {
		t.Errorf("then %q", got)
	}
	if res, err := wait(); err != nil || res.code != 0 || res.stderr != "" {
		t.Errorf("start: %v, exit %d, %s", err, res.code, res.stderr)
	}
	c.stop()
	c.delete()
}

// CLI-14: whoever waits for a program that never gets ready can kill it; start then ends too.
func TestNotifyNeverReady(t *testing.T) {
	r := newRuntime(t)
	m := newServiceManager(t)
	b := notifying(t, `say NOTREADY=1; touch /said; exec sleep 1000`)
	c := r.make(b, call{args: []string{"create"}, env: m.env()})
	wait := r.start(call{args: []string{"start", c.id}, env: m.env()})
	eventually(t, "the program has said something", func() bool { return b.exists("said") })
	c.stop()
	if res, err := wait(); err != nil || res.code != 0 {
		t.Errorf("start: %v, exit %d, %s", err, res.code, res.stderr)
	}
	m.quiet()
	c.delete()
}

// CLI-14: in the foreground skep stays the main process: what the program says about itself is passed on, what is
// about processes and descriptors is not.
func TestNotifyForeground(t *testing.T) {
	r := newRuntime(t)
	m := newServiceManager(t)
	b := notifying(t, `say READY=1; say "$(printf 'STATUS=serving\nMAINPID=1\nFDSTORE=1')"; say MAINPID=1; say STOPPING=1`)
	res := r.call(call{args: r.runLine(b), env: m.env()})
	if res.code != 0 || res.stderr != "" {
		t.Errorf("exit %d: %s", res.code, res.stderr)
	}
	for _, want := range []string{"READY=1", "STATUS=serving", "STOPPING=1"} {
		if got := m.next(); got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
	m.quiet()
}

// CLI-14: what the program sees of it.
func TestNotifyInside(t *testing.T) {
	r := newRuntime(t)
	m := newServiceManager(t)
	b := newBundle(t, userNamespace(), args("/bin/sh", "-ec", `
		echo $NOTIFY_SOCKET; stat -c '%a %F' $NOTIFY_SOCKET; grep ' /run/notify ' /proc/self/mountinfo; touch /run/notify/x 2>/dev/null && echo writable; true`))
	b.chown(100_000, 100_000)
	lines := strings.Split(strings.TrimSpace(r.succeed(call{args: r.runLine(b), env: m.env()}).stdout), "\n")
	if len(lines) != 3 || lines[0] != "/run/notify/notify.sock" || lines[1] != "777 socket" {
		t.Fatalf("%q", lines)
	}
	options := strings.Split(parseMounts(lines[2])[0].options, ",")
	for _, want := range []string{"ro", "nosuid", "nodev", "noexec"} {
		if !strings.Contains(","+strings.Join(options, ",")+",", ","+want+",") {
			t.Errorf("/run/notify lacks %s: %s", want, lines[2])
		}
	}
}

// A container that nobody waits for gets no socket, and a manager that is gone is one clear error.
func TestNotifyWithout(t *testing.T) {
	r := newRuntime(t)
	if got := r.sh(`echo "[$NOTIFY_SOCKET]"; ls -d /run/notify 2>/dev/null || true`); !strings.HasPrefix(got, "[]") {
		t.Errorf("NOTIFY_SOCKET is %s", got)
	}
	gone := filepath.Join(tempDir(t), "gone.sock")
	c := r.make(notifying(t, `say READY=1; exec sleep 1000`), call{args: []string{"create"}, env: []string{"NOTIFY_SOCKET=" + gone}})
	r.refuse(call{args: []string{"start", c.id}, env: []string{"NOTIFY_SOCKET=" + gone}}, "NOTIFY_SOCKET", gone)
	if _, err := os.Stat(procPath(c.pid, "")); err != nil {
		t.Error("the program does not run:", err)
	}
	c.stop()
	c.delete()
}
