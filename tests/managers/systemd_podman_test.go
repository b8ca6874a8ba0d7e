package managers

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSystemdPodman runs containers by Podman as it is installed, with the settings of docs/managers/podman.md.
func TestSystemdPodman(t *testing.T) { systemdPodman(t, podmanSystemdCases) }

// TestSystemdPodmanLimits runs the limits' cases of the other cgroup manager.
func TestSystemdPodmanLimits(t *testing.T) {
	others := []string{
		"CgroupParent", // is a path there
		"Stats",        // of which Podman 4.3 counts hardly any memory on cgroup v2, with any runtime
	}
	systemdPodman(t, slices.DeleteFunc(slices.Clone(podmanLimitCases), func(c podmanCase) bool {
		return slices.Contains(others, c.name)
	}))
}

func systemdPodman(t *testing.T, cases []podmanCase) {
	t.Helper()
	storage := tempDir(t)
	for _, dir := range []string{"/var/lib/containers", "/etc/containers"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mount(storage, "/var/lib/containers", "", unix.MS_BIND, ""); err != nil { // the root is an overlay already
		t.Fatal(err)
	}
	writeFile(t, "/etc/containers/containers.conf", podmanSystemdConfiguration())
	// Podman would else make a mount of its directory, and remove it sometimes.
	writeFile(t, "/etc/containers/storage.conf", `
[storage]
driver = "overlay"
graphroot = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
[storage.options.overlay]
skip_mount_home = "true"
`)
	p := &podmanStore{dir: storage, env: []string{"HOME=/root"}}
	p.load(t)
	p.podman("run", "--rm", busyboxImage, "true").succeed(t) // makes machine.slice
	for _, c := range cases {
		testCase(t, c.name, nil, func(t *testing.T) { c.run(newPodman(t, p)) })
	}
}

// podmanSystemdConfiguration is what documents tell to write, and what these tests need.
func podmanSystemdConfiguration() string {
	name := filepath.Base(runtimeUnderTest)
	return fmt.Sprintf(`
[engine]
runtime = %q
runtime_supports_json = ["crun", "runc", %[1]q]
runtime_supports_nocgroup = ["crun", %[1]q]
infra_image = %[3]q
events_logger = "file"

[engine.runtimes]
%[1]s = [%[2]q]

[containers]
netns = "none"
log_driver = "k8s-file"
`, name, runtimeUnderTest, podmanInfraImage)
}

// load fills an installation with images.
func (p *podmanStore) load(t *testing.T) {
	t.Helper()
	infra := imageConfig{Env: defaultConfig.Env, Cmd: []string{"sleep", "infinity"}, StopSignal: "SIGKILL"}
	for name, config := range map[string]imageConfig{busyboxImage: defaultConfig, podmanInfraImage: infra} {
		archive := busyboxArchive(t, name, config)
		if err := os.Chmod(filepath.Dir(archive), 0o755); err != nil {
			t.Fatal(err)
		}
		p.podman("load", "--quiet", "--input", archive).succeed(t)
	}
}

// limitFlags are what the limits below are made by.
var (
	podmanLimitFlags = []string{"--memory", "64m", "--cpus", "0.5", "--pids-limit", "40"}
	podmanLimits     = []limit{memoryLimit(64 << 20), cpuLimit(50), pidsLimit(40)}
)

var podmanSystemdCases = []podmanCase{
	{"Limits", func(c *podman) {
		c.equal("cgroup manager", c.podman("info", "--format", "{{.Host.CgroupManager}} {{.Host.OCIRuntime.Name}}").succeed(c.T),
			"systemd "+filepath.Base(runtimeUnderTest))
		c.detach(`exec sleep 1000`, append(podmanLimitFlags, "--cpuset-cpus", "1", "--cap-add", "MKNOD")...)
		u := c.unit(host)
		c.equal("unit", u.name, "libpod-"+c.inspect("{{.Id}}")+".scope")
		c.equal("where", u.show(c.T, u.name, "Slice", "ActiveState"), "Slice=machine.slice\nActiveState=active")
		c.contains("stats", c.podman("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", c.id).succeed(c.T), "/ 67.11MB 1")
		u.has(append(podmanLimits, cpusLimit("1"))...)
		c.podman("update", "--memory", "32m", "--cpus", "0.25", "--cpuset-cpus", "0", c.id).succeed(c.T)
		u.keeps(memoryLimit(32<<20), cpuLimit(25), pidsLimit(40), cpusLimit("0"))
		c.podman("pause", c.id).succeed(c.T)
		c.equal("frozen", readFile(c.T, u.dir+"/cgroup.freeze"), "1")
		c.podman("unpause", c.id).succeed(c.T)
		c.podman("stop", "--time", "0", c.id).succeed(c.T)
		u.isGone()
		c.podman("start", c.id).succeed(c.T)
		u.has(append(podmanLimits, cpusLimit("1"))...)
	}},
	{"Pod", func(c *podman) {
		pod := c.id + "-pod"
		c.podman("pod", "create", "--name", pod, "--share", "ipc,uts", "--memory", "128m").succeed(c.T)
		c.Cleanup(func() { c.podman("pod", "rm", "--force", "--time", "0", "--ignore", pod).succeed(c.T) })
		c.detach(`exec sleep 1000`, append(podmanLimitFlags, "--pod", pod)...)
		u := c.unit(host)
		u.has(podmanLimits...)
		slice := filepath.Base(filepath.Dir(u.dir))
		id := c.podman("pod", "inspect", "--format", "{{.ID}}", pod).succeed(c.T)
		c.equal("slice", slice, "machine-libpod_pod_"+id+".slice")
		c.equal("where", u.show(c.T, u.name, "Slice"), "Slice="+slice)
		c.podman("pod", "stop", "--time", "0", pod).succeed(c.T)
		u.isGone()
		c.podman("pod", "rm", "--force", pod).succeed(c.T)
		u.name, u.dir = slice, filepath.Dir(u.dir)
		u.isGone()
	}},
	{"OutOfMemory", func(c *podman) {
		if res := c.scriptCall(`x=x; while :; do x=$x$x; done`, "--memory", "16m").run(c.T); res.code != 137 {
			c.Errorf("exit code %d, want 137: %+v", res.code, res)
		}
	}},
}

// unit is the container's.
func (c *podman) unit(manager systemd) unit {
	c.Helper()
	return newUnit(c.checks, manager, c.proc, c.exec)
}

// tester is the unprivileged user of tests/vm's machines, with a service manager of its own.
const testerID = 1000

// TestSystemdPodmanRootless runs containers of a user's, whose service manager makes the cgroups.
func TestSystemdPodmanRootless(t *testing.T) {
	id, home := fmt.Sprint(testerID), "/home/tester"
	p := &podmanStore{
		before: []string{"setpriv", "--reuid", id, "--regid", id, "--init-groups"},
		env: []string{
			"HOME=" + home, "USER=tester", "LOGNAME=tester",
			"XDG_RUNTIME_DIR=/run/user/" + id, "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/" + id + "/bus",
		},
		dir: home,
	}
	storage := tempDir(t)
	if err := os.Chown(storage, testerID, testerID); err != nil {
		t.Fatal(err)
	}
	script := `mkdir -p ~/.local/share/containers ~/.config/containers; cat >~/.config/containers/containers.conf`
	asTester := call{line: append(slices.Clone(p.before), "sh", "-c", script), env: p.env, dir: home}
	asTester.with(podmanSystemdConfiguration()).succeed(t)
	if err := unix.Mount(storage, home+"/.local/share/containers", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	p.load(t)
	user := systemd{before: p.before, flags: []string{"--user"}, env: p.env}
	p.podman("run", "--rm", busyboxImage, "true").succeed(t) // makes the slice
	for _, c := range podmanSystemdRootlessCases(user) {
		testCase(t, c.name, nil, func(t *testing.T) {
			before := user.units(t)
			t.Cleanup(func() {
				eventually(t, "the user's units are gone", func() bool {
					return !slices.ContainsFunc(user.units(t), func(unit string) bool { return !slices.Contains(before, unit) })
				})
			})
			c.run(newPodman(t, p))
		})
	}
}

func podmanSystemdRootlessCases(user systemd) []podmanCase {
	return []podmanCase{
		{"Limits", func(c *podman) {
			c.detach(`exec sleep 1000`, append(podmanLimitFlags, "--cpuset-cpus", "1")...)
			u := c.unit(user)
			c.equal("unit", u.name, "libpod-"+c.inspect("{{.Id}}")+".scope")
			c.equal("where", u.show(c.T, u.name, "Slice", "ActiveState"), "Slice=user.slice\nActiveState=active")
			u.has(append(podmanLimits, cpusLimit("1"))...)
			u.systemctl("daemon-reload").succeed(c.T)
			u.has(append(podmanLimits, cpusLimit("1"))...)
			c.podman("update", "--memory", "32m", "--cpus", "0.25", c.id).succeed(c.T)
			u.has(memoryLimit(32<<20), cpuLimit(25), pidsLimit(40))
			c.contains("exec", c.exec("id"), "uid=0(root)")
			c.podman("stop", "--time", "0", c.id).succeed(c.T)
			u.isGone()
		}},
		{"Pod", func(c *podman) {
			pod := c.id + "-pod"
			c.podman("pod", "create", "--name", pod, "--share", "ipc,uts").succeed(c.T)
			c.Cleanup(func() { c.podman("pod", "rm", "--force", "--time", "0", "--ignore", pod).succeed(c.T) })
			c.detach(`exec sleep 1000`, append(podmanLimitFlags, "--pod", pod)...)
			u := c.unit(user)
			u.has(podmanLimits...)
			slice := u.show(c.T, u.name, "Slice")
			c.contains("slice", slice, "Slice=user-libpod_pod_")
			c.podman("pod", "rm", "--force", "--time", "0", pod).succeed(c.T)
			u.isGone()
			u.name, u.dir = filepath.Base(filepath.Dir(u.dir)), filepath.Dir(u.dir)
			c.equal("the cgroup's name", "Slice="+u.name, slice)
			u.isGone()
		}},
		{"OutOfMemory", func(c *podman) {
			res := c.scriptCall(`x=x; while :; do x=$x$x; done`, "--memory", "16m").run(c.T)
			if res.code != 137 {
				c.Errorf("exit code %d, want 137: %+v", res.code, res)
			}
		}},
	}
}
