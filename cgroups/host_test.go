package cgroups

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Everything below happens in cgroups of the host below this path, which no other run has.
var testRoot = "/skep-test-cgroups-" + itoa(int64(os.Getpid()))

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
		{"deep", testDeep},
		{"busy", testBusy},
		{"neighbours", testNeighbours},
		{"gone", testGone},
	}
	switch {
	case l.Mode() == None, l.Mode() != V2 && os.Geteuid() != 0:
		t.Fatalf("needs cgroups, and root unless they are v2: mode %s", l.Mode())
	case os.Geteuid() != 0:
		tests = []test{{"rootless", testRootless}}
	case l.Mode() == V2:
		tests = append(tests, test{"v2 limits", testLimitsV2}, test{"v2 errors", testErrorsV2},
			test{"v2 threaded", testThreadedV2}, test{"v2 devices", testDevicesV2},
			test{"v2 io", testIOV2}, test{"v2 unified", testUnifiedV2}, test{"v2 delegate", testDelegateV2})
	default:
		tests = append(tests, test{"v1 limits", testLimitsV1}, test{"absent controller", testAbsentController}, test{"v1 errors", testErrorsV1},
			test{"v1 update", testUpdateV1}, test{"v1 devices", testDevicesV1})
		if cpu, err := newGroup(t, l, testRoot).dirOf("cpu"); err == nil && exists(filepath.Dir(cpu)+"/cpu.rt_runtime_us") { // a kernel with CONFIG_RT_GROUP_SCHED
			tests = append(tests, test{"v1 realtime", testRealtimeV1})
		}
	}
	if l.Mode() != V1 && os.Geteuid() == 0 {
		tests = append(tests, test{"filter", testFilter}, test{"filter others", testFilterOthers},
			test{"filter load", testFilterLoad}, test{"filter refused", testFilterRefused})
	}
	for _, c := range [...]struct {
		controller string
		test       test
	}{
		{"hugetlb", test{"hugetlb", testHugetlb}}, {"rdma", test{"rdma", testRdma}}, {"net_prio", test{"network", testNetworkV1}},
	} {
		if mounted(l, c.controller) && os.Geteuid() == 0 {
			tests = append(tests, c.test)
		}
	}
	for _, tt := range tests {
		t.Run(l.Mode().String()+" "+tt.name, func(t *testing.T) {
			defer nothingLeft(t, l)
			tt.run(t, l)
		})
	}
}

func testLifecycle(t *testing.T, l Layout) {
	g := newGroup(t, l, testRoot+"/a/b")
	plan, err := g.Plan()
	if err != nil || len(plan.Created) != 3*len(l) {
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
	if got := second.Facts().Created; len(got) > 0 {
		t.Errorf("after the refusal it would remove %v", got)
	}
	end(t, g)
}

// CGP-02
func testFrozen(t *testing.T, l Layout) {
	g, inner := create(t, l, "/a"), create(t, l, "/a/inner")
	if err := g.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := inner.awaitFreezer(Thawed, 0); err == nil || !strings.Contains(err.Error(), "one above it is frozen") {
		t.Errorf("thawed below a frozen one: %v", err)
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
	end(t, inner)
	end(t, g)
}

// Removal does not end in silence while somebody is inside.
func testBusy(t *testing.T, l Layout) {
	g := create(t, l, "/a")
	c := join(t, g, "exec sleep 100")
	pid := itoa(int64(c.Process.Pid))
	for _, d := range g.dirs {
		if err := g.removeDir(d, time.Now()); err == nil || !strings.Contains(err.Error(), "still has process "+pid+" after") {
			t.Errorf("%s: %v", d.Name, err)
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
					err = planAndCreate(g, nil)
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
		for p := d.path; p != d.Mount; p = filepath.Dir(p) {
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
