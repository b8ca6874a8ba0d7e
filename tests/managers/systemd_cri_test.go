package managers

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// TestSystemdCRI makes a pod as the kubelet does, with cgroupDriver: systemd.
func TestSystemdCRI(t *testing.T) {
	dir := tempDir(t)
	const plugin = `plugins."io.containerd.grpc.v1.cri"`
	d := startContainerd(t, fmt.Sprintf(`disabled_plugins = ["io.containerd.internal.v1.opt"]
[%[1]s]
  sandbox_image = %[2]q
[%[1]s.cni]
  conf_dir = %[3]q
[%[1]s.containerd]
  default_runtime_name = "skep"
[%[1]s.containerd.runtimes.skep]
  runtime_type = "io.containerd.runc.v2"
[%[1]s.containerd.runtimes.skep.options]
  BinaryName = %[4]q
  SystemdCgroup = true`, plugin, podmanInfraImage, dir, runtimeUnderTest))
	infra := imageConfig{Env: defaultConfig.Env, Cmd: []string{"sleep", "infinity"}}
	for name, config := range map[string]imageConfig{busyboxImage: defaultConfig, podmanInfraImage: infra} {
		run(t, "ctr", "--address", d.address, "--namespace", "k8s.io", "images", "import", busyboxArchive(t, name, config))
	}
	conn := dialCRI(t, d.address)
	for _, c := range criCases {
		testCase(t, c.name, d.daemon, func(t *testing.T) { c.run(runSlicedPod(t, conn, c.share)) })
	}
}

// TestSystemdCRIO does the same with CRI-O.
func TestSystemdCRIO(t *testing.T) {
	d := startCRIO(t, "systemd")
	conn := dialCRI(t, d.address)
	for _, c := range crioSystemdCases {
		testCase(t, c.name, d.daemon, func(t *testing.T) { c.run(runSlicedPod(t, conn, c.share)) })
	}
}

// The slice of the pods, which the kubelet makes.
const (
	podSlice     = "hive-combs.slice"
	podSlicePath = "/hive.slice/" + podSlice
)

// runSlicedPod makes a pod in a slice with limits. Its containers may share their processes.
func runSlicedPod(t *testing.T, conn *grpc.ClientConn, share bool) *pod {
	t.Helper()
	host.systemctl("start", podSlice).succeed(t)
	host.systemctl("set-property", "--runtime", podSlice, "MemoryMax=256M", "TasksMax=100").succeed(t)
	t.Cleanup(func() {
		host.systemctl("revert", podSlice).succeed(t)
		host.systemctl("stop", "hive.slice").succeed(t)
	})
	config := podConfig(t, podSlicePath)
	if share {
		config.Linux.SecurityContext.NamespaceOptions.Pid = cri.NamespaceMode_POD
	}
	return runPod(t, conn, config)
}

// unit is the unit of a container.
func (p *pod) unit(id string) unit {
	p.Helper()
	proc := func(name string) string { return p.proc(id, name) }
	return newUnit(p.checks, host, proc, func(line ...string) string {
		p.Helper()
		return p.exec(id, line...)
	})
}

// criCase is one subtest.
type criCase struct {
	name  string
	share bool // processes
	run   func(p *pod)
}

// criCases are what the kubelet does to a pod.
var criCases = []criCase{
	{"Limits", false, (*pod).limitsInUnit},
	{"OutOfMemory", false, func(p *pod) {
		// The container lasts until containerd has read the counter in its cgroup.
		id := p.start(`sh -c 'x=x; while :; do x=$x$x; done' || exec sleep 1000`, limited(podResources(32<<20, 100)))
		u := p.unit(id)
		eventually(p.T, "containerd knows", func() bool { return p.status(id).Reason == "OOMKilled" })
		p.contains("events", readFile(p.T, u.dir+"/memory.events"), "oom_kill 1")
	}},
}

// crioSystemdCases lack one without memory: conmon's notes of it are not reliable on cgroup v2.
var crioSystemdCases = []criCase{
	{"Limits", false, (*pod).limitsInUnit},
	{"SharedProcesses", true, func(p *pod) {
		one := p.start(`exec sleep 1001`, nil)
		two := p.start(`exec sleep 1002`, func(config *cri.ContainerConfig) { config.Metadata.Name = "two" })
		for _, process := range []string{"sleep infinity", "sleep 1001", "sleep 1002"} {
			eventually(p.T, process+" is seen", func() bool { return strings.Contains(p.exec(two, "ps"), process) })
		}
		u := p.unit(one)
		p.stop(one, 0)
		p.remove(one)
		u.isGone()
		p.equal("the other", p.exec(two, "echo", "alive"), "alive")
	}},
}

// limitsInUnit gives a container limits, changes them, and looks at what systemd makes of it.
func (p *pod) limitsInUnit() {
	p.Helper()
	id := p.start(`exec sleep 1000`, func(config *cri.ContainerConfig) {
		config.Linux.Resources = podResources(64<<20, 50)
		config.Linux.SecurityContext.Capabilities = &cri.Capability{AddCapabilities: []string{"MKNOD"}}
	})
	u := p.unit(id)
	p.contains("unit", u.name, "-"+id+".scope")
	p.equal("cgroup", filepath.Dir(u.dir), "/sys/fs/cgroup"+podSlicePath)
	u.has(memoryLimit(64<<20), cpuLimit(50))
	_, err := p.UpdateContainerResources(p.Context(), &cri.UpdateContainerResourcesRequest{ContainerId: id, Linux: podResources(32<<20, 25)})
	p.ok(err)
	u.keeps(memoryLimit(32<<20), cpuLimit(25))
	p.equal("the slice's limit", readFile(p.T, filepath.Dir(u.dir)+"/memory.max"), "268435456")
	stats, err := p.ContainerStats(p.Context(), &cri.ContainerStatsRequest{ContainerId: id})
	p.ok(err)
	if stats.Stats.Memory.WorkingSetBytes.GetValue() == 0 || stats.Stats.Cpu.UsageCoreNanoSeconds.GetValue() == 0 {
		p.Errorf("statistics: %v", stats)
	}
	p.stop(id, 0)
	p.remove(id)
	u.isGone()
}
