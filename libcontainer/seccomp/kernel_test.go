package seccomp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// probeEnv makes the test binary a probe: it loads a filter and reports what
// the kernel makes of some calls.
const probeEnv = "SECCOMP_TEST_PROBE"

func TestMain(m *testing.M) {
	if os.Getenv(probeEnv) != "" {
		probe()
	}
	os.Exit(m.Run())
}

// A probeJob is a filter and the calls to make under it.
type probeJob struct {
	BPF   []byte
	Flags uint
	Calls []probeCall
}

type probeCall struct {
	Nr   int
	Args [6]uint64
}

// probe reads a job from stdin, prints the errno of each call, and exits. The
// filter holds for one thread, which makes the calls and nothing else; the
// others see what became of it.
func probe() {
	debug.SetGCPercent(-1) // Nothing may stop the thread, which never yields.
	runtime.GOMAXPROCS(4)
	var job probeJob
	if err := json.NewDecoder(os.Stdin).Decode(&job); err != nil {
		panic(err)
	}
	results := make([]int, len(job.Calls))
	var tid, made, finished atomic.Int64
	go offMainThread(func() {
		tid.Store(int64(unix.Gettid()))
		loadFilter(job)
		for i, c := range job.Calls {
			_, _, errno := unix.RawSyscall6(uintptr(c.Nr), uintptr(c.Args[0]), uintptr(c.Args[1]), uintptr(c.Args[2]),
				uintptr(c.Args[3]), uintptr(c.Args[4]), uintptr(c.Args[5]))
			results[i] = int(errno)
			made.Add(1)
		}
		finished.Store(1)
		for { //nolint:staticcheck // it has to spin: a parked thread makes system calls, which the filter may forbid
		}
	})
	for finished.Load() == 0 {
		time.Sleep(time.Millisecond)
		if id := tid.Load(); id != 0 && unix.Tgkill(os.Getpid(), int(id), 0) == unix.ESRCH {
			fmt.Println("thread killed")
			break
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(results[:made.Load()]); err != nil {
		panic(err)
	}
	os.Exit(0)
}

// offMainThread runs f on a thread of its own. It must not be the main one,
// which stays as a zombie when it is killed alone.
func offMainThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		go offMainThread(f)
		select {}
	}
	f()
}

func loadFilter(job probeJob) {
	insns := make([]unix.SockFilter, len(job.BPF)/insnSize)
	for i := range insns {
		in := decode(job.BPF[insnSize*i:])
		insns[i] = unix.SockFilter{Code: in.code, Jt: in.jt, Jf: in.jf, K: in.k}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	fd, err := setFilter(job.Flags, insns)
	if err != nil {
		panic(fmt.Sprintf("seccomp(2): %v", err))
	}
	if job.Flags&unix.SECCOMP_FILTER_FLAG_NEW_LISTENER != 0 {
		unix.Close(fd) // Without a listener, calls fail with ENOSYS at once.
	}
}

func setFilter(flags uint, insns []unix.SockFilter) (fd int, err error) {
	fprog := unix.SockFprog{Len: uint16(len(insns)), Filter: &insns[0]}
	r, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(flags), uintptr(unsafe.Pointer(&fprog)))
	if errno != 0 {
		return -1, errno
	}
	return int(r), nil
}

// runProbe runs the calls under the filter in a process of its own. It returns
// the errnos of those that returned, and how the thread or process ended.
func runProbe(t *testing.T, f *Filter, calls []probeCall) (errnos []int, end string) {
	t.Helper()
	job, err := json.Marshal(probeJob{f.BPF, f.Flags, calls})
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(os.Environ(), probeEnv+"=1", "GODEBUG=asyncpreemptoff=1", "GOCOVERDIR="+t.TempDir())
	cmd.Stdin = bytes.NewReader(job)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if rest, killed := bytes.CutPrefix(stdout.Bytes(), []byte("thread killed\n")); killed {
		stdout, end = *bytes.NewBuffer(rest), "thread killed"
	}
	switch ws := cmd.ProcessState.Sys().(syscall.WaitStatus); {
	case ws.Signaled():
		return nil, "process killed by " + unix.SignalName(ws.Signal())
	case bytes.HasPrefix(stderr.Bytes(), []byte("SIGSYS: bad system call")):
		return nil, "SIGSYS"
	case err != nil:
		t.Fatalf("probe: %v\n%s", err, &stderr)
	}
	if err := json.Unmarshal(stdout.Bytes(), &errnos); err != nil {
		t.Fatalf("probe printed %q: %v", stdout.String(), err)
	}
	return errnos, end
}

// kernelMeans tells what the kernel does upon a verdict, with no tracer and no
// agent there: an errno, 0 for success, or the end of the thread or process.
func kernelMeans(t *testing.T, verdict uint32) (errno int, end string) {
	t.Helper()
	switch verdict & unix.SECCOMP_RET_ACTION_FULL {
	case unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_LOG:
		return 0, ""
	case unix.SECCOMP_RET_ERRNO:
		return int(verdict & unix.SECCOMP_RET_DATA), ""
	case unix.SECCOMP_RET_TRACE, unix.SECCOMP_RET_USER_NOTIF:
		return int(unix.ENOSYS), ""
	case unix.SECCOMP_RET_TRAP:
		return 0, "SIGSYS"
	case unix.SECCOMP_RET_KILL_THREAD:
		return 0, "thread killed"
	case unix.SECCOMP_RET_KILL_PROCESS:
		return 0, "process killed by SIGSYS"
	}
	t.Fatalf("no meaning for verdict %#x", verdict)
	return 0, ""
}

// A verdictCase is a call and the verdict expected from evaluator and kernel.
type verdictCase struct {
	nr   int
	args [6]uint64
	want uint32
}

// checkVerdicts asserts the verdicts of the evaluator, and that the kernel acts
// upon them. A verdict that kills can only come last.
func checkVerdicts(t *testing.T, p *specs.LinuxSeccomp, cases []verdictCase) {
	t.Helper()
	f := mustCompile(t, p)
	var calls []probeCall
	for _, c := range cases {
		if got := f.Verdict(NativeArch(), c.nr, c.args); got != c.want {
			t.Errorf("Verdict(%#x, %#x) = %#x (%s), want %#x (%s)", c.nr, c.args, got, Action(got), c.want, Action(c.want))
		}
		calls = append(calls, probeCall{c.nr, c.args})
	}
	errnos, end := runProbe(t, f, calls)
	_, wantEnd := kernelMeans(t, cases[len(cases)-1].want)
	if end != wantEnd {
		t.Errorf("kernel: end %q, want %q", end, wantEnd)
	}
	// A process that dies takes the earlier results with it.
	for i, errno := range errnos {
		if wantErrno, _ := kernelMeans(t, cases[i].want); errno != wantErrno {
			t.Errorf("kernel: call %#x with %#x: errno %d, want %d", cases[i].nr, cases[i].args, errno, wantErrno)
		}
	}
	if want := len(cases); end == "" && len(errnos) != want || end == "thread killed" && len(errnos) != want-1 {
		t.Errorf("kernel: %d calls returned of %d, end %q", len(errnos), want, end)
	}
}
