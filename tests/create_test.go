package tests

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// OPC-02 ST-02
func TestCreateDuplicateID(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t))
	before := r.state(c.id)
	other := newBundle(t)
	r.fails("container with given ID already exists", "create", "--bundle", other.dir, c.id)
	r.fails("container with given ID already exists", "run", "--bundle", other.dir, c.id)
	if after := r.state(c.id); after.Pid != before.Pid || after.Status != "running" || after.Bundle != before.Bundle {
		t.Errorf("the first container changed from %+v to %+v", before, after)
	}
}

// OPC-02: of several creates at once one wins.
func TestConcurrentCreates(t *testing.T) {
	r := newRuntime(t)
	id := r.id()
	waits := make([]func() (result, error), 8)
	for i := range waits {
		waits[i] = r.start(call{args: []string{"create", "--bundle", newBundle(t).dir, id}})
	}
	won := 0
	for _, wait := range waits {
		res, err := wait()
		switch {
		case err != nil:
			t.Error(err)
		case res.code == 0:
			won++
		case !strings.Contains(res.stderr, "already exists"):
			t.Errorf("the loser says %q", res.stderr)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d creates succeeded", won, len(waits))
	}
	if got := r.state(id).Status; got != "created" {
		t.Errorf("the winner is %s", got)
	}
	r.ok("start", id)
	r.ok("delete", "--force", id)
}

// invalidIDs would name other files than a directory below the root.
var invalidIDs = []string{
	"", ".", "..", "../x", "a/b", "/a", "a b", "a\nb", "é", "a;b", "a*", "@seccomp", strings.Repeat("a", 1024),
}

// OPC-03: refused before any path is built.
func TestInvalidIDs(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t)
	victim := filepath.Join(filepath.Dir(r.root), "x")
	if err := os.Mkdir(victim, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, id := range invalidIDs {
		for _, line := range [][]string{
			{"create", "--bundle", b.dir, id}, {"run", "--bundle", b.dir, id}, {"start", id}, {"state", id},
			{"kill", id}, {"delete", id}, {"delete", "--force", id},
		} {
			want := "invalid container ID format"
			if id == "" {
				want = "" // may be called missing
			}
			r.fails(want, line...)
		}
	}
	if _, err := os.Stat(victim); err != nil {
		t.Errorf("a directory beside the root: %v", err)
	}
}

// OPC-03: all that the rule allows is accepted.
func TestValidIDs(t *testing.T) {
	r := newRuntime(t)
	for _, suffix := range []string{"A.b_c+d-9", ".hidden", "..."} {
		id := suite.mark + suffix
		r.ok("create", "--bundle", newBundle(t).dir, id)
		if got := r.state(id).ID; got != id {
			t.Errorf("state of %s has the id %s", id, got)
		}
		r.ok("delete", "--force", id)
	}
}

// OPC-01 JSON-01 JSON-04 ROOT-05
func TestCreateWithoutBundle(t *testing.T) {
	r := newRuntime(t)
	r.refuse(call{args: []string{"create"}, dir: newBundle(t).dir}, "create: ID is missing")
	empty := tempDir(t)
	r.fails("the bundle has no configuration: "+empty+"/config.json not found", "create", "--bundle", empty, r.id())
	r.fails("config.json not found", "create", "--bundle", filepath.Join(tempDir(t), "missing"), r.id())

	b := newBundle(t)
	if err := os.RemoveAll(b.rootfs); err != nil {
		t.Fatal(err)
	}
	r.fails("root.path: "+b.rootfs+": no such file or directory", "create", "--bundle", b.dir, r.id())
	writeFile(t, b.rootfs, "a file")
	r.fails("root.path: "+b.rootfs+": not a directory", "create", "--bundle", b.dir, r.id())
}

// CLI-11
func TestPidFile(t *testing.T) {
	r := newRuntime(t)
	dir := tempDir(t)
	path := filepath.Join(dir, "pid")
	writeFile(t, path, "what an earlier container left, which is longer")
	// Left by a crash: a fixed temporary name would now fail for ever.
	writeFile(t, filepath.Join(dir, ".pid"), "")
	earlier := filepath.Join(tempDir(t), "pid")
	if err := os.Link(path, earlier); err != nil {
		t.Fatal(err)
	}
	c := r.create(newBundle(t), "--pid-file", path)
	if got := readFile(t, path); got != strconv.Itoa(c.pid) {
		t.Errorf("the pid file holds %q, want %d", got, c.pid)
	}
	if got := readFile(t, earlier); !strings.HasPrefix(got, "what an earlier") {
		t.Errorf("the earlier file was written in place: %q", got)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("beside the pid file: %v", entries)
	}
}

func wantNoFile(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); err == nil {
		t.Errorf("%s is there", path)
	}
}

