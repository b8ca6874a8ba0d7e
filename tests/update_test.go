package tests

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// wantFiles compares files of the container's cgroup: name and content in
// turn, for the version that has the controller.
func (c *container) wantFiles(controller string, v1, v2 []string) {
	c.t.Helper()
	want := v2
	if onV1(controller) {
		want = v1
	}
	for pair := range slices.Chunk(want, 2) {
		path := filepath.Join(cgroupDir(c.t, controller, c.bundle.cgroup), pair[0])
		if got := strings.TrimSpace(readFile(c.t, path)); got != pair[1] {
			c.t.Errorf("%s holds %s, want %s", path, got, pair[1])
		}
	}
}

// keptResources are those of the configuration that the state directory keeps.
func (c *container) keptResources() specs.LinuxResources {
	c.t.Helper()
	var kept specs.Spec
	if err := json.Unmarshal([]byte(readFile(c.t, filepath.Join(c.root, c.id, "config.json"))), &kept); err != nil {
		c.t.Fatal(err)
	}
	return *kept.Linux.Resources
}

var updates = []struct {
	name       string
	flags      []string
	stdin      string
	controller string
	v1, v2     []string // as in limits
}{
	{"CGM-01", []string{"--memory", "64m"}, "", "memory",
		[]string{"memory.limit_in_bytes", "67108864"}, []string{"memory.max", "67108864"}},
	{"CGM-01 unit", []string{"--memory=1.5GiB"}, "", "memory",
		[]string{"memory.limit_in_bytes", "1610612736"}, []string{"memory.max", "1610612736"}},
	{"CGM-02", []string{"--memory-reservation", "33554432"}, "", "memory",
		[]string{"memory.soft_limit_in_bytes", "33554432"}, []string{"memory.low", "33554432"}},
	{"CGM-03", []string{"--memory", "65536k", "--memory-swap", "96M"}, "", "memory",
		[]string{"memory.limit_in_bytes", "67108864", "memory.memsw.limit_in_bytes", "100663296"},
		[]string{"memory.max", "67108864", "memory.swap.max", "33554432"}},
	{"CGC-01", []string{"--cpu-share", "512"}, "", "cpu", []string{"cpu.shares", "512"}, []string{"cpu.weight", "59"}},
	{"CGC-02", []string{"--cpu-quota", "30000", "--cpu-period", "60000"}, "", "cpu",
		[]string{"cpu.cfs_quota_us", "30000", "cpu.cfs_period_us", "60000"}, []string{"cpu.max", "30000 60000"}},
	{"CGC-04", []string{"--cpu-quota", "30000", "--cpu-burst", "20000"}, "", "cpu",
		[]string{"cpu.cfs_burst_us", "20000"}, []string{"cpu.max.burst", "20000"}},
	{"CGC-06", []string{"--cpuset-cpus", "0", "--cpuset-mems", "0"}, "", "cpuset",
		[]string{"cpuset.cpus", "0", "cpuset.mems", "0"}, []string{"cpuset.cpus", "0", "cpuset.mems", "0"}},
	{"CGI-01", []string{"--pids-limit", "43"}, "", "pids", []string{"pids.max", "43"}, []string{"pids.max", "43"}},
	{"CGI-01 unlimited", []string{"--pids-limit", "-1"}, "", "pids", []string{"pids.max", "max"}, []string{"pids.max", "max"}},
	{"CLI-15 stdin", []string{"--resources", "-"}, `{"cpu": {"shares": 2048, "quota": null}, "memory": {"limit": 0}, "pids": {"limit": 7}}`, "pids",
		[]string{"pids.max", "7"}, []string{"pids.max", "7"}},
	{"CLI-15 joined", []string{"--resources=-"}, `{"memory": {"limit": 33554432}}`, "memory",
		[]string{"memory.limit_in_bytes", "33554432"}, []string{"memory.max", "33554432"}},
	{"a flag comes on top", []string{"-r", "-", "--pids-limit", "8"}, `{"pids": {"limit": 7}}`, "pids",
		[]string{"pids.max", "8"}, []string{"pids.max", "8"}},
	{"CGH-02", []string{"-r", "-"}, `{"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}`, "hugetlb",
		[]string{"hugetlb.2MB.limit_in_bytes", "4194304"}, []string{"hugetlb.2MB.max", "4194304"}},
	{"nothing", nil, "", "pids", []string{"pids.max", "max"}, []string{"pids.max", "max"}},
	{"nothing as JSON", []string{"-r", "-"}, "{}", "pids", []string{"pids.max", "max"}, []string{"pids.max", "max"}},
}

