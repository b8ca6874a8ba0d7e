package tests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// CGC-02 CGC-04: quota, period and burst bound each other, and a parent bounds the first two; the order in which they
// can be set differs from one change to the next.
func TestUpdateCPUBelowParent(t *testing.T) {
	r := newCgroupfsRuntime(t)
	parent := cgroupfs.newPath()
	dir := makeCgroup(t, "cpu", parent)
	file, value := "cpu.max", "50000 100000"
	if onV1("cpu") {
		file, value = "cpu.cfs_quota_us", "50000"
	}
	if err := os.WriteFile(filepath.Join(dir, file), []byte(value), 0); err != nil {
		t.Fatal(err)
	}
	b := newBundle(t, linux(func(l *specs.Linux) { l.CgroupsPath = parent + "/below" }))
	b.cgroup = parent + "/below"
	c := r.runDetached(b)
	for _, step := range [][]string{{"50000", "100000", "50000"}, {"10000", "20000", "10000"}, {"40000", "80000", "0"}, {"20000", "100000", "20000"}} {
		quota, period, burst := step[0], step[1], step[2]
		r.ok("update", "--cpu-quota", quota, "--cpu-period", period, "--cpu-burst", burst, c.id)
		c.wantFiles("cpu", []string{"cpu.cfs_quota_us", quota, "cpu.cfs_period_us", period, "cpu.cfs_burst_us", burst},
			[]string{"cpu.max", quota + " " + period, "cpu.max.burst", burst})
	}
	c.delete("--force")
}

// CGC-07: who is no longer idle has the shares of before; so has who was not to become idle after all.
func TestUpdateIdle(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t, resources(func(r *specs.LinuxResources) { cpu(r).Shares = ptr(uint64(512)) })))
	want := func(idle, shares, weight string) {
		t.Helper()
		v1, v2 := []string{"cpu.idle", idle}, []string{"cpu.idle", idle}
		if idle == "0" {
			v1, v2 = append(v1, "cpu.shares", shares), append(v2, "cpu.weight", weight)
		}
		c.wantFiles("cpu", v1, v2)
	}
	const refused = `{"cpu": {"cpus": "1000"}}`
	r.refuse(call{args: []string{"update", "-r", "-", "--cpu-idle", "1", c.id}, stdin: refused}, "linux.resources.cpu.cpus")
	want("0", "512", "59")
	r.ok("update", "--cpu-idle", "1", c.id)
	want("1", "", "")
	r.refuse(call{args: []string{"update", "-r", "-", "--cpu-idle", "0", c.id}, stdin: refused}, "linux.resources.cpu.cpus")
	want("1", "", "")
	r.ok("update", "--cpu-idle", "0", c.id)
	want("0", "512", "59")
}

// UNI-07: what unified says of a file stays, whatever an update writes to it or beside it.
func TestUpdateBelowUnified(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, resources(func(r *specs.LinuxResources) {
		memory(r).Limit = ptr(int64(64 << 20))
		cpu(r).Quota, cpu(r).Period = ptr(int64(10000)), ptr(uint64(50000))
		r.Unified = map[string]string{"memory.max": "96M", "cpu.max": "20000"}
	}))
	if onV1("memory") {
		r.fails("linux.resources.unified", "create", "--bundle", b.dir, r.id())
		return
	}
	c := r.runDetached(b)
	want := func() {
		t.Helper()
		c.wantFiles("memory", nil, []string{"memory.max", "100663296", "cpu.max", "20000 50000"})
	}
	want()
	r.ok("update", "--memory-swap", "128m", c.id)
	want()
	r.ok("update", "--cpu-burst", "1000", c.id)
	want()
	if res := r.do("update", "--memory", "80m", c.id); res.code != 0 || !strings.Contains(res.stderr, `unified["memory.max"]: has the last word over linux.resources.memory.limit`) {
		t.Errorf("exit %d, no warning in %q", res.code, res.stderr)
	}
	want()
	r.succeed(call{args: []string{"update", "-r", "-", c.id}, stdin: `{"unified": {"memory.max": "80M", "cpu.max": "30000 60000"}}`})
	c.wantFiles("memory", nil, []string{"memory.max", "83886080", "cpu.max", "30000 60000"})
}