func removeFile(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Error(err)
	}
}

// CLI-11 ERR-01: what fails after the pid file is written takes it back.
func TestPidFileOfFailedRun(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/script"))
	b.write("bin/script", "#!/no/such/interpreter\n", 0o755)
	path := filepath.Join(tempDir(t), "pid")
	for _, flags := range [][]string{nil, {"--detach"}} {
		r.fails("/bin/script", append([]string{"run", "--pid-file", path, "--bundle", b.dir, r.id()}, flags...)...)
		wantNoFile(t, path)
	}
}

// CLI-11 ERR-01: a pid file that cannot be written undoes the create.
func TestPidFileUnwritable(t *testing.T) {
	r := newRuntime(t)
	path := filepath.Join(tempDir(t), "missing", "pid")
	r.fails("no such file or directory", "create", "--pid-file", path, "--bundle", newBundle(t).dir, r.id())
}

// CLI-11: what else is there than a file stays what it is: others use it.
func TestPidFileSpecial(t *testing.T) {
	r := newRuntime(t)
	dir := tempDir(t)
	device, fifo, link := filepath.Join(dir, "null"), filepath.Join(dir, "fifo"), filepath.Join(dir, "link")
	if err := errors.Join(unix.Mknod(device, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))), unix.Mkfifo(fifo, 0o600), os.Symlink(device, link)); err != nil {
		t.Fatal(err)
	}
	b := newBundle(t)
	r.fails("pid file "+fifo+": no such device or address", "create", "--pid-file", fifo, "--bundle", b.dir, r.id())
	r.fails("pid file "+dir+": is a directory", "create", "--pid-file", dir, "--bundle", b.dir, r.id())
	r.fails("pid file /: is a directory", "create", "--pid-file", "/", "--bundle", b.dir, r.id())
	reader, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for _, path := range []string{device, link, fifo} {
		c := r.create(newBundle(t), "--pid-file", path)
		if path == fifo {
			pid := make([]byte, 20)
			if n, err := reader.Read(pid); err != nil || string(pid[:n]) != strconv.Itoa(c.pid) {
				t.Errorf("the reader has got %q, %v; want %d", pid[:n], err, c.pid)
			}
		}
		c.refuseExec("", []string{"--pid-file", path}, "/nosuch")
		c.delete()
	}
	for path, want := range map[string]os.FileMode{device: os.ModeDevice | os.ModeCharDevice, fifo: os.ModeNamedPipe, link: os.ModeSymlink} {
		if st, err := os.Lstat(path); err != nil || st.Mode().Type() != want {
			t.Errorf("%s: %v, %v", path, st, err)
		}
	}
}

// PROC-01 PROC-02 OPS-04
func TestCreateWithoutProcess(t *testing.T) {
	r := newRuntime(t)
	c := r.create(newBundle(t, func(s *specs.Spec) { s.Process = nil }))
	if got := c.status(); got != "created" {
		t.Errorf("after create: %s", got)
	}
	r.fails("process", "start", c.id)
	if got := c.status(); got != "created" {
		t.Errorf("after the refused start: %s", got)
	}
}

// LC-02 CGP-02: a cgroup with processes in it belongs to somebody.
func TestCreateInUsedCgroup(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t, args("/bin/sleep", "1000")))
	other := newBundle(t, linux(func(l *specs.Linux) { l.CgroupsPath = c.bundle.spec.Linux.CgroupsPath }))
	r.refuse(call{args: []string{"create", "--bundle", other.dir, r.id()}}, c.bundle.cgroup, "is not empty: it has 1 process(es)")
	if got := c.status(); got != "running" {
		t.Errorf("the first container is %s", got)
	}
}

