package tests

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// seccompAgent is what listens at linux.seccomp.listenerPath.
type seccompAgent struct {
	t      *testing.T
	path   string
	socket *net.UnixListener
}

func newSeccompAgent(t *testing.T) *seccompAgent {
	t.Helper()
	path := filepath.Join(tempDir(t), "agent.sock")
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return &seccompAgent{t, path, socket}
}

// accept takes one connection, up to its end. The descriptors have to come with the first bytes, and only there.
func (a *seccompAgent) accept() (payload []byte, listener *os.File) {
	a.t.Helper()
	deadline := time.Now().Add(patience)
	if err := a.socket.SetDeadline(deadline); err != nil {
		a.t.Fatal(err)
	}
	conn, err := a.socket.AcceptUnix()
	if err != nil {
		a.t.Fatalf("nobody connected to the agent: %v", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(deadline); err != nil {
		a.t.Fatal(err)
	}
	for first := true; ; first = false {
		part, rights := make([]byte, 4096), make([]byte, 4096)
		n, rn, _, _, err := conn.ReadMsgUnix(part, rights)
		if n == 0 && (err == nil || errors.Is(err, io.EOF)) {
			return payload, listener
		}
		if err != nil {
			a.t.Fatal(err)
		}
		payload = append(payload, part[:n]...)
		if first {
			listener = a.descriptor(rights[:rn])
		} else if rn > 0 {
			a.t.Error("descriptors came with a later message")
		}
	}
}

func (a *seccompAgent) descriptor(rights []byte) *os.File {
	a.t.Helper()
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil || len(messages) != 1 {
		a.t.Fatalf("%d control messages, %v", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		a.t.Fatalf("%d descriptors, want exactly one; %v", len(fds), err)
	}
	file := os.NewFile(uintptr(fds[0]), "seccomp listener")
	a.t.Cleanup(func() { file.Close() })
	return file
}

// alone makes sure that nobody else has connected.
func (a *seccompAgent) alone() {
	a.t.Helper()
	if err := a.socket.SetDeadline(time.Now()); err != nil {
		a.t.Fatal(err)
	}
	if conn, err := a.socket.Accept(); err == nil {
		conn.Close()
		a.t.Error("there was a second connection")
	}
}

// serve answers the calls of a container: what the function returns, or, if that is 0, whatever the kernel does.
// The result is the list of calls so far.
func serve(listener *os.File, answer func(nr int) unix.Errno) (asked func() []int) {
	var lock sync.Mutex
	var seen []int
	own, err := unix.FcntlInt(listener.Fd(), unix.F_DUPFD_CLOEXEC, 3) // the test may close its own, and use the number again
	if err != nil {
		panic(err) // the listener is open
	}
	fd := uintptr(own)
	go func() {
		defer unix.Close(own)
		for {
			fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			if _, err := unix.Poll(fds, -1); err == unix.EINTR {
				continue
			}
			if fds[0].Revents&unix.POLLIN == 0 { // no process is left
				return
			}
			var request [80]byte  // struct seccomp_notif
			var response [24]byte // struct seccomp_notif_resp
			if _, _, err := unix.Syscall(unix.SYS_IOCTL, fd, unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&request))); err != 0 {
				continue // whoever asked is gone
			}
			nr := int(binary.NativeEndian.Uint32(request[16:]))
			lock.Lock()
			seen = append(seen, nr)
			lock.Unlock()
			copy(response[:8], request[:8])
			if errno := answer(nr); errno != 0 {
				binary.NativeEndian.PutUint32(response[16:], uint32(-int32(errno)))
			} else {
				binary.NativeEndian.PutUint32(response[20:], unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE)
			}
			_, _, _ = unix.Syscall(unix.SYS_IOCTL, fd, unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&response)))
		}
	}()
	return func() []int {
		lock.Lock()
		defer lock.Unlock()
		return slices.Clone(seen)
	}
}

func kernelDecides(int) unix.Errno { return 0 }

// notify leaves calls to the agent, and allows the rest.
func notify(path string, calls ...string) edit {
	return seccomp(specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow, ListenerPath: path,
		Syscalls: []specs.LinuxSyscall{{Names: calls, Action: specs.ActNotify}},
	})
}

func noNewPrivileges(on bool) edit {
	return proc(func(p *specs.Process) { p.NoNewPrivileges = on })
}

