package managers

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSystemdDocker drives a dockerd that has systemd make the cgroups.
func TestSystemdDocker(t *testing.T) { systemdDocker(t, dockerSystemdCases) }

// TestSystemdDockerLife has devices that a reload keeps, and units that come and go.
func TestSystemdDockerLife(t *testing.T) { systemdDocker(t, dockerSystemdLifeCases) }

// TestSystemdDockerLimits runs the limits' cases of the other driver.
func TestSystemdDockerLimits(t *testing.T) { systemdDocker(t, dockerLimitCases) }

func systemdDocker(t *testing.T, cases []dockerCase) {
	config := filepath.Join(tempDir(t), "daemon.json")
	writeFile(t, config, fmt.Sprintf(`{
		"exec-opts": ["native.cgroupdriver=systemd"],
		"default-runtime": %q,
		"runtimes": {%[1]q: {"path": %q}}
	}`, dockerRuntime, runtimeUnderTest))
	d := startDockerd(t, []string{busyboxArchive(t, busyboxImage, defaultConfig)}, "--config-file", config)
	d.docker("run", "--rm", busyboxImage, "true").succeed(t) // what dockerd keeps
	for _, c := range cases {
		testCase(t, c.name, d.daemon, func(t *testing.T) { c.run(newDocker(t, d)) })
	}
}

var dockerSystemdCases = []dockerCase{
	{"Limits", func(c *docker) {
		c.equal("driver", c.docker("info", "--format", "{{.CgroupDriver}} {{.CgroupVersion}}").succeed(c.T), "systemd 2")
		c.detach(`exec sleep 1000`, "--memory", "64m", "--cpus", "0.5", "--pids-limit", "40", "--cpuset-cpus", "1")
		u := c.unit()
		c.equal("unit", u.name, "docker-"+c.inspect("{{.Id}}")+".scope")
		c.equal("where", u.show(c.T, u.name, "Slice", "ActiveState"), "Slice=system.slice\nActiveState=active")
		u.has(memoryLimit(64<<20), cpuLimit(50), pidsLimit(40), cpusLimit("1"))
		c.docker("update", "--memory", "32m", "--memory-swap", "32m", "--cpus", "0.25", "--pids-limit", "30", "--cpuset-cpus", "0", c.id).succeed(c.T)
		u.keeps(memoryLimit(32<<20), cpuLimit(25), pidsLimit(30), cpusLimit("0"))
		c.contains("stats", c.docker("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", c.id).succeed(c.T), "/ 32MiB 1")
		c.remove(c.id)
		u.isGone()
	}},
}

var dockerSystemdLifeCases = []dockerCase{
	{"Devices", func(c *docker) {
		c.detach(`exec sleep 1000`, "--device", "/dev/fuse:/dev/given:r", "--device-cgroup-rule", "c 10:200 rwm")
		u := c.unit()
		c.contains("unit", u.show(c.T, u.name, "DevicePolicy", "DeviceAllow"), "DevicePolicy=strict", "DeviceAllow=/dev/char/10:229 r\n", "DeviceAllow=/dev/char/10:200 rwm\n")
		script := `true </dev/given && ! true >/dev/given && { [ -e /dev/other-tun ] || mknod /dev/other-tun c 10 200; } && true <>/dev/other-tun`
		for range 2 {
			c.execCall(nil, "sh", "-c", script).succeed(c.T)
			u.devices()
			u.systemctl("daemon-reload").succeed(c.T)
		}
	}},
	{"Slice", func(c *docker) {
		c.Cleanup(func() { host.systemctl("stop", "hive.slice").succeed(c.T) }) // systemd keeps slices
		c.detach(`exec sleep 1000`, "--cgroup-parent", "hive-combs.slice")
		u := c.unit()
		c.equal("where", u.show(c.T, u.name, "Slice"), "Slice=hive-combs.slice")
		c.equal("cgroup", u.dir, "/sys/fs/cgroup/hive.slice/hive-combs.slice/"+u.name)
		c.docker("run", "--rm", "--cgroup-parent", "/hive", busyboxImage, "true").refuse(c.T, "slice")
	}},
	{"Ends", func(c *docker) {
		c.detach(`trap 'exit 4' TERM; ` + ready + `while :; do sleep 0.01; done`)
		u := c.unit()
		c.awaitReady()
		c.docker("pause", c.id).succeed(c.T)
		c.equal("frozen", readFile(c.T, u.dir+"/cgroup.freeze"), "1")
		c.docker("unpause", c.id).succeed(c.T)
		c.docker("stop", "--time", "300", c.id).succeed(c.T)
		c.equal("stopped", c.inspect("{{.State.ExitCode}} {{.State.OOMKilled}}"), "4 false")
		u.isGone()
		c.docker("start", c.id).succeed(c.T)
		c.equal("the same unit", c.unit().name, u.name)
		c.docker("kill", c.id).succeed(c.T)
		c.equal("killed", c.docker("wait", c.id).succeed(c.T), "137")
		u.isGone()
	}},
	{"RestartPolicy", func(c *docker) {
		c.detach(`sleep 1001 & exec sleep 1000`, "--restart", "always", "--pids-limit", "40")
		u := c.unit()
		pid := func() int {
			pid, err := strconv.Atoi(c.inspect("{{.State.Pid}}"))
			c.ok(err)
			return pid
		}
		first := pid()
		c.ok(unix.Kill(first, unix.SIGKILL))
		eventually(c.T, "it runs again", func() bool { now := pid(); return now != 0 && now != first })
		c.equal("the same unit", c.unit().name, u.name)
		u.has(pidsLimit(40))
	}},
	{"OutOfMemory", func(c *docker) {
		// What dockerd 20.10 says about it (OOMKilled) is left to chance on cgroup v2, with runc too.
		c.detach("exec sleep 1000", "--memory", "16m")
		if res := c.docker("exec", c.id, "sh", "-c", `x=x; while :; do x=$x$x; done`).run(c.T); res.code != 137 {
			c.Errorf("exit code %d, want 137: %+v", res.code, res)
		}
		c.contains("events", readFile(c.T, c.unit().dir+"/memory.events"), "oom_kill 1")
	}},
}

// unit is the container's.
func (c *docker) unit() unit {
	c.Helper()
	return newUnit(c.checks, host, c.proc, func(line ...string) string {
		return c.output(c.docker(slices.Concat([]string{"exec", c.id}, line)...))
	})
}
