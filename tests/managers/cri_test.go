package managers

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// dialCRI connects to a manager's socket until the test ends.
func dialCRI(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("unix://"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// pod is a pod as the kubelet asks for it.
type pod struct {
	checks
	cri.RuntimeServiceClient
	id     string
	config *cri.PodSandboxConfig
}

// podConfig is a pod in the node's network, with its containers' cgroups below parent.
func podConfig(t *testing.T, parent string) *cri.PodSandboxConfig {
	t.Helper()
	name := filepath.Base(t.Name())
	return &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: name, Uid: name, Namespace: "default"},
		LogDirectory: tempDir(t),
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent: parent,
			SecurityContext: &cri.LinuxSandboxSecurityContext{
				NamespaceOptions: &cri.NamespaceOption{Network: cri.NamespaceMode_NODE, Pid: cri.NamespaceMode_CONTAINER},
			},
		},
	}
}

// runPod makes a pod that lasts until the case ends.
func runPod(t *testing.T, conn *grpc.ClientConn, config *cri.PodSandboxConfig) *pod {
	t.Helper()
	p := &pod{checks: checks{t}, RuntimeServiceClient: cri.NewRuntimeServiceClient(conn), config: config}
	made, err := p.RunPodSandbox(t.Context(), &cri.RunPodSandboxRequest{Config: config})
	p.ok(err)
	p.id = made.PodSandboxId
	t.Cleanup(func() {
		ctx := context.Background() // the test's has ended
		// A pod's stop would leave each of them some time; their programs do not heed SIGTERM.
		containers, err := p.ListContainers(ctx, &cri.ListContainersRequest{Filter: &cri.ContainerFilter{PodSandboxId: p.id}})
		p.ok(err)
		for _, container := range containers.Containers {
			_, err = p.StopContainer(ctx, &cri.StopContainerRequest{ContainerId: container.Id})
			p.ok(err)
		}
		_, err = p.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: p.id})
		p.ok(err)
		_, err = p.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: p.id})
		p.ok(err)
	})
	return p
}

// create makes a container for a script, and returns its id.
func (p *pod) create(script string, edit func(config *cri.ContainerConfig)) (string, error) {
	p.Helper()
	config := &cri.ContainerConfig{
		Metadata: &cri.ContainerMetadata{Name: "one"},
		Image:    &cri.ImageSpec{Image: busyboxImage},
		Command:  []string{"sh", "-ec", script},
		LogPath:  "one.log",
		Linux: &cri.LinuxContainerConfig{
			Resources:       &cri.LinuxContainerResources{},
			SecurityContext: &cri.LinuxContainerSecurityContext{NamespaceOptions: p.config.Linux.SecurityContext.NamespaceOptions},
		},
	}
	if edit != nil {
		edit(config)
	}
	made, err := p.CreateContainer(p.Context(), &cri.CreateContainerRequest{PodSandboxId: p.id, Config: config, SandboxConfig: p.config})
	return made.GetContainerId(), err
}

// start starts a script in a container, and returns its id.
func (p *pod) start(script string, edit func(config *cri.ContainerConfig)) string {
	p.Helper()
	id, err := p.create(script, edit)
	p.ok(err)
	_, err = p.StartContainer(p.Context(), &cri.StartContainerRequest{ContainerId: id})
	p.ok(err)
	return id
}

// stop stops a container, which has so many seconds to end.
func (p *pod) stop(id string, seconds int64) {
	p.Helper()
	_, err := p.StopContainer(p.Context(), &cri.StopContainerRequest{ContainerId: id, Timeout: seconds})
	p.ok(err)
}

func (p *pod) remove(id string) {
	p.Helper()
	_, err := p.RemoveContainer(p.Context(), &cri.RemoveContainerRequest{ContainerId: id})
	p.ok(err)
}

func (p *pod) status(id string) *cri.ContainerStatus {
	p.Helper()
	status, err := p.ContainerStatus(p.Context(), &cri.ContainerStatusRequest{ContainerId: id})
	p.ok(err)
	return status.Status
}

// ended waits for the end of a container, and returns how it ended.
func (p *pod) ended(id string) (status *cri.ContainerStatus) {
	p.Helper()
	eventually(p.T, "the end of "+id, func() bool {
		status = p.status(id)
		return status.State == cri.ContainerState_CONTAINER_EXITED
	})
	return status
}

// exec runs a command in a container and returns what it has printed.
func (p *pod) exec(id string, line ...string) string {
	p.Helper()
	res, err := p.ExecSync(p.Context(), &cri.ExecSyncRequest{ContainerId: id, Cmd: line})
	p.ok(err)
	if res.ExitCode != 0 {
		p.Errorf("%q: exit code %d: %s", line, res.ExitCode, res.Stderr)
	}
	return string(trimNewline(res.Stdout))
}

// proc is the path of a file of a container's init below /proc.
func (p *pod) proc(id, name string) string {
	p.Helper()
	status, err := p.ContainerStatus(p.Context(), &cri.ContainerStatusRequest{ContainerId: id, Verbose: true})
	p.ok(err)
	var info struct{ PID int }
	p.ok(json.Unmarshal([]byte(status.Info["info"]), &info))
	return fmt.Sprintf("/proc/%d/%s", info.PID, name)
}

// podResources are limits as the kubelet computes them: of memory, and of a processor's time in percent.
func podResources(memory, percent int64) *cri.LinuxContainerResources {
	return &cri.LinuxContainerResources{
		CpuPeriod: 100_000, CpuQuota: percent * 1000, CpuShares: 512, MemoryLimitInBytes: memory, OomScoreAdj: 500,
	}
}

// limited gives a container these limits.
func limited(resources *cri.LinuxContainerResources) func(config *cri.ContainerConfig) {
	return func(config *cri.ContainerConfig) { config.Linux.Resources = resources }
}

func trimNewline(text []byte) []byte {
	if n := len(text); n > 0 && text[n-1] == '\n' {
		return text[:n-1]
	}
	return text
}
