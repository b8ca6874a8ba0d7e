package managers

import (
	"encoding/json"
	"path/filepath"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// ctrLimitCases: resources, read back from the cgroup's files on the host and
// from /proc inside.
var ctrLimitCases = []ctrCase{
	{"Memory", func(c *ctr) {
		c.detach(`exec sleep 1000`, "--memory-limit", "67108864")
		c.equal("limit", c.cgroup("memory", "memory.limit_in_bytes", "memory.max"), "67108864")
	}},
	{"CPUs", func(c *ctr) {
		c.detach(`exec sleep 1000`, "--cpus", "0.5", "--cpu-shares", "512")
		c.equal("quota", firstWord(c.cgroup("cpu", "cpu.cfs_quota_us", "cpu.max")), "50000")
		if c.onV1("cpu") {
			c.equal("shares", c.cgroup("cpu", "cpu.shares", ""), "512")
		}
	}},
	{"CPUQuota", func(c *ctr) {
		c.detach(`exec sleep 1000`, "--cpu-quota", "30000", "--cpu-period", "60000")
		c.equal("quota", firstWord(c.cgroup("cpu", "cpu.cfs_quota_us", "cpu.max")), "30000")
		if c.onV1("cpu") {
			c.equal("period", c.cgroup("cpu", "cpu.cfs_period_us", ""), "60000")
		}
	}},
	{"SpecResources", func(c *ctr) {
		cpu := c.lastCPU()
		pids, memory, reservation := int64(41), int64(90001408), int64(50003968)
		c.detachSpec(func(s *specs.Spec) {
			s.Linux.Resources.Pids = &specs.LinuxPids{Limit: &pids}
			s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &memory, Reservation: &reservation}
			s.Linux.Resources.CPU = &specs.LinuxCPU{Cpus: cpu}
		})
		c.equal("pids", c.cgroup("pids", "pids.max", "pids.max"), "41")
		c.equal("memory", c.cgroup("memory", "memory.limit_in_bytes", "memory.max"), "90001408")
		c.equal("reservation", c.cgroup("memory", "memory.soft_limit_in_bytes", "memory.low"), "50003968")
		c.equal("cpus", c.cgroup("cpuset", "cpuset.cpus", "cpuset.cpus"), cpu)
		c.equal("cpus seen inside", c.exec("grep", "Cpus_allowed_list", "/proc/self/status"), "Cpus_allowed_list:\t"+cpu)
	}},
	{"PidsReached", func(c *ctr) {
		pids := int64(5)
		c.detachSpec(func(s *specs.Spec) { s.Linux.Resources.Pids = &specs.LinuxPids{Limit: &pids} })
		res := c.outcome(c.execCall(nil, "sh", "-c", `for i in 1 2 3 4 5 6; do sleep 100 & done; wait`), stderr)
		c.contains("error", res.stderr, "can't fork")
	}},
	{"Rlimits", func(c *ctr) {
		c.detachSpec(func(s *specs.Spec) {
			s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 111, Hard: 222}, {Type: "RLIMIT_CORE", Soft: 0, Hard: 0}}
		})
		limits := c.exec("cat", "/proc/1/limits", "/proc/self/limits")
		for _, want := range []string{"Max open files 111 222 files", "Max core file size 0 0 bytes"} {
			if n := strings.Count(strings.Join(strings.Fields(limits), " "), want); n != 2 {
				c.Errorf("%q holds for %d of init and exec: %s", want, n, limits)
			}
		}
	}},
	{"HostnameSysctlsScore", func(c *ctr) {
		score := 345
		c.detachSpec(func(s *specs.Spec) {
			s.Hostname = "combs"
			s.Process.OOMScoreAdj = &score
			s.Linux.Sysctl = map[string]string{"kernel.msgmax": "9000", "net.ipv4.ip_unprivileged_port_start": "77"}
		})
		got := c.exec("sh", "-c", `hostname; cat /proc/1/oom_score_adj /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_unprivileged_port_start`)
		c.equal("inside", got, "combs\n345\n9000\n77")
	}},
	{"CgroupPath", func(c *ctr) {
		path := "/" + ctrNamespace + "/deep/" + c.id
		c.Cleanup(func() { removeOwnCgroup(c.T, filepath.Dir(path)) })
		c.detach(`exec sleep 1000`, "--cgroup", path)
		for line := range strings.Lines(readFile(c.T, c.proc("cgroup"))) {
			if fields := strings.SplitN(strings.TrimSpace(line), ":", 3); fields[2] != path {
				c.Errorf("in %s, want %s", strings.TrimSpace(line), path)
			}
		}
	}},
}

// cgroup reads a file of the container's cgroup on the host.
func (c *ctr) cgroup(v1Controller, v1File, v2File string) string {
	c.Helper()
	return cgroupValue(c.T, filepath.Join(ctrNamespace, c.id), v1Controller, v1File, v2File)
}

// detachSpec runs `sleep` with what ctr has no flags for.
func (c *ctr) detachSpec(edit func(s *specs.Spec)) {
	c.Helper()
	var s specs.Spec
	if err := json.Unmarshal([]byte(c.ctr("oci", "spec").succeed(c.T)), &s); err != nil {
		c.Fatal(err)
	}
	s.Root = &specs.Root{Path: busyboxTree(c.T)}
	s.Process.Args, s.Process.Env = []string{"sleep", "1000"}, []string{"PATH=/bin"}
	s.Linux.CgroupsPath = "/" + ctrNamespace + "/" + c.id
	edit(&s)
	config := filepath.Join(tempDir(c.T), "config.json")
	writeFile(c.T, config, string(marshal(c.T, s)))
	c.runCall("--detach", "--config", config, c.id).succeed(c.T)
	c.Cleanup(func() { c.remove(c.id) })
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}
