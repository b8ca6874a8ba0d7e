package cgroups

import (
	"bufio"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Everything below happens in cgroups of the host below this path.
const testRoot = "/skep-test-cgroups"

// TestHost runs on the cgroups of the host: the tests that suit all modes, and
// those of the mode it has. It needs root; without, it takes a v2 tree of which
// a part is delegated to this process, as a systemd user manager has it.
func TestHost(t *testing.T) {
	l, err := Detect()
	if err != nil {
		t.Fatal(err)
	}
	type test struct {
		name string
		run  func(*testing.T, Layout)
	}
	tests := []test{
		{"refused", testRefused},
		{"read-only", testReadOnly},
		{"lifecycle", testLifecycle},
		{"existing", testExisting},
		{"in use", testInUse},
		{"frozen", testFrozen},
		{"kill frozen", testKillFrozen},
		{"kill each", testKillEach},
		{"kill forks", testKillForks},
		{"freeze forks", testFreezeForks},
		{"busy", testBusy},
		{"neighbours", testNeighbours},
		{"gone", testGone},
	}
	switch {
	case l.Mode == None, l.Mode != V2 && os.Geteuid() != 0:
		t.Fatalf("needs cgroups, and root unless they are v2: mode %s", l.Mode)
	case os.Geteuid() != 0:
		tests = []test{{"rootless", testRootless}}
	case l.Mode == V2:
		tests = append(tests, test{"v2 limits", testLimitsV2}, test{"v2 errors", testErrorsV2},
			test{"v2 threaded", testThreadedV2})
	default:
		tests = append(tests, test{"v1 limits", testLimitsV1}, test{"v1 errors", testErrorsV1},
			test{"v1 update", testUpdateV1}, test{"v1 devices", testDevicesV1})
	}
	for _, tt := range tests {
		t.Run(l.Mode.String()+" "+tt.name, func(t *testing.T) {
			defer nothingLeft(t, l)
			tt.run(t, l)
		})
	}
}

// nothingLeft checks that the test has removed its cgroups, and does it.
func nothingLeft(t *testing.T, l Layout) {
	g := newGroup(t, l, testRoot)
	for _, path := range g.Paths() {
		if exists(path) {
			t.Errorf("%s is left", path)
			g.created = append(g.created, path)
		}
	}
	if err := errors.Join(g.Kill(unix.SIGKILL), g.Remove()); err != nil {
		t.Error(err)
	}
}

// create makes a group that is killed and removed with the test.
func create(t *testing.T, l Layout, path string, writes ...Write) *Group {
	t.Helper()
	g := newGroup(t, l, testRoot+path)
	if err := g.Create(writes); err != nil {
		t.Fatal(err)
	}
	return g
}

// end kills and removes a group.
func end(t *testing.T, g *Group) {
	t.Helper()
	if err := g.Kill(unix.SIGKILL); err != nil {
		t.Error(err)
	}
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
}

// child is a shell that has joined a group, and goes on with a script.
type child struct {
	*exec.Cmd
	out  *bufio.Reader
	dead chan struct{} // closed when it has been waited for
}

// join starts a child as the runtime does: it writes 0 to v1's tasks by
// itself, and is born into the v2 tree.
func join(t *testing.T, g *Group, script string) *child {
	t.Helper()
	args := append([]string{"-c", `for f; do echo 0 > "$f" || exit 1; done; echo in; ` + script, "sh"}, g.TasksFiles()...)
	c := &child{Cmd: exec.Command("sh", args...), dead: make(chan struct{})}
	if dir := g.V2Dir(); dir != "" {
		fd, err := openFile(dir, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout, c.out = w, bufio.NewReader(r)
	stdin, err := c.StdinPipe() // for a script that waits by read
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	go func() {
		c.Wait()
		close(c.dead)
	}()
	t.Cleanup(func() {
		c.Process.Kill()
		<-c.dead
		stdin.Close()
		r.Close()
	})
	if line := c.line(t); line != "in" {
		t.Fatalf("the child said %q", line)
	}
	return c
}

func (c *child) line(t *testing.T) string {
	t.Helper()
	line, err := c.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\n")
}

func expectProcs(t *testing.T, g *Group, want ...int) {
	t.Helper()
	slices.Sort(want)
	if got, err := g.Procs(); err != nil || !slices.Equal(got, want) {
		t.Errorf("processes %v, %v; want %v", got, err, want)
	}
}

func expectFreezer(t *testing.T, g *Group, want Freezer) {
	t.Helper()
	if got, err := g.Freezer(); err != nil || got != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

// expectFiles checks the contents of files, named controller/file.
func expectFiles(t *testing.T, g *Group, want map[string]string) {
	t.Helper()
	for name, content := range want {
		controller, file, _ := strings.Cut(name, "/")
		dir, err := g.dirOf(controller)
		if err != nil {
			t.Error(err)
			continue
		}
		got, err := readFile(dir + "/" + file)
		if got = strings.TrimSpace(got); err != nil || got != content {
			t.Errorf("%s: %q, %v; want %q", file, got, err, content)
		}
	}
}

func compile(t *testing.T, g *Group, r specs.LinuxResources) []Write {
	t.Helper()
	writes, _, err := Compile(g.Mode(), &r)
	if err != nil {
		t.Fatal(err)
	}
	return writes
}

func testLifecycle(t *testing.T, l Layout) {
	g := newGroup(t, l, testRoot+"/a/b")
	plan, err := g.Plan()
	if err != nil || len(plan.Created) != 3*len(l.Hierarchies) {
		t.Fatalf("plan %v, %v", plan, err)
	}
	if err := g.Create(nil); err != nil {
		t.Fatal(err)
	}
	if got := g.Facts(); !slices.Equal(got.Created, plan.Created) {
		t.Errorf("created %q, planned %q", got.Created, plan.Created)
	}
	expectProcs(t, g)
	expectFreezer(t, g, Thawed)
	c := join(t, g, "exec sleep 100")
	expectProcs(t, g, c.Process.Pid)
	of, err := readFile("/proc/" + itoa(int64(c.Process.Pid)) + "/cgroup")
	for line := range strings.Lines(of) {
		h, _ := parseHierarchy(line)
		if _, mounted := g.Paths()[h.Name]; mounted && h.Own != testRoot+"/a/b" {
			t.Errorf("in %s, %v", strings.TrimSpace(line), err)
		}
	}

	// A cgroup that the container makes, with a process that moves there.
	for _, dir := range g.Paths() {
		if err := os.Mkdir(dir+"/inner", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	inner := newGroup(t, l, testRoot+"/a/b/inner")
	if dir, v1 := inner.Paths()["cpuset"]; v1 {
		if err := inheritCpuset(filepath.Dir(dir), dir); err != nil {
			t.Fatal(err)
		}
	}
	c2 := join(t, inner, "exec sleep 100")
	expectProcs(t, g, c.Process.Pid, c2.Process.Pid)

	// Another process goes on with what is in the state file.
	other := Open(g.Facts())
	if err := other.Freeze(); err != nil {
		t.Fatal(err)
	}
	expectFreezer(t, g, Frozen)
	if err := other.Thaw(); err != nil {
		t.Fatal(err)
	}
	expectFreezer(t, g, Thawed)
	end(t, other)
	<-c.dead
	if ws := c.ProcessState.Sys().(syscall.WaitStatus); ws.Signal() != unix.SIGKILL {
		t.Errorf("the child ended by %v", ws)
	}
	expectProcs(t, g)
	expectFreezer(t, g, NoFreezer)
}

// CGP-11 CGP-22: limits that somebody else has set stay, as does the cgroup.
func testExisting(t *testing.T, l Layout) {
	outer := create(t, l, "", Write{Controller: "pids"})
	if err := outer.Apply([]Write{{Controller: "pids", File: "pids.max", Value: "77"}}); err != nil {
		t.Fatal(err)
	}
	g := create(t, l, "")
	if err := g.Apply(compile(t, g, specs.LinuxResources{})); err != nil {
		t.Fatal(err)
	}
	if created := g.Facts().Created; len(created) != 0 {
		t.Errorf("created %q", created)
	}
	end(t, g)
	expectFiles(t, outer, map[string]string{"pids/pids.max": "77"})
	end(t, outer)
}

// CGP-02
func testInUse(t *testing.T, l Layout) {
	g := create(t, l, "/a")
	join(t, g, "exec sleep 100")
	second := newGroup(t, l, testRoot+"/a")
	if _, err := second.Plan(); err == nil || !strings.Contains(err.Error(), "it has 1 process(es)") {
		t.Errorf("Plan: %v", err)
	}
	if err := second.Create(nil); err == nil {
		t.Error("a second container takes the cgroup")
	}
	if err := errors.Join(second.Kill(unix.SIGKILL), second.Remove()); err != nil {
		t.Error(err)
	}
	if pids, err := g.Procs(); len(pids) != 1 || err != nil {
		t.Errorf("%v, %v after the refusal", pids, err)
	}
	end(t, g)
}

// CGP-02
func testFrozen(t *testing.T, l Layout) {
	g := create(t, l, "/a")
	if err := g.Freeze(); err != nil {
		t.Fatal(err)
	}
	if _, err := newGroup(t, l, testRoot+"/a").Plan(); err == nil || !strings.Contains(err.Error(), "is frozen") {
		t.Errorf("frozen: %v", err)
	}
	below := newGroup(t, l, testRoot+"/a/b")
	if err := below.Create(nil); err == nil || !strings.Contains(err.Error(), "is frozen") {
		t.Errorf("below a frozen one: %v", err)
	}
	for _, dir := range g.Paths() {
		if exists(dir + "/b") {
			t.Errorf("%s/b is left", dir)
		}
	}
	if err := g.Thaw(); err != nil {
		t.Error(err)
	}
	end(t, g)
}

func testKillFrozen(t *testing.T, l Layout) {
	g := create(t, l, "/a")
	c := join(t, g, "trap 'echo term; exit 3' TERM; echo trapped; read x")
	if line := c.line(t); line != "trapped" {
		t.Fatal(line)
	}
	if err := g.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := g.Kill(unix.SIGTERM); err != nil { // waits with the process
		t.Fatal(err)
	}
	expectFreezer(t, g, Frozen)
	if err := g.Thaw(); err != nil {
		t.Fatal(err)
	}
	if line := c.line(t); line != "term" {
		t.Errorf("the child said %q", line)
	}
	<-c.dead

	c = join(t, g, "exec sleep 100")
	if err := g.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := g.Kill(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-c.dead
	expectFreezer(t, g, Thawed)
	end(t, g)
}

// A signal other than SIGKILL goes to each process, and thaws them again; so
// does SIGKILL where the kernel has no cgroup.kill.
func testKillEach(t *testing.T, l Layout) {
	g := create(t, l, "/a")
	a, b := join(t, g, "exec sleep 100"), join(t, g, "exec sleep 100")
	if err := g.Kill(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-a.dead
	<-b.dead
	if ws := b.ProcessState.Sys().(syscall.WaitStatus); ws.Signal() != unix.SIGTERM {
		t.Errorf("the child ended by %v", ws)
	}
	expectFreezer(t, g, Thawed)
	c := join(t, g, "exec sleep 100")
	if err := g.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := g.killEach(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-c.dead
	expectFreezer(t, g, Thawed)
	end(t, g)
}

func testKillForks(t *testing.T, l Layout) {
	for _, kill := range []func(*Group) error{
		func(g *Group) error { return g.Kill(unix.SIGKILL) },
		func(g *Group) error { return g.killEach(unix.SIGKILL) },
	} {
		g := create(t, l, "/a")
		c := join(t, g, "while :; do sleep 100 & sleep 0.01; done")
		for {
			pids, err := g.Procs()
			if err != nil {
				t.Fatal(err)
			}
			if len(pids) > 5 {
				break
			}
			time.Sleep(longestPause)
		}
		if err := kill(g); err != nil {
			t.Fatal(err)
		}
		<-c.dead
		if err := g.Remove(); err != nil {
			t.Fatal(err)
		}
	}
}

// A freezer that asks each process once misses some of these.
func testFreezeForks(t *testing.T, l Layout) {
	g := create(t, l, "/a")
	join(t, g, "while :; do sleep 0.001; done")
	for range 10 {
		if err := g.Freeze(); err != nil {
			t.Fatal(err)
		}
		expectFreezer(t, g, Frozen)
		if err := g.Thaw(); err != nil {
			t.Fatal(err)
		}
	}
	end(t, g)
}

// Removal does not end in silence while somebody is inside.
func testBusy(t *testing.T, l Layout) {
	g := create(t, l, "/a")
	c := join(t, g, "exec sleep 100")
	pid := itoa(int64(c.Process.Pid))
	for _, d := range g.dirs {
		if err := g.removeDir(d, time.Now()); err == nil || !strings.Contains(err.Error(), "still has process "+pid+" after") {
			t.Errorf("%s: %v", d.name, err)
		}
	}
	// A killed process that nobody has waited for must not hold it up.
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
}

// Containers come and go below a parent that they share.
func testNeighbours(t *testing.T, l Layout) {
	var wg sync.WaitGroup
	for _, name := range []string{"/p/a", "/p/b"} {
		wg.Go(func() {
			for range 20 {
				g, err := New(l, testRoot+name, "", false)
				if err == nil {
					err = g.Create(nil)
				}
				if err == nil {
					err = g.Remove()
				}
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	wg.Wait()
	// A parent stays if its maker left while the other one was using it.
	g := create(t, l, "/p/last")
	for _, d := range g.dirs {
		for p := d.path; p != d.mount; p = filepath.Dir(p) {
			g.created = append(g.created, p)
		}
	}
	slices.SortFunc(g.created, func(a, b string) int { return len(a) - len(b) })
	end(t, g)
}

func testGone(t *testing.T, l Layout) {
	g := create(t, l, "/a")
	end(t, g)
	g = Open(Facts{Paths: newGroup(t, l, testRoot+"/a").Paths()})
	expectProcs(t, g)
	expectFreezer(t, g, NoFreezer)
	end(t, g)
	if err := g.Thaw(); err != nil {
		t.Errorf("Thaw: %v", err)
	}
	if err := g.Freeze(); !errors.Is(err, unix.ENOENT) {
		t.Errorf("Freeze: %v", err)
	}
}

// onThread runs f on a thread that ends with it, so that f may change it.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer close(done)
		f()
	}()
	<-done
}

// A user who may not make cgroups is told so, and keeps none of them.
func testRefused(t *testing.T, l Layout) {
	onThread(func() {
		unix.Setfsuid(65534)
		if err := newGroup(t, l, testRoot+"/a").Create(nil); !errors.Is(err, ErrUnavailable) || !errors.Is(err, unix.EACCES) {
			t.Error(err)
		}
	})
}

// What is not there needs no right to remove it.
func testReadOnly(t *testing.T, l Layout) {
	g := create(t, l, "/a")
	gone := newGroup(t, l, testRoot+"/b")
	onThread(func() {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			t.Error(err)
			return
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Error(err)
			return
		}
		for _, h := range l.Hierarchies {
			if err := unix.Mount("", h.Mount, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
				t.Errorf("%s: %v", h.Mount, err)
				return
			}
		}
		if err := newGroup(t, l, testRoot+"/c").Create(nil); !errors.Is(err, ErrUnavailable) || !errors.Is(err, unix.EROFS) {
			t.Errorf("Create: %v", err)
		}
		gone.created = slices.Collect(maps.Values(gone.Paths()))
		if err := gone.Remove(); err != nil {
			t.Errorf("Remove of nothing: %v", err)
		}
		if err := g.Remove(); !errors.Is(err, unix.EROFS) {
			t.Errorf("Remove: %v", err)
		}
	})
	end(t, g)
}

func testRootless(t *testing.T, l Layout) {
	if err := newGroup(t, l, testRoot).Create(nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("below the root: %v", err)
	}
	g, err := New(l, "", "test", true)
	if err != nil {
		t.Fatal(err)
	}
	writes := compile(t, g, specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](41)}})
	if err := g.Create(writes); err != nil {
		t.Fatal(err)
	}
	if own := filepath.Dir(l.Hierarchies[0].Own); own == "/" || !strings.HasSuffix(g.V2Dir(), own+"/skep/test") {
		t.Errorf("%s is not below the parent of %s", g.V2Dir(), own)
	}
	if err := g.Apply(writes); err != nil {
		t.Error(err)
	}
	expectFiles(t, g, map[string]string{"pids/pids.max": "41"})
	c := join(t, g, "exec sleep 100")
	expectProcs(t, g, c.Process.Pid)
	if err := g.Freeze(); err != nil {
		t.Error(err)
	}
	end(t, g)
	if exists(g.V2Dir()) || exists(filepath.Dir(g.V2Dir())) {
		t.Errorf("%s is left", g.V2Dir())
	}
}
