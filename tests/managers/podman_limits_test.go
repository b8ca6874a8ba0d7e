package managers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// podmanLimitCases: resources, read back from the cgroup's files on the host
// and from /proc inside.
var podmanLimitCases = []podmanCase{
	{"Memory", func(c *podman) {
		c.detach(`exec sleep 1000`, "--memory", "64m", "--memory-reservation", "32m")
		c.equal("limit", c.cgroup("memory", "memory.limit_in_bytes", "memory.max"), "67108864")
		c.equal("reservation", c.cgroup("memory", "memory.soft_limit_in_bytes", "memory.low"), "33554432")
	}},
	{"MemoryAndSwap", func(c *podman) {
		c.detach(`exec sleep 1000`, "--memory", "64m", "--memory-swap", "96m")
		want := "33554432"
		if c.onV1("memory") { // counts both
			want = "100663296"
		}
		c.equal("swap", c.cgroup("memory", "memory.memsw.limit_in_bytes", "memory.swap.max"), want)
	}},
	{"CPUs", func(c *podman) {
		c.detach(`exec sleep 1000`, "--cpus", "0.5", "--cpu-shares", "512")
		c.equal("quota", firstWord(c.cgroup("cpu", "cpu.cfs_quota_us", "cpu.max")), "50000")
		if c.onV1("cpu") {
			c.equal("shares", c.cgroup("cpu", "cpu.shares", ""), "512")
		}
	}},
	{"CPUSet", func(c *podman) {
		cpu := c.lastCPU()
		c.detach(`exec sleep 1000`, "--cpuset-cpus", cpu, "--cpuset-mems", "0")
		c.equal("cpus", c.cgroup("cpuset", "cpuset.cpus", "cpuset.cpus"), cpu)
		c.equal("mems", c.cgroup("cpuset", "cpuset.mems", "cpuset.mems"), "0")
		c.equal("cpus seen inside", c.exec("grep", "Cpus_allowed_list", "/proc/self/status"), "Cpus_allowed_list:\t"+cpu)
	}},
	{"Pids", func(c *podman) {
		c.detach(`exec sleep 1000`, "--pids-limit", "16")
		c.equal("limit", c.cgroup("pids", "pids.max", "pids.max"), "16")
		res := c.execCall(nil, "sh", "-c", `for i in $(seq 16); do sleep 100 & done; wait`).run(c.T)
		c.contains("error", res.stderr, "can't fork")
	}},
	{"Ulimits", func(c *podman) {
		// Podman raises nproc to a limit of its own unless it is given. runc 1.1
		// sometimes runs an exec with the hard limit of open files as the soft one.
		c.detach(`exec sleep 1000`, "--ulimit", "nofile=111:222", "--ulimit", "nproc=1000:1000", "--ulimit", "core=0")
		limits := c.exec("cat", "/proc/1/limits", "/proc/self/limits")
		for _, want := range []string{"Max open files 111 222 files", "Max processes 1000 1000 processes", "Max core file size 0 0 bytes"} {
			if n := strings.Count(strings.Join(strings.Fields(limits), " "), want); n != 2 {
				c.Errorf("%q holds for %d of init and exec: %s", want, n, limits)
			}
		}
	}},
	{"OOMScore", func(c *podman) {
		c.equal("score", c.sh(`cat /proc/1/oom_score_adj`, "--oom-score-adj", "345"), "345")
	}},
	{"OutOfMemory", func(c *podman) {
		res := c.scriptCall(`x=x; while :; do x=$x$x; done`, "--memory", "16m").run(c.T)
		if res.code != 137 {
			c.Errorf("exit code %d, want 137: %s", res.code, res.stderr)
		}
		// The kernel tells conmon, who should tell Podman in the container's
		// directory; conmon 2.1.6 leaves its note where Podman was called.
		call := c.detachCall(c.id, `sh -c 'x=x; while :; do x=$x$x; done' || echo "killed: $?"; exec sleep 1000`, "--memory", "16m")
		call.dir = tempDir(c.T)
		call.succeed(c.T)
		c.Cleanup(func() { c.remove(c.id) })
		c.follow("killed: 137\n")
		c.equal("status", c.inspect("{{.State.Status}}"), "running")
		if !c.onV1("memory") { // conmon looks when the container ends, where systemd may have removed the cgroup
			c.contains("events", c.cgroup("memory", "", "memory.events"), "oom_kill 1")
			return
		}
		eventually(c.T, "conmon notes it", func() bool { _, err := os.Stat(filepath.Join(call.dir, "oom")); return err == nil })
	}},
	{"CgroupParent", func(c *podman) {
		parent := podmanGroup + "/made/for"
		c.Cleanup(func() { removeOwnCgroup(c.T, podmanGroup+"/made") })
		c.detach(`exec sleep 1000`, "--cgroup-parent", parent)
		c.contains("cgroups of init", readFile(c.T, c.proc("cgroup")), parent+"/libpod-"+c.inspect("{{.Id}}"))
	}},
	{"NoCgroups", func(c *podman) {
		run := func(flags ...string) call {
			line := append([]string{"run", "--rm", "--name", c.id, "--cgroups", "disabled", "--cgroupns", "host"}, flags...)
			return c.podman(append(line, busyboxImage, "cat", "/proc/self/cgroup")...)
		}
		c.equal("cgroups", run().succeed(c.T), strings.TrimSpace(readFile(c.T, "/proc/self/cgroup")))
		res := run("--memory", "64m").run(c.T)
		if res.code != 126 {
			c.Errorf("exit code %d, want 126", res.code)
		}
		c.contains("error", res.stderr, "linux.resources.memory.limit: takes cgroups")
	}},
	{"Stats", func(c *podman) {
		c.detach(`dd if=/dev/zero of=/dev/shm/f bs=1M count=8 2>/dev/null; `+ready+`while :; do :; done`, "--memory", "64m")
		c.awaitReady()
		var memory, limit float64
		var cpu string
		eventually(c.T, "time is used, and 8 MB", func() bool {
			line := c.podman("stats", "--no-stream", "--format", "{{.CPUPerc}} {{.MemUsage}}", c.id).succeed(c.T)
			if _, err := fmt.Sscanf(line, "%s %fMB / %fMB", &cpu, &memory, &limit); err != nil {
				c.Fatalf("%q: %v", line, err)
			}
			return cpu != "0.00%" && memory >= 8
		})
		if limit < 67 || limit > 67.2 {
			c.Errorf("limit: %v MB", limit)
		}
		c.equal("pids", c.podman("stats", "--no-stream", "--format", "{{.PIDs}}", c.id).succeed(c.T), "1")
	}},
}
