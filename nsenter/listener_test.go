package nsenter

import (
	"encoding/binary"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// notifies is a filter that leaves some calls, or without any all of them, to an agent and allows the rest.
func notifies(calls ...uint32) plan.Seccomp {
	e := binary.NativeEndian
	var bpf []byte
	insn := func(code uint16, jf uint8, k uint32) {
		bpf = append(e.AppendUint16(bpf, code), 0, jf)
		bpf = e.AppendUint32(bpf, k)
	}
	insn(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, 0, 0)
	for _, nr := range calls {
		insn(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, 1, nr)
		insn(unix.BPF_RET|unix.BPF_K, 0, unix.SECCOMP_RET_USER_NOTIF)
	}
	last := uint32(unix.SECCOMP_RET_ALLOW)
	if len(calls) == 0 {
		last = unix.SECCOMP_RET_USER_NOTIF
	}
	insn(unix.BPF_RET|unix.BPF_K, 0, last)
	return plan.Seccomp{Filter: bpf, Flags: unix.SECCOMP_FILTER_FLAG_NEW_LISTENER}
}

// answer is what an agent says to a call: an errno or a result, or nothing: then the kernel performs the call.
type answer struct {
	result int64
	errno  unix.Errno
}

// agent answers notifications until the child is gone, and then tells which calls it was asked about.
func agent(t *testing.T, listener *os.File, answers map[int]answer) (asked func() map[int]int) {
	t.Helper()
	done, seen := make(chan struct{}), map[int]int{}
	go func() {
		defer close(done)
		defer listener.Close()
		for {
			fds := []unix.PollFd{{Fd: int32(listener.Fd()), Events: unix.POLLIN}}
			if _, err := unix.Poll(fds, -1); err == unix.EINTR {
				continue
			}
			if fds[0].Revents&unix.POLLIN == 0 {
				return
			}
			var request [80]byte // struct seccomp_notif
			if _, _, err := unix.Syscall(unix.SYS_IOCTL, listener.Fd(), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&request))); err != 0 {
				continue // whoever asked is gone
			}
			nr := int(binary.NativeEndian.Uint32(request[16:]))
			seen[nr]++
			var response [24]byte // struct seccomp_notif_resp
			copy(response[:8], request[:8])
			if a, ok := answers[nr]; ok {
				binary.NativeEndian.PutUint64(response[8:], uint64(a.result))
				binary.NativeEndian.PutUint32(response[16:], uint32(-int32(a.errno)))
			} else {
				binary.NativeEndian.PutUint32(response[20:], unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE)
			}
			_, _, _ = unix.Syscall(unix.SYS_IOCTL, listener.Fd(), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&response)))
		}
	}()
	return func() map[int]int {
		<-done
		return seen
	}
}

// listening plays a last phase whose filter has a listener.
func listening(t *testing.T, c *Child, p *plan.Phase) *os.File {
	t.Helper()
	listener, err := c.FinishListening(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	link, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(listener.Fd())))
	if err != nil || !strings.Contains(link, "seccomp notify") {
		t.Fatalf("the listener is %s, %v", link, err)
	}
	return listener
}