// CLI-06 CLI-15 and the rows that the table names.
func TestUpdate(t *testing.T) {
	for _, u := range updates {
		t.Run(u.name, func(t *testing.T) {
			r := newRuntime(t)
			c := r.create(newBundle(t, resources(func(r *specs.LinuxResources) { // the controller is needed on a hybrid host's v2
				if u.controller == "hugetlb" {
					r.HugepageLimits = []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 8 << 20}}
				}
			})))
			line := append(append([]string{"update"}, u.flags...), c.id)
			if res := r.succeed(call{args: line, stdin: u.stdin}); res.stdout != "" {
				t.Errorf("it prints %q", res.stdout)
			}
			c.wantFiles(u.controller, u.v1, u.v2)
			c.start()
			c.wantFiles(u.controller, u.v1, u.v2)
		})
	}
}

// CLI-15 CGC-08: an update keeps what it does not name, and the next one knows
// of it.
func TestUpdateMerges(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t, resources(func(r *specs.LinuxResources) { cpu(r).Period = ptr(uint64(50000)) })))
	for _, flags := range [][]string{
		{"--memory", "64m", "--memory-swap", "96m"}, {"--cpu-quota", "20000"}, {"--cpu-period", "40000"}, {"--pids-limit", "44"}, {"--memory", "80m"},
	} {
		r.ok(append(append([]string{"update"}, flags...), c.id)...)
	}
	c.wantFiles("memory", []string{"memory.limit_in_bytes", "83886080", "memory.memsw.limit_in_bytes", "100663296"},
		[]string{"memory.max", "83886080", "memory.swap.max", "16777216"})
	c.wantFiles("cpu", []string{"cpu.cfs_quota_us", "20000", "cpu.cfs_period_us", "40000"}, []string{"cpu.max", "20000 40000"})
	c.wantFiles("pids", []string{"pids.max", "44"}, []string{"pids.max", "44"})
	kept := c.keptResources()
	if m := kept.Memory; m == nil || *m.Limit != 80<<20 || *m.Swap != 96<<20 {
		t.Errorf("kept: memory %+v", m)
	}
	if p := kept.CPU; p == nil || *p.Quota != 20000 || *p.Period != 40000 || *kept.Pids.Limit != 44 {
		t.Errorf("kept: cpu %+v", p)
	}
	r.fails("linux.resources.memory.swap: 100663296 ", "update", "--memory", "100m", c.id)
	r.fails("linux.resources.cpu.burst: 20001 µs is above the quota of 20000 µs", "update", "--cpu-burst", "20001", c.id) // CGC-03
}

// CGM-12 CGM-04 CGC-04: limits that bound each other go up and down together.
func TestUpdateBothWays(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t))
	for _, step := range []struct{ memory, swap, quota, burst string }{
		{"64m", "64m", "50000", "50000"},
		{"128m", "256m", "80000", "80000"},
		{"16m", "32m", "10000", "10000"},
		{"-1", "", "-1", "0"},
		{"32m", "32m", "20000", "0"},
	} {
		line := []string{"update", "--memory", step.memory, "--cpu-quota", step.quota, "--cpu-burst", step.burst, c.id}
		if step.swap != "" {
			line = slices.Insert(line, 1, "--memory-swap", step.swap)
		}
		r.ok(line...)
		quota := strings.Replace(step.quota, "-1", "max", 1) + " 100000"
		c.wantFiles("cpu", []string{"cpu.cfs_quota_us", step.quota, "cpu.cfs_burst_us", step.burst},
			[]string{"cpu.max", quota, "cpu.max.burst", step.burst})
		if step.memory == "-1" {
			c.wantFiles("memory", []string{"memory.memsw.limit_in_bytes", "9223372036854771712"}, []string{"memory.swap.max", "max", "memory.max", "max"})
		}
	}
	c.wantFiles("memory", []string{"memory.memsw.limit_in_bytes", "33554432"}, []string{"memory.max", "33554432", "memory.swap.max", "0"})
}

