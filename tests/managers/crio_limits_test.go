package managers

import (
	"path/filepath"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// crioLimitCases: resources, read back from the cgroup's files on the host.
var crioLimitCases = []crioCase{
	{"Limits", func(c *crio) {
		p := c.pod(nil)
		id := p.start(`exec sleep 1000`, limited(podResources(64<<20, 50)))
		c.equal("memory", c.cgroup(id, "memory", "memory.limit_in_bytes", "memory.max"), "67108864")
		c.equal("quota", firstWord(c.cgroup(id, "cpu", "cpu.cfs_quota_us", "cpu.max")), "50000")
		c.equal("score", p.exec(id, "cat", "/proc/1/oom_score_adj"), "500")
		for _, file := range []string{"cgroup", "oom_score_adj"} {
			c.equal("exec's "+file, p.exec(id, "cat", "/proc/self/"+file), readFile(c.T, p.proc(id, file)))
		}
	}},
	{"Update", func(c *crio) {
		p := c.pod(nil)
		id := p.start(`exec sleep 1000`, limited(podResources(64<<20, 50)))
		resources := podResources(128<<20, 25)
		resources.CpusetCpus = "1"
		_, err := p.UpdateContainerResources(c.Context(), &cri.UpdateContainerResourcesRequest{ContainerId: id, Linux: resources})
		c.ok(err)
		c.equal("memory", c.cgroup(id, "memory", "memory.limit_in_bytes", "memory.max"), "134217728")
		c.equal("quota", firstWord(c.cgroup(id, "cpu", "cpu.cfs_quota_us", "cpu.max")), "25000")
		c.equal("cpus", c.cgroup(id, "cpuset", "cpuset.cpus", "cpuset.cpus"), "1")
		// Memory alone leaves the others as they are.
		_, err = p.UpdateContainerResources(c.Context(), &cri.UpdateContainerResourcesRequest{
			ContainerId: id, Linux: &cri.LinuxContainerResources{MemoryLimitInBytes: 96 << 20},
		})
		c.ok(err)
		c.equal("memory", c.cgroup(id, "memory", "memory.limit_in_bytes", "memory.max"), "100663296")
		c.equal("quota", firstWord(c.cgroup(id, "cpu", "cpu.cfs_quota_us", "cpu.max")), "25000")
		c.equal("cpus", c.cgroup(id, "cpuset", "cpuset.cpus", "cpuset.cpus"), "1")
		c.equal("devices", p.exec(id, "sh", "-c", "head -c 1 /dev/zero | wc -c"), "1")
	}},
	{"Statistics", func(c *crio) {
		p := c.pod(nil)
		id := p.start(`exec sleep 1000`, limited(podResources(64<<20, 50)))
		stats, err := p.ContainerStats(c.Context(), &cri.ContainerStatsRequest{ContainerId: id})
		c.ok(err)
		if stats.Stats.Memory.WorkingSetBytes.GetValue() == 0 || stats.Stats.Cpu.UsageCoreNanoSeconds.GetValue() == 0 {
			c.Errorf("statistics: %v", stats)
		}
		sandbox, err := p.PodSandboxStats(c.Context(), &cri.PodSandboxStatsRequest{PodSandboxId: p.id})
		c.ok(err)
		if linux := sandbox.Stats.Linux; len(linux.Containers) != 1 || linux.Containers[0].Memory.WorkingSetBytes.GetValue() == 0 {
			c.Errorf("the pod's statistics: %v", sandbox)
		}
	}},
	{"OutOfMemory", func(c *crio) {
		p := c.pod(nil)
		id := p.start(`x=x; while :; do x=$x$x; done`, limited(podResources(32<<20, 100)))
		status := p.ended(id)
		if status.ExitCode != 137 || status.Reason != "OOMKilled" {
			c.Errorf("status: %+v", status)
		}
	}},
	{"Pids", func(c *crio) {
		p := c.pod(nil)
		// The kubelet's limit is the pod's.
		hierarchies, err := findHierarchies()
		c.ok(err)
		for _, h := range hierarchies {
			if h.controls("pids") || h.unified() && !c.onV1("pids") {
				writeFile(c.T, filepath.Join(h.dir, c.parent, "pids.max"), "16")
			}
		}
		id := p.start(`exec sleep 1000`, nil)
		res, err := p.ExecSync(c.Context(), &cri.ExecSyncRequest{ContainerId: id, Cmd: []string{"sh", "-c", `for i in $(seq 16); do sleep 100 & done; wait`}})
		c.ok(err)
		c.contains("error", string(res.Stderr), "can't fork")
	}},
}