// The mkdir of a container gets whatever the agent says. SEC-10 SEC-11 SEC-23 CPS-01 CPS-03 CPS-04 CPS-05 CPS-06 CPS-07
func TestSeccompNotify(t *testing.T) {
	for name, edits := range map[string][]edit{
		"no_new_privs":                 {noNewPrivileges(true)},
		"privileges":                   {noNewPrivileges(false)},
		"no_new_privs, other user":     {noNewPrivileges(true), user(1000, 1000)},
		"privileges, other user":       {noNewPrivileges(false), user(1000, 1000)},
		"no_new_privs, user namespace": {noNewPrivileges(true), userNamespace()},
		"privileges, user namespace":   {noNewPrivileges(false), userNamespace()},
	} {
		t.Run(name, func(t *testing.T) {
			r, agent := newRuntime(t), newSeccompAgent(t)
			script := `mkdir /tmp/no || echo refused; mkdir /tmp/yes && echo made; rmdir /tmp/yes`
			b := newBundle(t, append(edits, notify(agent.path, "mkdir", "mkdirat"), args("/bin/sh", "-c", script), func(s *specs.Spec) {
				s.Linux.Seccomp.ListenerMetadata = "meta\ndata"
				s.Annotations = map[string]string{"org.example.key": "value"}
			})...)
			if err := os.Chmod(filepath.Join(b.rootfs, "tmp"), 0o777|os.ModeSticky); err != nil {
				t.Fatal(err)
			}
			c := r.create(b)
			payload, listener := agent.accept()
			var got, want specs.ContainerProcessState
			if err := json.Unmarshal(payload, &got); err != nil {
				t.Fatalf("%v: %s", err, payload)
			}
			want = specs.ContainerProcessState{
				Version: specs.Version, Fds: []string{"seccompFd"}, Pid: c.pid, Metadata: "meta\ndata",
				State: specs.State{Version: specs.Version, ID: c.id, Status: specs.StateCreating, Pid: c.pid, Bundle: b.dir,
					Annotations: map[string]string{"org.example.key": "value"}},
			}
			if g, w := asJSON(t, got), asJSON(t, want); g != w {
				t.Errorf("the agent got %s, want %s", g, w)
			}
			refusals := 0
			asked := serve(listener, func(int) unix.Errno {
				if refusals++; refusals == 1 {
					return unix.ENOSPC
				}
				return 0
			})
			c.start()
			c.awaitStatus("stopped")
			wantLines(t, c.made.later(t), "refused", "made")
			if seen := asked(); len(seen) != 2 || b.exists("tmp/no") {
				t.Errorf("the agent was asked about %v, tmp/no is there: %v", seen, b.exists("tmp/no"))
			}
			agent.alone()
			c.delete()
		})
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// With no_new_privs nothing but read and execve follows the filter, so that every call can be left to the agent, and
// the verdict of start comes through. SEC-22
func TestSeccompNotifyEverything(t *testing.T) {
	for name, profile := range map[string]specs.LinuxSeccomp{
		"by default": {DefaultAction: specs.ActNotify},
		"read, write, execve": {DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"read", "write", "execve", "exit_group"}, Action: specs.ActNotify},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r, agent := newRuntime(t), newSeccompAgent(t)
			profile.ListenerPath = agent.path
			b := newBundle(t, seccomp(profile), args("/bin/echo", "said"))
			c := r.create(b)
			_, listener := agent.accept()
			asked := serve(listener, kernelDecides)
			if s := c.status(); s != "created" {
				t.Errorf("before start it is %s", s)
			}
			c.start()
			c.awaitStatus("stopped")
			wantLines(t, c.made.later(t), "said")
			if seen := asked(); !slices.Contains(seen, unix.SYS_WRITE) || !slices.Contains(seen, unix.SYS_EXECVE) {
				t.Errorf("the agent was asked about %v", seen)
			}
			c.delete() // its cgroup is the next one's, too
			b.write("bin/bad", "#!/none\n", 0o755)
			b.spec.Process.Args = []string{"/bin/bad"}
			b.save()
			bad := r.create(b)
			_, listener = agent.accept()
			serve(listener, kernelDecides)
			r.fails("no such file or directory", "start", bad.id)
		})
	}
}