// What the kernel had taken before it refused something is put back, and the
// configuration stays as it was.
func TestUpdateFails(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t, resources(func(r *specs.LinuxResources) {
		memory(r).Limit, memory(r).Swap = ptr(int64(64<<20)), ptr(int64(64<<20))
		cpu(r).Shares = ptr(uint64(512))
	})))
	check := func() {
		t.Helper()
		c.wantFiles("memory", []string{"memory.limit_in_bytes", "67108864", "memory.memsw.limit_in_bytes", "67108864"},
			[]string{"memory.max", "67108864", "memory.swap.max", "0"})
		c.wantFiles("cpu", []string{"cpu.shares", "512", "cpu.cfs_quota_us", "-1"}, []string{"cpu.weight", "59", "cpu.max", "max 100000"})
		c.wantFiles("pids", []string{"pids.max", "max"}, []string{"pids.max", "max"})
		if kept := c.keptResources(); *kept.Memory.Limit != 64<<20 || *kept.CPU.Shares != 512 || kept.Pids != nil {
			t.Errorf("kept: %+v %+v %+v", kept.Memory, kept.CPU, kept.Pids)
		}
		for _, e := range listTree(t, filepath.Join(r.root, c.id)) {
			if strings.Contains(e, ".config.json") {
				t.Errorf("%s is left", e)
			}
		}
	}
	good := []string{"--memory", "128m", "--memory-swap", "192m", "--cpu-share", "2048", "--cpu-quota", "50000", "--pids-limit", "5"}
	for name, bad := range map[string]string{
		"linux.resources.cpu.cpus":                         `{"cpu": {"cpus": "1000"}}`,
		"linux.resources.blockIO.throttleReadBpsDevice[0]": `{"blockIO": {"throttleReadBpsDevice": [{"major": 511, "minor": 7, "rate": 1}]}}`,
		"linux.resources.hugepageLimits[0]":                `{"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]}`,
		`linux.resources.unified["no.such"]`:               `{"unified": {"no.such": "1"}}`,
		"linux.resources.devices":                          `{"devices": [{"allow": true, "type": "x"}]}`,
		"linux.resources.memory.swap":                      `{"memory": {"limit": 100, "swap": 10}}`,
		"linux.resources.rdma":                             `{"rdma": {"nodev": {"hcaHandles": 1}}}`,
	} {
		line := append(append([]string{"update", "-r", "-"}, good...), c.id)
		if strings.Contains(bad, `"memory"`) {
			line = []string{"update", "-r", "-", c.id}
		}
		field, _, _ := strings.Cut(name, "[")
		r.refuse(call{args: line, stdin: bad}, field)
		check()
	}
}

// Every flag's bad value is one sentence that names the flag; so is every other
// bad input.
func TestUpdateRefusals(t *testing.T) {
	r := newRuntime(t)
	c := r.create(newBundle(t))
	for _, flag := range []string{"blkio-weight", "cpu-period", "cpu-quota", "cpu-burst", "cpu-share", "cpu-idle",
		"cpu-rt-period", "cpu-rt-runtime", "memory", "memory-reservation", "memory-swap", "pids-limit"} {
		for _, value := range []string{"x", "1x", "0x10", " ", "99999999999999999999g"} {
			r.refuse(call{args: []string{"update", "--" + flag, value, c.id}}, "--"+flag+` "`+value+`": want a number`)
		}
	}
	r.fails("linux.resources.cpu.cpus", "update", "--cpuset-cpus", "0-", c.id)
	r.fails("linux.resources.cpu.mems", "update", "--cpuset-mems", "x", c.id)
	r.fails("linux.resources.blockIO.weight", "update", "--blkio-weight", "5", c.id)
	r.fails("linux.intelRdt", "update", "--l3-cache-schema", "L3:0=1", c.id)
	r.fails("linux.intelRdt", "update", "--mem-bw-schema", "MB:0=10", c.id)
	for stdin, want := range map[string]string{
		"":                            "empty",
		"null":                        "null",
		"[]":                          "",
		`{"memory": {"limit": "1g"}}`: "linux.resources.memory.limit",
		`{"cpu": {"shares": 1}`:       "",
		`{"memory": {"limit": -2}}`:   "linux.resources.memory.limit",
		`{"cpu": {}, "cpu": {}}`:      "cpu",
	} {
		r.refuse(call{args: []string{"update", "-r", "-", c.id}, stdin: stdin}, want)
	}
	r.fails("no such file", "update", "-r", filepath.Join(r.root, "nothing"), c.id)
	r.fails("not a regular file", "update", "-r", r.root, c.id)
	r.fails("update: ID is missing", "update")
	r.fails("does not exist", "update", "--memory", "1g", r.id())
	c.stop()
	r.fails("container not running", "update", "--memory", "1g", c.id)
	c.delete()
}

// Hidden flags of old callers are accepted; the log says that they do nothing.
func TestUpdateKernelMemory(t *testing.T) {
	r := newRuntime(t)
	c := r.create(newBundle(t))
	log := filepath.Join(r.root, "log")
	res := r.ok("--log", log, "update", "--kernel-memory", "1g", "--kernel-memory-tcp", "1g", "--pids-limit", "9", c.id)
	if text := readFile(t, log); res.stdout != "" || strings.Count(text, "ignored") != 2 {
		t.Errorf("%q, log %q", res.stdout, text)
	}
	if err := os.Remove(log); err != nil {
		t.Error(err)
	}
	c.wantFiles("pids", []string{"pids.max", "9"}, []string{"pids.max", "9"})
}

// An update reaches a paused container, which stays paused.
func TestUpdatePaused(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t))
	r.ok("pause", c.id)
	r.ok("update", "--memory", "64m", "--pids-limit", "9", c.id)
	c.wantFiles("memory", []string{"memory.limit_in_bytes", "67108864"}, []string{"memory.max", "67108864"})
	if got := c.status(); got != "paused" || !c.frozen() {
		t.Errorf("%s, frozen: %v", got, c.frozen())
	}
	r.ok("resume", c.id)
	if got := c.status(); got != "running" {
		t.Error(got)
	}
}
