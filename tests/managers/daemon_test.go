package managers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// daemon is a manager's server, a child of the tests.
type daemon struct {
	line   []string
	ready  string      // what its log says when it serves
	log    *transcript // of all its lives
	cmd    *exec.Cmd
	exited chan struct{}
}

// startDaemon starts a server and waits until it serves. When the test t
// ends, the server is asked to end and waited for.
func startDaemon(t *testing.T, ready string, line ...string) *daemon {
	t.Helper()
	d := &daemon{line: line, ready: ready, log: newTranscript()}
	d.start(t)
	t.Cleanup(func() { d.end(t, unix.SIGTERM) })
	return d
}

// start starts it, again after end.
func (d *daemon) start(t *testing.T) {
	t.Helper()
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	d.cmd = exec.Command(d.line[0], d.line[1:]...)
	d.cmd.Stdout, d.cmd.Stderr = w, w
	if d.exited, err = follow(d.cmd, out, d.log); err != nil {
		t.Fatal(err)
	}
	if !d.log.await(d.ready, d.exited) {
		t.Fatalf("%s does not serve:\n%s", d.line[0], d.log)
	}
}

// end sends a signal to the server alone and waits for its end.
func (d *daemon) end(t *testing.T, sig os.Signal) {
	t.Helper()
	_ = d.cmd.Process.Signal(sig) // gone already is as good
	select {
	case <-d.exited:
	case <-time.After(patience):
		t.Errorf("%s: no end within %v", d.line[0], patience)
	}
}

// testCase runs one independent case of a suite. It must leave no process,
// mount or cgroup behind; when it fails, what the daemons have logged
// meanwhile is printed. d is nil for managers without a daemon.
func testCase(t *testing.T, name string, d *daemon, run func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		if d != nil {
			begin := d.log.length()
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("%s meanwhile:\n%s", d.line[0], d.log.since(begin))
				}
			})
		}
		leakCheck(t, d)
		run(t)
	})
}

// settled is how long what a case has ended may need to vanish.
const settled = time.Minute

// leakCheck compares the machine before and after the test. What vanishes is
// no leak: a case may be the first to see the end of another's. A case may
// start the daemon anew.
func leakCheck(t *testing.T, d *daemon) {
	t.Helper()
	before := machine(t, d)
	t.Cleanup(func() {
		var left []string
		for deadline := time.Now().Add(settled); ; time.Sleep(10 * time.Millisecond) {
			left = slices.DeleteFunc(machine(t, d), func(line string) bool { return slices.Contains(before, line) })
			if len(left) == 0 {
				return
			}
			if time.Now().After(deadline) {
				t.Errorf("left behind:\n  %s", strings.Join(left, "\n  "))
				return
			}
		}
	})
}

// machine lists the processes of the pid namespace but the daemon's, the
// mounts of the mount namespace, the cgroups of the cgroup namespace and
// systemd's units, one per line.
func machine(t *testing.T, d *daemon) []string {
	t.Helper()
	var lines []string
	for _, p := range processes(t) {
		if d != nil && p.pid == d.cmd.Process.Pid {
			continue
		}
		lines = append(lines, fmt.Sprintf("process %d %s", p.pid, p.command))
	}
	for line := range strings.Lines(readFile(t, "/proc/self/mountinfo")) {
		lines = append(lines, "mount "+strings.TrimSpace(line))
	}
	hierarchies, err := findHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hierarchies {
		for _, dir := range cgroupsBelow(h.dir) {
			lines = append(lines, "cgroup "+dir)
		}
	}
	if systemdRuns() {
		for _, name := range host.units(t) {
			lines = append(lines, "unit "+name)
		}
	}
	return lines
}

// process is one line of the process table.
type process struct {
	pid     int
	command string // its arguments, or its name in the kernel
}

// processes reads the process table, without the kernel's threads. What
// vanishes meanwhile is left out.
func processes(t *testing.T) []process {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var all []process
	for _, dir := range dirs {
		command, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			continue
		}
		if len(command) == 0 { // a zombie, or a thread of the kernel's
			if stat, _ := os.ReadFile(filepath.Join(dir, "stat")); kernelThread(string(stat)) {
				continue
			}
			command, _ = os.ReadFile(filepath.Join(dir, "comm"))
		}
		var p process
		if _, err := fmt.Sscanf(filepath.Base(dir), "%d", &p.pid); err != nil {
			t.Fatal(err)
		}
		p.command = strings.TrimSpace(strings.ReplaceAll(string(command), "\x00", " "))
		all = append(all, p)
	}
	return all
}

// kernelThread finds the flag PF_KTHREAD in /proc/PID/stat.
func kernelThread(stat string) bool {
	_, afterName, _ := strings.Cut(stat, ") ")
	fields := strings.Fields(afterName) // from the third
	if len(fields) < 7 {
		return false
	}
	flags, _ := strconv.ParseUint(fields[6], 10, 64)
	return flags&0x200000 != 0
}

// awaitProcess waits until a process has the command line.
func awaitProcess(t *testing.T, command string) {
	t.Helper()
	eventually(t, command+" runs", func() bool {
		return slices.ContainsFunc(processes(t), func(p process) bool { return p.command == command })
	})
}

// unmountBelow unmounts what is left below a directory.
func unmountBelow(t *testing.T, dir string) {
	t.Helper()
	lines := strings.Split(readFile(t, "/proc/self/mountinfo"), "\n")
	for _, line := range slices.Backward(lines) {
		if target := strings.Fields(line)[4]; strings.HasPrefix(target, dir+"/") {
			_ = unix.Unmount(target, unix.MNT_DETACH) // gone already is as good
		}
	}
}

// need fails the test unless the programs are installed.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Fatalf("%v: `scripts/need.sh managers` installs what these tests need", err)
		}
	}
}

// awaitExit waits for the end of any process.
func awaitExit(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for deadline := time.Now().Add(patience); ; {
		n, err := unix.Poll(poll, int(time.Until(deadline).Milliseconds()))
		if n == 1 {
			return
		}
		if err != unix.EINTR {
			t.Fatalf("process %d: no end within %v (%v)", pid, patience, err)
		}
	}
}

// appendLine covers a file by itself with one more line until the test ends.
func appendLine(t *testing.T, path, line string) {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	by := filepath.Join(tempDir(t), filepath.Base(path))
	writeFile(t, by, string(before)+line+"\n")
	if err := unix.Mount(by, path, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// discardChanges covers a directory by itself; what is changed in it is gone
// when the test ends.
func discardChanges(t *testing.T, dir string) {
	t.Helper()
	upper, work := tempDir(t), tempDir(t)
	if err := os.Chmod(upper, 0o755); err != nil {
		t.Fatal(err)
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", dir, upper, work)
	if err := unix.Mount("overlay", dir, "overlay", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}