// CGP-02: nobody could run in a cgroup that is frozen. Whoever has frozen it keeps it so.
func TestCreateInFrozenCgroup(t *testing.T) {
	r := newCgroupfsRuntime(t)
	b := newBundle(t, onCgroupfs)
	makeCgroup(t, "freezer", b.cgroup)
	c := &container{ociRuntime: r, bundle: b}
	c.freeze()
	r.refuse(call{args: []string{"create", "--bundle", b.dir, r.id()}}, b.cgroup, "is frozen")
	if !c.frozen() {
		t.Error("it is not frozen any more")
	}
}

// CLI-06 CLI-05: with a log file the streams stay silent on success, and the
// last record of level error says why a command failed.
func TestLogFile(t *testing.T) {
	r := newRuntime(t)
	log := filepath.Join(tempDir(t), "log.json")
	line := func(args ...string) call {
		return call{args: append([]string{"--log", log, "--log-format", "json"}, args...)}
	}
	id := r.id()
	b := newBundle(t)
	for _, args := range [][]string{
		{"create", "--bundle", b.dir, id}, {"start", id}, {"kill", id, "9"}, {"delete", "--force", id},
	} {
		if res := r.succeed(line(args...)); res.stdout != "" {
			t.Errorf("%v wrote %q", args, res.stdout)
		}
	}
	if said := readFile(t, log); said != "" {
		t.Errorf("the log has %s", said)
	}
	if info, err := os.Stat(log); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the log is %v, %v", info, err)
	}
	for n := range 2 { // appended, one object each, and as an error on stderr too
		r.refuse(line("state", id+itoa(n)), "does not exist")
		lines := strings.Split(strings.TrimSpace(readFile(t, log)), "\n")
		var record struct {
			Level, Msg string
			Time       time.Time
		}
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &record); err != nil || len(lines) != n+1 {
			t.Fatalf("%d lines, %v: %q", len(lines), err, lines)
		}
		if record.Level != "error" || record.Time.IsZero() || !strings.Contains(record.Msg, id+itoa(n)+": container does not exist") {
			t.Errorf("the record is %+v", record)
		}
	}
}

// CLI-05: what is no file.
func TestLogElsewhere(t *testing.T) {
	r := newRuntime(t)
	fifo := filepath.Join(tempDir(t), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	state := func(log string) call { return call{args: []string{"--log", log, "state", "nosuch"}} }
	r.refuse(state(fifo), "--log: open "+fifo+": no such device or address")
	r.refuse(state(r.root), "--log: open "+r.root+": is a directory")
	reader, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	r.refuse(state(fifo), "does not exist")
	text := make([]byte, 1000)
	if n, err := reader.Read(text); err != nil || !strings.Contains(string(text[:n]), "does not exist") {
		t.Errorf("the reader has got %q, %v", text[:n], err)
	}
}

// CGM-05: what is ignored is said once. Warnings are the caller's to silence.
func TestLogLevel(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, linux(func(l *specs.Linux) {
		l.Resources = &specs.LinuxResources{Memory: &specs.LinuxMemory{Kernel: new(int64)}}
		*l.Resources.Memory.Kernel = 64 << 20
	}), args("/bin/true"))
	for level, warnings := range map[string]int{"error": 0, "warning": 1, "debug": 1} {
		res := r.call(call{args: append([]string{"--log-level", level}, r.runLine(b)...)})
		if res.code != 0 || strings.Count(res.stderr, "linux.resources.memory.kernel: ignored") != warnings {
			t.Errorf("%s: exit %d, %q", level, res.code, res.stderr)
		}
	}
	r.fails("want error, warning or debug", "--log-level", "loud", "list")
}

// CLI-02
func TestUnknownFlagsAndCommands(t *testing.T) {
	r := newRuntime(t)
	for _, line := range [][]string{{"create", "--frobnicate"}, {"--frobnicate", "list"}, {"frobnicate"}} {
		r.refuse(call{args: line}, "frobnicate")
		if res := r.do(line...); len(line) > 1 && !strings.Contains(res.stderr, "USAGE:") {
			t.Errorf("%v: no usage on stderr: %s", line, res.stderr)
		}
	}
}