// TestListener fetches the listener of a filter that is loaded long before the wait, or right before it.
func TestListener(t *testing.T) { // SEC-10
	shell := plan.Exec{Path: "/bin/sh", Args: []string{"sh", "-c", "umask 5; exit 7"}}
	for _, test := range []struct {
		name   string
		before []plan.Step
		late   bool
		asked  int // a call that the agent must have been asked about
	}{
		{"early", []plan.Step{notifies(unix.SYS_UMASK), plan.NoNewPrivs{}}, false, unix.SYS_UMASK},
		{"late", []plan.Step{plan.NoNewPrivs{}, notifies(unix.SYS_EXECVE)}, true, unix.SYS_EXECVE},
		{"the wait itself", []plan.Step{plan.NoNewPrivs{}, notifies(unix.SYS_READ)}, true, unix.SYS_READ},
		{"everything", []plan.Step{plan.NoNewPrivs{}, notifies()}, true, unix.SYS_EXECVE},
	} {
		for _, kind := range kinds {
			t.Run(test.name+" "+kind.name, func(t *testing.T) {
				g, c := newGates(t), pack(t, kind.user, 0).Child
				p := g.release(append([]plan.Step{plan.CloseOnExec{First: 3}}, test.before...), []plan.Step{shell})
				if test.late {
					p.Steps[len(p.Steps)-2] = plan.AwaitStart{Filtered: true}
				}
				asked := agent(t, listening(t, c, p), nil)
				if answer := g.start(t); len(answer) != 0 {
					t.Errorf("the verdict is %d bytes", len(answer))
				}
				if status := c.Wait(); status.ExitStatus() != 7 {
					t.Errorf("status %#x", status)
				}
				if seen := asked(); seen[test.asked] == 0 {
					t.Errorf("the agent was not asked about call %d: %v", test.asked, seen)
				}
			})
		}
	}
}

// TestListenerVerdict says why a program does not run, through the agent if need be.
func TestListenerVerdict(t *testing.T) { // SEC-22
	g, c := newGates(t), launch(t, 0)
	p := g.release([]plan.Step{plan.NoNewPrivs{}, notifies()}, []plan.Step{plan.Exec{Path: "/none", Args: []string{"x"}}})
	p.Steps[len(p.Steps)-2] = plan.AwaitStart{Filtered: true}
	agent(t, listening(t, c, p), nil)
	answer := g.start(t)
	if len(answer) != answerSize || unix.Errno(binary.NativeEndian.Uint32(answer[4:])) != unix.ENOENT {
		t.Errorf("the verdict is %x", answer)
	}
}

// TestListenerSpoof: an agent that claims the wait is over starts nothing.
func TestListenerSpoof(t *testing.T) { // SEC-22
	for _, claimed := range []answer{{result: 1}, {errno: unix.EPERM}} {
		g, c := newGates(t), launch(t, 0)
		p := g.release([]plan.Step{plan.NoNewPrivs{}, notifies(unix.SYS_READ)}, []plan.Step{plan.Exec{Path: "/bin/true", Args: []string{"true"}}})
		p.Steps[len(p.Steps)-2] = plan.AwaitStart{Filtered: true}
		agent(t, listening(t, c, p), map[int]answer{unix.SYS_READ: claimed})
		const lastWord = 121 // player.c
		if status := c.Wait(); status.ExitStatus() != lastWord {
			t.Errorf("%+v: status %#x", claimed, status)
		}
	}
}

// TestListenerFails: a filter that cannot be loaded fails the phase like any step, and so does a death.
func TestListenerFails(t *testing.T) { // ERR-01
	exec := []plan.Step{plan.Exec{Path: "/bin/true", Args: []string{"true"}}}
	bad := notifies()
	bad.Filter = make([]byte, 8) // does not end in a return
	var e *plan.StepError
	_, err := launch(t, 0).FinishListening(newGates(t).release([]plan.Step{plan.NoNewPrivs{}, bad}, exec))
	if !errors.As(err, &e) || e.Errno != unix.EINVAL || e.Call != "seccomp" {
		t.Errorf("a bad filter: %v", err)
	}
	kill := notifies()
	binary.NativeEndian.PutUint32(kill.Filter[len(kill.Filter)-4:], unix.SECCOMP_RET_KILL_PROCESS)
	var death *DeathError
	_, err = launch(t, 0).FinishListening(newGates(t).release([]plan.Step{plan.NoNewPrivs{}, kill}, exec))
	if !errors.As(err, &death) || death.Status.Signal() != unix.SIGSYS {
		t.Errorf("a filter that kills: %v", err)
	}
	_, err = launch(t, 0).FinishListening(newGates(t).release(nil, exec))
	if err == nil {
		t.Error("a phase without a filter has a listener")
	}
}
