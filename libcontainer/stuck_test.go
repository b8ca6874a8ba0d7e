package libcontainer

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skep/cgroups"
)

// awaitName waits until a process has a name. Who starts one is told, by a descriptor that is closed on exec, before
// the kernel gives it the name of its program.
func awaitName(t *testing.T, pid int, name string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if string(comm) == name+"\n" {
			return
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("process %d is called %q, not %s (%v)", pid, comm, name, err)
		}
	}
}

// OPD-07: what does not end is told with its reason.
func TestStuck(t *testing.T) {
	runtime.LockOSThread() // which is the tracer
	defer runtime.UnlockOSThread()
	for _, test := range []struct {
		attributes syscall.SysProcAttr
		want       string
	}{
		{syscall.SysProcAttr{Ptrace: true}, fmt.Sprintf(" (sleep) is traced by %d", unix.Gettid())},
		{syscall.SysProcAttr{}, " (sleep) "},
	} {
		pid, err := syscall.ForkExec("/bin/sleep", []string{"sleep", "1000"}, &syscall.ProcAttr{Sys: &test.attributes})
		if err != nil {
			t.Fatal(err)
		}
		awaitName(t, pid, "sleep")
		c := &Container{state: &State{Init: Process{Pid: pid}}}
		if got := c.stuck(); !strings.HasPrefix(got, fmt.Sprintf("%d%s", pid, test.want)) {
			t.Errorf("%q, want %d%s", got, pid, test.want)
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Error(err)
		}
		if _, err := unix.Wait4(pid, nil, unix.WALL, nil); err != nil {
			t.Error(err)
		}
		if got := c.stuck(); got != "" {
			t.Errorf("gone: %q", got)
		}
	}
	freezer := t.TempDir()
	if err := os.WriteFile(freezer+"/freezer.state", []byte("FROZEN\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &Container{state: &State{Cgroup: cgroups.Facts{Paths: map[string]string{"freezer": freezer}}}}
	if got := c.stuck(); !strings.Contains(got, "above the container's is frozen") {
		t.Errorf("frozen: %q", got)
	}
}