// An agent that answers in the kernel's place ends the wait for start, but starts nothing. SEC-22
func TestSeccompNotifySpoofedStart(t *testing.T) {
	r, agent := newRuntime(t), newSeccompAgent(t)
	b := newBundle(t, notify(agent.path, "read"), args("/bin/touch", "/tmp/ran"))
	c := r.create(b)
	_, listener := agent.accept()
	serve(listener, func(int) unix.Errno { return unix.EIO })
	c.awaitStatus("stopped")
	if b.exists("tmp/ran") {
		t.Error("the program ran without start")
	}
	r.fails("stopped", "start", c.id)
}

// What init itself needs cannot be left to an agent while it has the privileges of the runtime. SEC-22 ERR-01
func TestSeccompNotifyRefused(t *testing.T) {
	r, agent := newRuntime(t), newSeccompAgent(t)
	refused := func(b bundle, want ...string) {
		t.Helper()
		r.refuse(call{args: []string{"create", "--bundle", b.dir, r.id()}}, want...)
	}
	for _, name := range []string{"write", "read", "capset", "prctl"} {
		refused(newBundle(t, noNewPrivileges(false), notify(agent.path, name)),
			"linux.seccomp: init needs "+name, "seccomp agent", "process.noNewPrivileges")
	}
	all := seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActNotify, ListenerPath: agent.path})
	refused(newBundle(t, noNewPrivileges(false), all), "linux.seccomp: init needs", "seccomp agent")
	deaf := newBundle(t, notify(agent.path, "mkdir"), linux(func(l *specs.Linux) {
		l.Seccomp.Syscalls = append(l.Seccomp.Syscalls, specs.LinuxSyscall{Names: []string{"read"}, Action: specs.ActErrno})
	}))
	refused(deaf, "linux.seccomp: init needs read", "EPERM")
	refused(newBundle(t, seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerMetadata: "x"})), // SEC-13
		"linux.seccomp.listenerMetadata")
	refused(newBundle(t, notify("", "mkdir")), "linux.seccomp.listenerPath")
	agent.alone()
}

// An agent that cannot be reached leaves no container. SEC-10 ERR-01
func TestSeccompNotifyNoAgent(t *testing.T) {
	r := newRuntime(t)
	dir := tempDir(t)
	datagrams, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "datagrams"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	for _, nnp := range []bool{true, false} {
		for _, name := range []string{"missing", "datagrams", strings.Repeat("d", 120) + "/long"} {
			path := filepath.Join(dir, name)
			b := newBundle(t, noNewPrivileges(nnp), notify(path, "mkdir"))
			for _, command := range []string{"create", "run"} {
				r.refuse(call{args: []string{command, "--bundle", b.dir, r.id()}}, "linux.seccomp.listenerPath "+path)
			}
		}
	}
}

// SEC-12: without NOTIFY nobody connects.
func TestSeccompListenerIgnored(t *testing.T) {
	r, agent := newRuntime(t), newSeccompAgent(t)
	for _, path := range []string{agent.path, "/missing", "relative"} {
		r.sh("true", seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: path, ListenerMetadata: "x"}))
	}
	agent.alone()
}

// sun_path ends at 108 bytes, and a socket's buffer before a large state does: the descriptor still comes first.
// CPS-02 SEC-10
func TestSeccompNotifyLong(t *testing.T) {
	r, agent := newRuntime(t), newSeccompAgent(t)
	long := filepath.Join(tempDir(t), strings.Repeat("d", 120))
	if err := os.Symlink(filepath.Dir(agent.path), long); err != nil {
		t.Fatal(err)
	}
	value := strings.Repeat("x", 1<<20)
	b := newBundle(t, notify(filepath.Join(long, "agent.sock"), "mkdir"), args("/bin/true"), func(s *specs.Spec) {
		s.Annotations = map[string]string{"org.example.long": value}
	})
	id := r.id()
	wait := r.background("create", "--bundle", b.dir, id)
	payload, _ := agent.accept()
	wait()
	var got specs.ContainerProcessState
	if err := json.Unmarshal(payload, &got); err != nil || got.State.Annotations["org.example.long"] != value {
		t.Errorf("%d bytes arrived, %v", len(payload), err)
	}
	r.ok("delete", id)
}

// background begins a command that has to succeed, and returns the function that waits for it.
func (r *ociRuntime) background(args ...string) (wait func()) {
	r.t.Helper()
	end := r.start(call{args: args})
	return func() {
		r.t.Helper()
		if res, err := end(); err != nil || res.code != 0 {
			r.t.Fatalf("%v: exit %d, %v\n%s", args, res.code, err, res.stderr)
		}
	}
}
