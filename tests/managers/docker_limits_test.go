package managers

import (
	"fmt"
	"strings"
)

// dockerLimitCases: resources, read back from the cgroup's files on the host
// and from /proc inside.
var dockerLimitCases = []dockerCase{
	{"Memory", func(c *docker) {
		c.detach(`exec sleep 1000`, "--memory", "64m", "--memory-reservation", "32m")
		c.equal("limit", c.cgroup("memory", "memory.limit_in_bytes", "memory.max"), "67108864")
		c.equal("reservation", c.cgroup("memory", "memory.soft_limit_in_bytes", "memory.low"), "33554432")
	}},
	{"MemoryAndSwap", func(c *docker) {
		c.detach(`exec sleep 1000`, "--memory", "64m", "--memory-swap", "96m")
		c.equal("limit", c.cgroup("memory", "memory.limit_in_bytes", "memory.max"), "67108864")
		if c.docker("info", "--format", "{{.SwapLimit}}").succeed(c.T) == "true" {
			want := "33554432"
			if c.onV1("memory") { // counts both
				want = "100663296"
			}
			c.equal("swap", c.cgroup("memory", "memory.memsw.limit_in_bytes", "memory.swap.max"), want)
		}
	}},
	{"CPUs", func(c *docker) {
		c.detach(`exec sleep 1000`, "--cpus", "0.5", "--cpu-shares", "512")
		c.equal("quota", firstWord(c.cgroup("cpu", "cpu.cfs_quota_us", "cpu.max")), "50000")
		if c.onV1("cpu") {
			c.equal("shares", c.cgroup("cpu", "cpu.shares", ""), "512")
		}
	}},
	{"CPUSet", func(c *docker) {
		cpu := c.lastCPU()
		c.detach(`exec sleep 1000`, "--cpuset-cpus", cpu, "--cpuset-mems", "0")
		c.equal("cpus", c.cgroup("cpuset", "cpuset.cpus", "cpuset.cpus"), cpu)
		c.equal("mems", c.cgroup("cpuset", "cpuset.mems", "cpuset.mems"), "0")
		c.equal("cpus seen inside", c.exec("grep", "Cpus_allowed_list", "/proc/self/status"), "Cpus_allowed_list:\t"+cpu)
	}},
	{"Pids", func(c *docker) {
		c.detach(`exec sleep 1000`, "--pids-limit", "5")
		c.equal("limit", c.cgroup("pids", "pids.max", "pids.max"), "5")
		res := c.execCall(nil, "sh", "-c", `for i in 1 2 3 4 5 6; do sleep 100 & done; wait`).run(c.T)
		c.contains("error", res.stderr, "can't fork")
	}},
	{"Ulimits", func(c *docker) {
		c.detach(`exec sleep 1000`, "--ulimit", "nofile=111:222", "--ulimit", "core=0")
		limits := c.exec("cat", "/proc/1/limits", "/proc/self/limits")
		for _, want := range []string{"Max open files 111 222 files", "Max core file size 0 0 bytes"} {
			if n := strings.Count(strings.Join(strings.Fields(limits), " "), want); n != 2 {
				c.Errorf("%q holds for %d of init and exec: %s", want, n, limits)
			}
		}
	}},
	{"OOMScore", func(c *docker) {
		c.equal("score", c.sh(`cat /proc/1/oom_score_adj`, "--oom-score-adj", "345"), "345")
	}},
	{"OutOfMemory", func(c *docker) {
		const eat = `x=x; while :; do x=$x$x; done`
		res := c.scriptCall(eat, "--memory", "16m").run(c.T)
		if res.code != 137 {
			c.Errorf("exit code %d, want 137: %+v", res.code, res)
		}
		// dockerd may hear of it after the end of the container; so this one goes on.
		c.detach(`sh -c '`+eat+`' || exec sleep 1000`, "--memory", "16m")
		c.listen().await("oom\n")
		c.equal("status", c.inspect("{{.State.Status}}"), "running")
		c.docker("kill", c.id).succeed(c.T)
		c.equal("exit code", c.docker("wait", c.id).succeed(c.T), "137")
		c.equal("OOMKilled", c.inspect("{{.State.OOMKilled}}"), "true")
	}},
	{"Update", func(c *docker) {
		c.detach(`exec sleep 1000`, "--memory", "64m", "--cpus", "0.5", "--pids-limit", "50")
		c.docker("update", "--memory", "32m", "--memory-swap", "32m", "--cpus", "0.25", "--cpu-shares", "256", "--pids-limit", "40", "--cpuset-cpus", "0",
			"--restart", "on-failure:3", c.id).succeed(c.T)
		c.equal("memory", c.cgroup("memory", "memory.limit_in_bytes", "memory.max"), "33554432")
		c.equal("quota", firstWord(c.cgroup("cpu", "cpu.cfs_quota_us", "cpu.max")), "25000")
		c.equal("pids", c.cgroup("pids", "pids.max", "pids.max"), "40")
		c.equal("cpus", c.cgroup("cpuset", "cpuset.cpus", "cpuset.cpus"), "0")
		c.equal("restart policy", c.inspect("{{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}}"), "on-failure:3")
		c.docker("update", "--memory", "48m", "--memory-swap", "48m", c.id).succeed(c.T)
		c.equal("memory again", c.cgroup("memory", "memory.limit_in_bytes", "memory.max"), "50331648")
		c.equal("quota still", firstWord(c.cgroup("cpu", "cpu.cfs_quota_us", "cpu.max")), "25000")
		c.equal("pids still", c.cgroup("pids", "pids.max", "pids.max"), "40")
	}},
	{"Stats", func(c *docker) {
		c.detach(`dd if=/dev/zero of=/dev/shm/f bs=1M count=8 2>/dev/null; `+ready+`while :; do :; done`, "--memory", "64m", "--pids-limit", "20")
		c.awaitReady()
		var cpu, memory, limit float64
		var unit string
		eventually(c.T, "time is used, and 8 MB", func() bool {
			line := c.docker("stats", "--no-stream", "--format", "{{.CPUPerc}} {{.MemUsage}}", c.id).succeed(c.T)
			_, err := fmt.Sscanf(line, "%f%% %f%3s / %fMiB", &cpu, &memory, &unit, &limit)
			c.ok(err)
			return cpu > 0 && memory >= 8 && unit == "MiB"
		})
		if limit != 64 {
			c.Errorf("limit: %v MiB", limit)
		}
		c.equal("pids", c.docker("stats", "--no-stream", "--format", "{{.PIDs}}", c.id).succeed(c.T), "1")
	}},
}
