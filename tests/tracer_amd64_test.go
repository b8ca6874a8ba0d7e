package tests

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A fault strikes when the runtime is about to make the n-th system call that
// changes something, or makes it visible to others.
type fault struct {
	n     int
	kill  bool                   // end the runtime
	errno unix.Errno             // let the call fail with this instead
	do    func(runtimePid int)   // anything else
	on    func(call uint64) bool // which calls count; nil: effects
	wrap  []string               // a command line to put before the runtime's, which executes it
	from  uint64                 // none counts before the first of this number; 0: all do

	// The calls are those of what the runtime forks, init and the program: in no other user namespace.
	inside bool
}

// effects are the system calls between which a death, or at which an error,
// makes a difference. Go's scheduler makes hundreds of others.
var effects = []uint64{
	unix.SYS_MKDIRAT, unix.SYS_MKDIR, unix.SYS_MKNODAT, unix.SYS_MKNOD, unix.SYS_RMDIR, unix.SYS_UNLINKAT, unix.SYS_UNLINK,
	unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_RENAME, unix.SYS_WRITE, unix.SYS_PWRITE64, unix.SYS_FLOCK,
	unix.SYS_CLONE3, unix.SYS_CLONE, unix.SYS_SENDMSG, unix.SYS_RECVMSG, unix.SYS_PRLIMIT64, unix.SYS_MEMFD_CREATE,
	unix.SYS_SOCKETPAIR, unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_WAIT4, unix.SYS_WAITID,
	unix.SYS_EXIT_GROUP,
}

func isEffect(call uint64) bool { return slices.Contains(effects, call) }

// isOpen adds the calls that need a descriptor or a name, where a machine
// short of something refuses first.
func isOpen(call uint64) bool {
	switch call {
	case unix.SYS_OPENAT, unix.SYS_OPENAT2, unix.SYS_OPEN_TREE, unix.SYS_MOUNT_SETATTR:
		return true
	case unix.SYS_EXIT_GROUP:
		return false
	}
	return isEffect(call)
}

// trace runs a command of the runtime under ptrace with a fault. struck tells
// whether the command came that far. Only the runtime's own threads are traced:
// what it clones with CLONE_VFORK, unless the fault is inside, or into another user namespace, is not.
func (r *ociRuntime) trace(f fault, args ...string) (res result, struck bool) {
	r.t.Helper()
	runtime.LockOSThread() // ptrace obeys one thread only
	defer runtime.UnlockOSThread()
	dir := tempDir(r.t)
	res.outFile = filepath.Join(dir, "stdout")
	stdout, stderr := createFile(r.t, res.outFile), createFile(r.t, filepath.Join(dir, "stderr"))
	defer stdout.Close()
	defer stderr.Close()
	line := append(append(slices.Clone(f.wrap), r.binary, "--root", r.root), args...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := startChild(cmd); err != nil {
		r.t.Fatal(err)
	}
	t := &tracer{t: r.t, fault: f, pid: cmd.Process.Pid, seen: map[int]bool{}, failing: map[int]bool{}}
	res.code = t.follow()
	forgetChild(cmd)
	res.stdout, res.stderr = readFile(r.t, stdout.Name()), readFile(r.t, stderr.Name())
	if strings.Contains(res.stderr, "goroutine 1 [") {
		r.t.Errorf("%s: panic\n%s", strings.Join(args, " "), res.stderr)
	}
	return res, t.count >= f.n
}

// forgetChild is waitChild for a process that was reaped already.
func forgetChild(cmd *exec.Cmd) {
	children.Lock()
	defer children.Unlock()
	delete(children.own, cmd.Process.Pid)
	_ = cmd.Process.Release()
}

type tracer struct {
	t *testing.T
	fault
	pid     int
	count   int
	seen    map[int]bool // threads that have reported
	failing map[int]bool // threads in a call that is to fail
}

// follow traces the process to its end and returns its exit code, -1 when it
// was killed.
func (t *tracer) follow() int {
	options := unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_EXITKILL
	if t.inside {
		options |= unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK
	}
	for {
		var ws unix.WaitStatus
		// Without children of other threads: those are somebody else's.
		pid, err := unix.Wait4(-1, &ws, unix.WALL|unix.WNOTHREAD, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			t.t.Fatalf("wait for the traced runtime: %v", err)
		case !ws.Stopped():
			if pid == t.pid {
				return ws.ExitStatus()
			}
			continue
		}
		if pid == t.pid && !t.seen[pid] {
			if err := unix.PtraceSetOptions(pid, options); err != nil {
				t.t.Fatalf("trace the runtime: %v", err)
			}
		}
		// A thread may be gone already; that is reported by Wait4.
		_ = unix.PtraceSyscall(pid, t.stopped(pid, ws))
	}
}

// stopped handles one stop and returns the signal to go on with.
func (t *tracer) stopped(pid int, ws unix.WaitStatus) int {
	first := !t.seen[pid]
	t.seen[pid] = true
	switch sig := ws.StopSignal(); {
	case sig == unix.SIGTRAP|0x80:
		t.call(pid)
		return 0
	case sig == unix.SIGTRAP, first && sig == unix.SIGSTOP: // an event, the exec, a new thread
		return 0
	default:
		return int(sig)
	}
}

// call looks at the beginning or end of a system call.
func (t *tracer) call(pid int) {
	var regs unix.PtraceRegs
	if unix.PtraceGetRegs(pid, &regs) != nil {
		return // killed meanwhile
	}
	if t.failing[pid] {
		delete(t.failing, pid)
		regs.Rax = uint64(-int64(t.errno))
		_ = unix.PtraceSetRegs(pid, &regs)
		return
	}
	counts := t.on
	if counts == nil {
		counts = isEffect
	}
	entry := int64(regs.Rax) == -int64(unix.ENOSYS) // so the kernel presets the result
	if entry && regs.Orig_rax == t.from {
		t.from = 0
	}
	forked := unix.Tgkill(t.pid, pid, 0) != nil // no thread of the runtime's
	if !entry || t.from != 0 || forked != t.inside || !counts(regs.Orig_rax) {
		return
	}
	if t.count++; t.count != t.n {
		return
	}
	switch {
	case t.kill:
		_ = unix.Kill(t.pid, unix.SIGKILL)
	case t.errno != 0:
		regs.Orig_rax = ^uint64(0)
		t.failing[pid] = unix.PtraceSetRegs(pid, &regs) == nil
	default:
		t.do(t.pid)
	}
}
