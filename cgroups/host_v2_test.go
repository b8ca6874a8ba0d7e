package cgroups

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func testLimitsV2(t *testing.T, l Layout) {
	g := newGroup(t, l, testRoot+"/a/b")
	writes := compile(t, g, specs.LinuxResources{
		Memory: &specs.LinuxMemory{
			Limit: ptr(64 * mib), Reservation: ptr(32 * mib), Swap: ptr(128 * mib), CheckBeforeUpdate: ptr(true),
		},
		CPU: &specs.LinuxCPU{
			Shares: ptr[uint64](512), Quota: ptr[int64](20000), Period: ptr[uint64](50000), Burst: ptr[uint64](10000),
			Cpus: "0", Mems: "0",
		},
		Pids: &specs.LinuxPids{Limit: ptr[int64](41)},
	})
	if err := planAndCreate(g, writes); err != nil {
		t.Fatal(err)
	}
	if err := g.Apply(writes); err != nil {
		t.Fatal(err)
	}
	expectFiles(t, g, map[string]string{
		"memory/memory.max":                itoa(64 * mib), // CGM-01
		"memory/memory.low":                itoa(32 * mib), // CGM-02
		"memory/memory.swap.max":           itoa(64 * mib), // CGM-03
		"cpu/cpu.weight":                   "59",           // CGC-01
		"cpu/cpu.max":                      "20000 50000",  // CGC-02
		"cpu/cpu.max.burst":                "10000",        // CGC-04
		"cpuset/cpuset.cpus":               "0",            // CGC-06
		"cpuset/cpuset.cpus.effective":     "0",
		"cpuset/cpuset.mems":               "0",
		"pids/pids.max":                    "41", // CGI-01
		"cgroup/../cgroup.subtree_control": strings.TrimSpace(mustRead(t, g.V2Dir()+"/cgroup.controllers")),
	})
	for _, step := range []struct {
		r    specs.LinuxResources
		file string
		want string
	}{
		{cpu(specs.LinuxCPU{Period: ptr[uint64](40000)}), "cpu.max", "20000 40000"}, // CGC-08
		{cpu(specs.LinuxCPU{Quota: ptr[int64](30000)}), "cpu.max", "30000 40000"},
		{cpu(specs.LinuxCPU{Quota: ptr[int64](5000), Burst: ptr[uint64](5000)}), "cpu.max", "5000 40000"}, // below the burst
		{cpu(specs.LinuxCPU{Quota: ptr[int64](-1)}), "cpu.max", "max 40000"},
		{cpu(specs.LinuxCPU{Idle: ptr[int64](1)}), "cpu.idle", "1"}, // CGC-07
		{cpu(specs.LinuxCPU{Idle: ptr[int64](0), Shares: ptr[uint64](1024)}), "cpu.weight", "100"},
		{memory(specs.LinuxMemory{Limit: ptr(64 * mib), Swap: ptr(64 * mib)}), "memory.swap.max", "0"}, // CGM-04
		{memory(specs.LinuxMemory{Limit: ptr[int64](-1)}), "memory.swap.max", "max"},
		{specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](0)}}, "pids.max", "1"}, // CGI-02
		{specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](-1)}}, "pids.max", "max"},
	} {
		if err := g.Apply(compile(t, g, step.r)); err != nil {
			t.Errorf("%s: %v", step.file, err)
		}
		expectFiles(t, g, map[string]string{"any/" + step.file: step.want})
	}
	end(t, g)
}

func mustRead(t *testing.T, file string) string {
	t.Helper()
	text, err := readFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func testErrorsV2(t *testing.T, l Layout) {
	// A controller that does not exist, and one that a parent with processes
	// may not give to its children.
	need := Write{Controller: "nonesuch", Field: "linux.resources.nonesuch"}
	err := newGroup(t, l, testRoot+"/a").Create([]Write{need})
	if err == nil || !strings.HasPrefix(err.Error(), "linux.resources.nonesuch: the nonesuch controller is not available in /") {
		t.Error(err)
	}
	outer := create(t, l, "")
	join(t, outer, "exec sleep 100")
	need = Write{Controller: "memory", Field: "linux.resources.memory.limit"}
	err = newGroup(t, l, testRoot+"/a").Create([]Write{need})
	if !errors.Is(err, unix.EBUSY) || !strings.HasPrefix(err.Error(), "linux.resources.memory.limit: enable the memory controller") ||
		!strings.Contains(err.Error(), "own processes have to move") {
		t.Error(err)
	}
	g := create(t, l, "/a") // without limits it does not matter
	join(t, g, "exec sleep 100")
	err = g.Apply(compile(t, g, memory(specs.LinuxMemory{Limit: ptr(mib)})))
	if err == nil || !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EACCES) {
		t.Errorf("memory.max without its controller: %v", err)
	}
	end(t, g)
	end(t, outer)

	// CGM-10: the limit is refused, and nobody is killed to make room.
	g = create(t, l, "/b", need)
	c := join(t, g, "x=$(head -c 8000000 /dev/zero | tr '\\0' x); echo big; exec 2>&-; read y")
	if line := c.line(t); line != "big" {
		t.Fatal(line)
	}
	writes := compile(t, g, memory(specs.LinuxMemory{Limit: ptr(mib), CheckBeforeUpdate: ptr(true)}))
	usage, err := strconv.ParseInt(strings.TrimSpace(mustRead(t, g.V2Dir()+"/memory.current")), 10, 64)
	if err != nil || usage < 2*mib {
		t.Errorf("the child uses %d, %v", usage, err)
	}
	if err := g.Apply(writes); err == nil || !strings.Contains(err.Error(), "1048576 is below the present usage of ") {
		t.Error(err)
	}
	expectFiles(t, g, map[string]string{"memory/memory.max": "max"})
	end(t, g)
}

// A container may make threaded cgroups, whose processes are listed above.
func testThreadedV2(t *testing.T, l Layout) {
	g := create(t, l, "/a")
	c := join(t, g, "exec sleep 100")
	inner := g.V2Dir() + "/inner"
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	pid := itoa(int64(c.Process.Pid))
	if err := writeFile(inner+"/cgroup.type", "threaded"); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(inner+"/cgroup.threads", pid); err != nil {
		t.Fatal(err)
	}
	expectProcs(t, g, c.Process.Pid)
	end(t, g)
}
