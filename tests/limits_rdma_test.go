package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// rdmaCanBeMade tells whether the kernel has RDMA over any network device, and a controller for it.
func rdmaCanBeMade() bool {
	for _, root := range suite.cgroups {
		text, err := os.ReadFile(filepath.Join(root.dir, "cgroup.controllers")) // of v2
		if slices.Contains(root.controllers, "rdma") || err == nil && slices.Contains(strings.Fields(string(text)), "rdma") {
			_, missing := exec.LookPath("rdma")
			return missing == nil && exec.Command("modprobe", "--dry-run", "--quiet", "rdma_rxe").Run() == nil
		}
	}
	return false
}

// CGR-01: an update changes what it names, and a device that is not there is an error.
func TestRdmaLimits(t *testing.T) {
	r := newRuntime(t)
	const device = "skeptestrxe"
	script := "modprobe rdma_rxe; ip link add skeptestdev type dummy; ip link set skeptestdev up; rdma link add " + device + " type rxe netdev skeptestdev"
	t.Cleanup(func() {
		if out, err := childOutput(exec.Command("ip", "link", "del", "skeptestdev")); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	if out, err := childOutput(exec.Command("sh", "-ec", script)); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	limit := func(device string, handles *uint32, objects uint32) specs.LinuxResources {
		return specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{device: {HcaHandles: handles, HcaObjects: &objects}}}
	}
	set := func(l specs.LinuxResources) edit {
		return resources(func(r *specs.LinuxResources) { r.Rdma = l.Rdma })
	}
	c := r.runDetached(newBundle(t, set(limit(device, ptr(uint32(3)), 100))))
	want := func(line string) {
		t.Helper()
		if got := readFile(t, filepath.Join(cgroupDir(t, "rdma", c.bundle.cgroup), "rdma.max")); !strings.Contains(got, line+"\n") {
			t.Errorf("rdma.max: %q, want %q", got, line)
		}
	}
	want(device + " hca_handle=3 hca_object=100")
	c.updateJSON(limit(device, nil, 7))
	want(device + " hca_handle=3 hca_object=7")
	bad := newBundle(t, set(limit("nonesuch", nil, 7)))
	r.refuse(call{args: []string{"create", "--bundle", bad.dir, r.id()}}, `linux.resources.rdma["nonesuch"]: write nonesuch hca_object=7 to `, "there is no such RDMA device")
}
