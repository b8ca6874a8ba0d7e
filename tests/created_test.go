package tests

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// FD-05: a waiting init shows the host neither as a directory descriptor
// (CVE-2024-21626) nor as its program (CVE-2019-5736).
func TestCreatedInitHoldsNoHost(t *testing.T) {
	r := newRuntime(t)
	c := r.create(newBundle(t))
	fds, err := os.ReadDir(procPath(c.pid, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		path := procPath(c.pid, "fd/"+fd.Name())
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			name, _ := os.Readlink(path) // only for the message
			t.Errorf("descriptor %s is the directory %s", fd.Name(), name)
		}
	}
	var program, runtime unix.Stat_t
	if err := unix.Stat(procPath(c.pid, "exe"), &program); err != nil {
		t.Fatal(err)
	}
	if err := unix.Stat(r.binary, &runtime); err != nil {
		t.Fatal(err)
	}
	if program.Dev == runtime.Dev && program.Ino == runtime.Ino {
		t.Error("/proc/PID/exe is the runtime on the host")
	}
}

// ST-12: the state is the runtime's alone.
func TestStateFileModes(t *testing.T) {
	r := newRuntime(t)
	c := r.create(newBundle(t))
	dir := filepath.Join(r.root, c.id)
	for path, forbidden := range map[string]os.FileMode{dir: 0o066, filepath.Join(dir, "state.json"): 0o177} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&forbidden != 0 {
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
	}
}

// AFF-01 AFF-06: a pinned runtime does not pin its containers, and what it
// does to its own timers stays with it.
func TestSchedulingOfTheCaller(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/sh", "-c", "grep Cpus_allowed_list /proc/1/status | cut -f2; cat /proc/1/timerslack_ns"))
	all, _, _ := strings.Cut(r.output(b), "\n") // whoever runs the tests may be pinned as well
	res := r.succeed(call{args: r.runLine(b), wrap: []string{"taskset", "-c", firstCPU(t)}})
	wantLines(t, res.stdout, all, strings.TrimSpace(readFile(t, "/proc/self/timerslack_ns")))
}

// firstCPU is one on which the tests may run.
func firstCPU(t *testing.T) string {
	t.Helper()
	list := statusFields(readFile(t, "/proc/self/status"))["Cpus_allowed_list"]
	return list[:strings.IndexFunc(list+",", func(r rune) bool { return r < '0' || r > '9' })]
}

// What skep does to its own scheduling does not reach the caller's hooks: they
// run where the caller may run.
func TestSchedulingOfHooks(t *testing.T) {
	r := newRuntime(t)
	out := filepath.Join(tempDir(t), "out")
	script := "grep Cpus_allowed_list /proc/self/status | cut -f2 >>" + out + "; cat /proc/self/timerslack_ns >>" + out
	b := newBundle(t, args("/bin/true"), func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", script}}}}
	})
	slack := strings.TrimSpace(readFile(t, "/proc/self/timerslack_ns"))
	r.succeed(call{args: r.runLine(b), wrap: []string{"taskset", "-c", firstCPU(t)}})
	wantLines(t, readFile(t, out), firstCPU(t), slack)
	if err := os.Remove(out); err != nil {
		t.Fatal(err)
	}
	r.succeed(call{args: r.runLine(b)})
	wantLines(t, readFile(t, out), statusFields(readFile(t, "/proc/self/status"))["Cpus_allowed_list"], slack)
}

// CLI-03: long flags work with one dash, as go-runc sends some.
func TestSingleDashFlags(t *testing.T) {
	r := newRuntime(t)
	c := r.make(newBundle(t), call{args: []string{"create", "-no-pivot"}})
	r.ok("delete", "-force", c.id)
	r.live = nil
}

// Flags may stand behind the id, as runc has it.
func TestFlagsBehindTheID(t *testing.T) {
	r := newRuntime(t)
	id := r.id()
	pidFile := filepath.Join(tempDir(t), "pid")
	r.ok("run", id, "--bundle", newBundle(t).dir, "-d", "--pid-file="+pidFile)
	if got := strconv.Itoa(r.state(id).Pid); got != readFile(t, pidFile) {
		t.Errorf("pid file %s, pid %s", readFile(t, pidFile), got)
	}
	r.ok("delete", id, "--force")
	r.fails("--force", "delete", "--", id, "--force") // here it is one id too many
	for _, line := range [][]string{{"run", "--bundle"}, {"run", id, "--pid-file"}, {"create", id, "-b"}, {"list", "-f"}} {
		r.fails("flag needs an argument: -", line...)
	}
}

// FD-02: sockets of a caller that activates the container.
func TestListenFds(t *testing.T) {
	r := newRuntime(t)
	file := createFile(t, filepath.Join(tempDir(t), "file"))
	defer file.Close()
	b := newBundle(t, args("/bin/sh", "-c", "echo $LISTEN_FDS $LISTEN_PID; echo third >&3; ls /proc/$$/fd; true"))
	// LISTEN_PID must be the runtime's: the shell becomes it.
	activate := []string{"/bin/sh", "-c", `export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"`, "sh"}
	res := r.succeed(call{args: r.runLine(b), wrap: activate, extra: []*os.File{file, file}})
	wantLines(t, res.stdout, "1 1", "0", "1", "2", "3")
	if got := readFile(t, file.Name()); got != "third\n" {
		t.Errorf("the file holds %q", got)
	}
}

// A created container is one thread of some kilobytes, whatever its
// configuration is: hosts keep thousands of them.
func TestCreatedInitIsSmall(t *testing.T) {
	for _, name := range []string{"containerd-01", "containerd-07", "containerd-05"} {
		t.Run(name, func(t *testing.T) {
			r := newRuntime(t)
			c := r.create(recordedBundle(t, recorded(t)[name]))
			const limit = 64 // KiB
			rollup := readFile(t, procPath(c.pid, "smaps_rollup"))
			if rss := fieldOf(t, rollup, "Rss"); rss == 0 || rss >= limit {
				t.Errorf("the waiting init has %d KiB resident", rss)
			}
			if threads := fieldOf(t, readFile(t, procPath(c.pid, "status")), "Threads"); threads != 1 {
				t.Errorf("the waiting init has %d threads", threads)
			}
		})
	}
}

// fieldOf returns the number in a line "key: number" of a file in /proc.
func fieldOf(t *testing.T, text, key string) int {
	t.Helper()
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			n, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in\n%s", key, text)
	return 0
}

// CVE-2019-5736: where memfds may not be executed and the state is on a noexec mount, as Debian's /run is, init still
// is a file of its own. Kernels before 6.3 execute any memfd.
func TestStateNoexec(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/echo", "ran"))
	const script = `mount -t tmpfs -o noexec tmpfs "$0"
		f=/proc/sys/vm/memfd_noexec; [ ! -e $f ] || echo 2 >$f
		"$@"`
	// The sysctl is the pid namespace's.
	wrap := []string{"unshare", "--pid", "--fork", "--mount-proc", "/bin/sh", "-ec", script, r.root}
	wantLines(t, r.succeed(call{args: r.runLine(b), wrap: wrap}).stdout, "ran")
}
