package managers

import (
	"encoding/binary"
	"encoding/json"
	"net"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// seccompAgent answers the calls that a container's filter leaves to it with an errno, until the container is gone.
// The channel receives what the runtime has told about the container.
func seccompAgent(t *testing.T, errno unix.Errno) (path string, told chan specs.ContainerProcessState) {
	t.Helper()
	path = filepath.Join(tempDir(t), "agent.sock")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	told = make(chan specs.ContainerProcessState, 1)
	go func() {
		conn, err := listener.AcceptUnix()
		if err != nil {
			return // nobody has come: the test says so
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		payload, rights := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(4))
		n, rn, _, _, err := conn.ReadMsgUnix(payload, rights)
		if err != nil {
			t.Error(err)
			return
		}
		var state specs.ContainerProcessState
		if err := json.Unmarshal(payload[:n], &state); err != nil {
			t.Error(err)
		}
		messages, err := unix.ParseSocketControlMessage(rights[:rn])
		if err != nil || len(messages) != 1 {
			t.Errorf("%d messages with descriptors, %v", len(messages), err)
			return
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil || len(fds) != 1 {
			t.Errorf("%d descriptors, %v", len(fds), err)
			return
		}
		told <- state
		answer(fds[0], errno)
	}()
	return path, told
}

// answer answers with an errno until nobody is left to ask.
func answer(fd int, errno unix.Errno) {
	defer unix.Close(fd)
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR || fds[0].Revents&unix.POLLHUP != 0 {
			return
		}
		var request [80]byte // struct seccomp_notif
		if _, _, err := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&request))); err != 0 {
			continue // the caller is gone
		}
		var response [24]byte // struct seccomp_notif_resp
		copy(response[:8], request[:8])
		binary.NativeEndian.PutUint32(response[16:], uint32(-int32(errno)))
		_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&response)))
	}
}

// ctrAgentCases: calls that are left to a seccomp agent.
var ctrAgentCases = []ctrCase{
	{"SeccompAgent", func(c *ctr) {
		path, told := seccompAgent(c.T, unix.EDOM)
		profile := filepath.Join(tempDir(c.T), "profile.json")
		b, err := json.Marshal(map[string]any{
			"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "listenerMetadata": "of the profile",
			"syscalls": []any{map[string]any{"names": []string{"mkdir", "mkdirat"}, "action": "SCMP_ACT_NOTIFY"}},
		})
		if err != nil {
			c.Fatal(err)
		}
		writeFile(c.T, profile, string(b))
		got := c.sh(`grep Seccomp: /proc/self/status; mkdir /new 2>&1 || ls -d /new 2>&1 | tail -n 1`, "--seccomp", "--seccomp-profile", profile)
		c.equal("inside", got, "Seccomp:\t2\nmkdir: can't create directory '/new': Numerical argument out of domain\nls: /new: No such file or directory")
		select {
		case state := <-told:
			if state.State.ID != c.id || state.Metadata != "of the profile" || state.Pid <= 0 {
				c.Errorf("the agent was told %+v", state)
			}
		default:
			c.Error("the agent was told nothing")
		}
	}},
}
