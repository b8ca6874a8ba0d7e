package managers

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
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
	conn, err := grpc.NewClient("unix://"+d.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	checks{t}.ok(err)
	defer conn.Close()
	for _, c := range criCases {
		testCase(t, c.name, d.daemon, func(t *testing.T) {
			c.run(newKubelet(t, conn, filepath.Base(t.Name())))
		})
	}
}

// kubelet is what a case has: a client, and a pod.
type kubelet struct {
	checks
	cri.RuntimeServiceClient
	images cri.ImageServiceClient
	pod    string
	config *cri.PodSandboxConfig
}

// The slice of the pod, which the kubelet makes.
const (
	podSlice     = "hive-combs.slice"
	podSlicePath = "/hive.slice/" + podSlice
)

// newKubelet makes a pod that lasts until the case ends.
func newKubelet(t *testing.T, conn *grpc.ClientConn, name string) *kubelet {
	t.Helper()
	k := &kubelet{checks{t}, cri.NewRuntimeServiceClient(conn), cri.NewImageServiceClient(conn), "", &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: name, Uid: name, Namespace: "default"},
		LogDirectory: tempDir(t),
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent: podSlicePath,
			SecurityContext: &cri.LinuxSandboxSecurityContext{
				NamespaceOptions: &cri.NamespaceOption{Network: cri.NamespaceMode_NODE, Pid: cri.NamespaceMode_CONTAINER},
			},
		},
	}}
	host.systemctl("start", podSlice).succeed(t)
	host.systemctl("set-property", "--runtime", podSlice, "MemoryMax=256M", "TasksMax=100").succeed(t)
	t.Cleanup(func() {
		host.systemctl("revert", podSlice).succeed(t)
		host.systemctl("stop", "hive.slice").succeed(t)
	})
	pod, err := k.RunPodSandbox(t.Context(), &cri.RunPodSandboxRequest{Config: k.config})
	k.ok(err)
	k.pod = pod.PodSandboxId
	t.Cleanup(func() {
		ctx := context.Background() // the test's has ended
		_, err := k.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: k.pod})
		k.ok(err)
		_, err = k.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: k.pod})
		k.ok(err)
	})
	return k
}

// start starts a script in a container of the pod, and returns its id.
func (k *kubelet) start(script string, resources *cri.LinuxContainerResources) string {
	k.Helper()
	created, err := k.CreateContainer(k.Context(), &cri.CreateContainerRequest{
		PodSandboxId: k.pod,
		Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: "one"},
			Image:    &cri.ImageSpec{Image: busyboxImage},
			Command:  []string{"sh", "-ec", script},
			LogPath:  "log",
			Linux:    &cri.LinuxContainerConfig{Resources: resources},
		},
		SandboxConfig: k.config,
	})
	k.ok(err)
	_, err = k.StartContainer(k.Context(), &cri.StartContainerRequest{ContainerId: created.ContainerId})
	k.ok(err)
	return created.ContainerId
}

// unit is the unit of a container.
func (k *kubelet) unit(id string) unit {
	k.Helper()
	status, err := k.ContainerStatus(k.Context(), &cri.ContainerStatusRequest{ContainerId: id, Verbose: true})
	k.ok(err)
	var info struct{ PID int }
	k.ok(json.Unmarshal([]byte(status.Info["info"]), &info))
	proc := func(name string) string { return fmt.Sprintf("/proc/%d/%s", info.PID, name) }
	return newUnit(k.checks, host, proc, func(line ...string) string {
		k.Helper()
		res, err := k.ExecSync(k.Context(), &cri.ExecSyncRequest{ContainerId: id, Cmd: line})
		k.ok(err)
		if res.ExitCode != 0 {
			k.Errorf("%q: exit code %d: %s", line, res.ExitCode, res.Stderr)
		}
		return string(trimNewline(res.Stdout))
	})
}

// podResources are limits as the kubelet computes them: of memory, and of a processor's time in percent.
func podResources(memory, percent int64) *cri.LinuxContainerResources {
	return &cri.LinuxContainerResources{
		CpuPeriod: 100_000, CpuQuota: percent * 1000, CpuShares: 512, MemoryLimitInBytes: memory, OomScoreAdj: 500,
	}
}

// criCases are what the kubelet does to a pod.
var criCases = []struct {
	name string
	run  func(k *kubelet)
}{
	{"Limits", func(k *kubelet) {
		id := k.start(`exec sleep 1000`, podResources(64<<20, 50))
		u := k.unit(id)
		k.equal("unit", u.name, "cri-containerd-"+id+".scope")
		k.equal("cgroup", filepath.Dir(u.dir), "/sys/fs/cgroup"+podSlicePath)
		u.has(memoryLimit(64<<20), cpuLimit(50))
		_, err := k.UpdateContainerResources(k.Context(), &cri.UpdateContainerResourcesRequest{ContainerId: id, Linux: podResources(32<<20, 25)})
		k.ok(err)
		u.keeps(memoryLimit(32<<20), cpuLimit(25))
		k.equal("the slice's limit", readFile(k.T, filepath.Dir(u.dir)+"/memory.max"), "268435456")
		stats, err := k.ContainerStats(k.Context(), &cri.ContainerStatsRequest{ContainerId: id})
		k.ok(err)
		if stats.Stats.Memory.WorkingSetBytes.GetValue() == 0 || stats.Stats.Cpu.UsageCoreNanoSeconds.GetValue() == 0 {
			k.Errorf("statistics: %v", stats)
		}
		_, err = k.StopContainer(k.Context(), &cri.StopContainerRequest{ContainerId: id})
		k.ok(err)
		_, err = k.RemoveContainer(k.Context(), &cri.RemoveContainerRequest{ContainerId: id})
		k.ok(err)
		u.isGone()
		dirs, err := os.ReadDir(filepath.Dir(u.dir))
		k.ok(err)
		scopes := 0
		for _, dir := range dirs {
			if dir.IsDir() {
				scopes++
			}
		}
		k.equal("scopes in the slice", fmt.Sprint(scopes), "1") // the sandbox's
	}},
	{"OutOfMemory", func(k *kubelet) {
		// The container lasts until containerd has read the counter in its cgroup.
		id := k.start(`sh -c 'x=x; while :; do x=$x$x; done' || exec sleep 1000`, podResources(32<<20, 100))
		u := k.unit(id)
		eventually(k.T, "containerd knows", func() bool {
			response, err := k.ContainerStatus(k.Context(), &cri.ContainerStatusRequest{ContainerId: id})
			k.ok(err)
			return response.Status.Reason == "OOMKilled"
		})
		k.contains("events", readFile(k.T, u.dir+"/memory.events"), "oom_kill 1")
	}},
}

func trimNewline(text []byte) []byte {
	if n := len(text); n > 0 && text[n-1] == '\n' {
		return text[:n-1]
	}
	return text
}
