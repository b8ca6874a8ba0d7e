package managers

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSystemdPodmanServices has systemd and Podman start each other.
func TestSystemdPodmanServices(t *testing.T) { systemdPodman(t, podmanServiceCases) }

// notifyReady is a script's beginning that tells systemd, whose socket Podman passes on, that the container is ready:
// busybox's logger writes to any socket, with a line of syslog's first.
const notifyReady = "mkdir -p /dev; ln -sf $NOTIFY_SOCKET /dev/log; logger -t '' \"\nREADY=1\n\"; "

var podmanServiceCases = []podmanCase{
	{"HealthTimer", func(c *podman) {
		c.detach(`exec sleep 1000`, "--health-cmd", "test -e /healthy", "--health-interval", "5s", "--health-retries", "1")
		timer := c.inspect("{{.Id}}") + ".timer"
		c.equal("timer", host.show(c.T, timer, "ActiveState"), "ActiveState=active")
		is := func(status string) func() bool {
			return func() bool { return c.inspect("{{.State.Health.Status}}") == status }
		}
		eventually(c.T, "unhealthy", is("unhealthy"))
		c.exec("touch", "/healthy")
		eventually(c.T, "healthy", is("healthy"))
	}},
	{"Generated", func(c *podman) {
		flags := append([]string{"create", "--name", c.id}, podmanLimitFlags...)
		c.podman(append(flags, busyboxImage, "sh", "-ec", `trap 'exit 0' TERM; while :; do sleep 0.1; done`)...).succeed(c.T)
		service := "container-" + c.id + ".service"
		text := c.podman("generate", "systemd", "--new", "--name", c.id).succeed(c.T)
		c.contains("generated unit", text, "--cgroups=no-conmon", "--sdnotify=conmon")
		c.remove(c.id)
		c.service(service, text)
		u := c.unit(host)
		c.equal("unit", u.name, "libpod-"+c.inspect("{{.Id}}")+".scope")
		u.has(podmanLimits...)
		conmon := c.inspect("{{.State.ConmonPid}}")
		c.equal("main process", host.show(c.T, service, "MainPID"), "MainPID="+conmon)
		c.equal("conmon's cgroup", readFile(c.T, "/proc/"+conmon+"/cgroup"), "0::/system.slice/"+service)
		host.systemctl("restart", service).succeed(c.T)
		again := c.unit(host)
		again.has(podmanLimits...)
		u.isGone()
		host.systemctl("stop", service).succeed(c.T)
		again.isGone()
		if res := c.podman("container", "exists", c.id).run(c.T); res.code != 1 {
			c.Errorf("the container exists: %+v", res)
		}
	}},
	{"SplitNotify", func(c *podman) {
		dir := tempDir(c.T) // systemd expands variables in command lines
		writeFile(c.T, dir+"/script", `trap 'exit 0' TERM; until [ -e /go ]; do sleep 0.1; done; `+notifyReady+`while :; do sleep 0.1; done`)
		service := c.id + ".service"
		run := slices.Concat([]string{"/usr/bin/podman", "run", "--rm", "--name", c.id, "--cgroups", "split", "--sdnotify", "container"},
			podmanLimitFlags, []string{"--volume", dir + ":/given:ro", busyboxImage, "sh", "-e", "/given/script"})
		c.Cleanup(func() { host.systemctl("stop", service).run(c.T) })
		call{line: append([]string{
			"systemd-run", "--unit", service, "--collect", "--no-block", "--property", "Type=notify", "--property", "NotifyAccess=all",
			"--property", "Delegate=yes", "--setenv", "HOME=/root",
		}, run...)}.succeed(c.T)
		eventually(c.T, "the container runs", func() bool {
			return c.podman("container", "inspect", "--format", "{{.State.Status}}", c.id).run(c.T).stdout == "running"
		})
		u := c.unit(host)
		c.equal("cgroup", filepath.Dir(u.dir), "/sys/fs/cgroup/system.slice/"+service)
		for _, l := range podmanLimits { // which are none of the unit's
			c.equal(l.file, readFile(c.T, filepath.Join(u.dir, l.file)), l.content)
		}
		c.equal("before", host.show(c.T, service, "ActiveState"), "ActiveState=activating")
		c.exec("touch", "/go")
		eventually(c.T, "systemd hears it", func() bool { return host.show(c.T, service, "ActiveState") == "ActiveState=active" })
		host.systemctl("stop", service).succeed(c.T)
		u.name = service
		u.isGone()
	}},
	{"Init", func(c *podman) {
		// The machine's own tree has a systemd.
		root := overlayOf(c.T, "/")
		c.podman("run", "--detach", "--name", c.id, "--systemd", "always", "--memory", "512m", "--rootfs", root,
			"/lib/systemd/systemd", "--unit=basic.target").succeed(c.T)
		c.Cleanup(func() { c.remove(c.id) })
		eventually(c.T, "its systemd is up", func() bool {
			return slices.Contains([]string{"running", "degraded"}, c.execCall(nil, "systemctl", "is-system-running", "--wait").run(c.T).stdout)
		})
		u := c.unit(host)
		c.equal("init", filepath.Base(u.dir), "init.scope")
		u.dir = filepath.Dir(u.dir)
		u.name = filepath.Base(u.dir)
		c.contains("unit", u.show(c.T, u.name, "Delegate", "MemoryMax"), "Delegate=yes", "MemoryMax=536870912")
		c.exec("systemd-run", "--unit", "inner", "--property", "MemoryMax=32M", "--property", "DeviceAllow=/dev/null r", "sleep", "1000")
		c.equal("its service's limit", readFile(c.T, u.dir+"/system.slice/inner.service/memory.max"), "33554432")
		host.systemctl("daemon-reload").succeed(c.T)
		c.equal("the same after a reload outside", c.exec("cat", "/sys/fs/cgroup/system.slice/inner.service/memory.max"), "33554432")
		c.podman("pause", c.id).succeed(c.T)
		c.podman("unpause", c.id).succeed(c.T)
		c.podman("stop", "--time", "300", c.id).succeed(c.T)
		u.isGone()
	}},
}

// overlayOf mounts a copy of a tree until the test ends.
func overlayOf(t *testing.T, tree string) string {
	t.Helper()
	dir := tempDir(t)
	for _, name := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	root := dir + "/root"
	if err := unix.Mount("overlay", root, "overlay", 0, "lowerdir="+tree+",upperdir="+dir+"/upper,workdir="+dir+"/work"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(root, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return root
}

// service writes a unit, which lasts until the case ends, and starts it.
func (c *podman) service(name, text string) {
	c.Helper()
	path := filepath.Join("/run/systemd/system", name)
	writeFile(c.T, path, text)
	c.Cleanup(func() {
		host.systemctl("stop", name).succeed(c.T)
		c.ok(os.Remove(path))
		host.systemctl("daemon-reload").succeed(c.T)
	})
	host.systemctl("daemon-reload").succeed(c.T)
	host.systemctl("start", name).succeed(c.T)
}
