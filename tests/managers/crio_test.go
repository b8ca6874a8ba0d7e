package managers

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// crioProgram is CRI-O, with pinns beside it. Debian 12 has no packages: `make test-crio` builds both.
const crioProgram = "../../build/crio/crio"

// crioGroup is the cgroup of all pods.
const crioGroup = "/kubepods"

// TestCRIO does to CRI-O what the kubelet does, with conmon and cgroups that CRI-O makes itself.
func TestCRIO(t *testing.T) {
	need(t, "conmon", "podman", "busybox")
	ownCgroup(t, crioGroup)
	discardChanges(t, "/var/lib") // network plug-ins and Podman keep their state there
	d := startCRIO(t, "cgroupfs")
	for _, c := range slices.Concat(crioLifeCases, crioExecCases, crioLimitCases, crioPrivilegeCases, crioNamespaceCases) {
		testCase(t, c.name, d.daemon, func(t *testing.T) {
			group := crioGroup + "/" + filepath.Base(t.Name())
			ownCgroup(t, group) // as the kubelet, who removes it too
			c.run(&crio{checks{t}, d, group})
		})
	}
}

// crioDaemon is CRI-O with the images of the suite.
type crioDaemon struct {
	*daemon
	dir     string
	address string
}

func startCRIO(t *testing.T, cgroupManager string) *crioDaemon {
	t.Helper()
	program, err := filepath.Abs(crioProgram)
	if err != nil {
		t.Fatal(err)
	}
	dir := tempDir(t)
	d := &crioDaemon{dir: dir, address: filepath.Join(dir, "sock")}
	for _, name := range []string{"cni", "exits", "hooks"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(dir, "cni", "10-combs.conflist"), `{"cniVersion": "0.4.0", "name": "combs", "plugins": [
		{"type": "ptp", "ipam": {"type": "host-local", "dataDir": "`+dir+`/addresses", "ranges": [[{"subnet": "10.85.0.0/24"}]]}}]}`)
	config := filepath.Join(dir, "crio.conf")
	writeFile(t, config, fmt.Sprintf(`
[crio]
root = "%[1]s/root"
runroot = "%[1]s/run"
storage_driver = "overlay"
storage_option = ["overlay.skip_mount_home=true"]
log_dir = "%[1]s/log"
version_file = "%[1]s/version"
clean_shutdown_file = "%[1]s/clean"
[crio.api]
listen = %[2]q
[crio.runtime]
default_runtime = "skep"
cgroup_manager = %[3]q
conmon_cgroup = "pod"
apparmor_profile = "unconfined"
pinns_path = %[4]q
container_exits_dir = "%[1]s/exits"
container_attach_socket_dir = "%[1]s/attach"
namespaces_dir = "%[1]s/namespaces"
hooks_dir = ["%[1]s/hooks"]
[crio.runtime.runtimes.skep]
runtime_path = %[5]q
runtime_type = "oci"
runtime_root = "%[1]s/state"
[crio.image]
pause_image = %[6]q
pause_command = ""
signature_policy_dir = "%[1]s/policies"
[crio.network]
network_dir = "%[1]s/cni"
plugin_dirs = ["/usr/lib/cni"]
[crio.nri]
nri_listen = "%[1]s/nri.sock"
`, dir, d.address, cgroupManager, filepath.Join(filepath.Dir(program), "pinns"), runtimeUnderTest, podmanInfraImage))
	d.loadImages(t)
	d.daemon = startDaemon(t, "Registered SIGHUP reload watcher", program, "--config", config, "--config-dir", "")
	t.Cleanup(func() { unmountBelow(t, dir) }) // before the daemon's end
	return d
}

// loadImages puts the images where CRI-O finds them, by Podman, whose storage is the same: CRI-O loads no archives.
func (d *crioDaemon) loadImages(t *testing.T) {
	t.Helper()
	infra := imageConfig{Env: defaultConfig.Env, Cmd: []string{"sleep", "infinity"}}
	for name, config := range map[string]imageConfig{busyboxImage: defaultConfig, podmanInfraImage: infra} {
		call{
			line: []string{
				"podman", "--root", d.dir + "/root", "--runroot", d.dir + "/run", "--storage-driver", "overlay",
				"--storage-opt", "overlay.skip_mount_home=true", "--cgroup-manager", "cgroupfs",
				"--tmpdir", d.dir + "/tmp", "load", "--input", busyboxArchive(t, name, config),
			},
			env: podmanConfiguration(t, d.dir), dir: d.dir,
		}.succeed(t)
	}
}

// crioCase is one subtest.
type crioCase struct {
	name string
	run  func(c *crio)
}

// crio is what a case has: the daemon, and a cgroup for its pods.
type crio struct {
	checks
	*crioDaemon
	parent string
}

// pod runs a pod until the case ends. edit may be nil.
func (c *crio) pod(edit func(config *cri.PodSandboxConfig)) *pod {
	c.Helper()
	config := podConfig(c.T, c.parent)
	if edit != nil {
		edit(config)
	}
	return runPod(c.T, dialCRI(c.T, c.address), config)
}

// cgroup reads a file of a container's cgroup on the host.
func (c *crio) cgroup(id, v1Controller, v1File, v2File string) string {
	c.Helper()
	return cgroupValue(c.T, c.parent+"/crio-"+id, v1Controller, v1File, v2File)
}

// cgroupIsGone tells whether no hierarchy has the cgroup of a container.
func (c *crio) cgroupIsGone(id string) bool {
	c.Helper()
	hierarchies, err := findHierarchies()
	c.ok(err)
	return !slices.ContainsFunc(hierarchies, func(h hierarchy) bool {
		return unix.Access(filepath.Join(h.dir, c.parent, "crio-"+id), unix.F_OK) == nil
	})
}
