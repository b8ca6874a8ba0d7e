package managers

import (
	"strings"
	"testing"
)

// TestSystemdContainerd drives containerd's shim by ctr, with units for cgroups.
func TestSystemdContainerd(t *testing.T) {
	d := startContainerd(t, noCRI)
	d.ctr("images", "import", busyboxArchive(t, busyboxImage, defaultConfig)).succeed(t)
	for _, c := range ctrSystemdCases {
		testCase(t, c.name, d.daemon, func(t *testing.T) { c.run(newCtr(t, d)) })
	}
}

var ctrSystemdCases = []ctrCase{
	{"Life", func(c *ctr) {
		u := c.unit(`exec sleep 1000`, "--memory-limit", "67108864", "--cpu-quota", "30000", "--cpu-period", "100000", "--cap-add", "CAP_MKNOD")
		c.equal("unit", u.show(c.T, u.name, "Slice", "ActiveState", "Delegate"), "Slice=hive-combs.slice\nDelegate=yes\nActiveState=active")
		c.equal("cgroup", strings.TrimPrefix(u.dir, "/sys/fs/cgroup"), "/hive.slice/hive-combs.slice/ctr-"+c.id+".scope")
		u.keeps(memoryLimit(64<<20), cpuLimit(30))
		c.equal("exec's cgroup", c.exec("cat", "/proc/self/cgroup"), "0::"+strings.TrimPrefix(u.dir, "/sys/fs/cgroup"))
		c.ctr("task", "pause", c.id).succeed(c.T)
		c.equal("frozen", readFile(c.T, u.dir+"/cgroup.freeze"), "1")
		c.ctr("task", "resume", c.id).succeed(c.T)
		c.equal("thawed", readFile(c.T, u.dir+"/cgroup.freeze"), "0")
		if pids := metric(c, `^pids\.current\s+(\d+)`); pids != 1 {
			c.Errorf("metrics: %d processes: %s", pids, c.ctr("task", "metrics", c.id).succeed(c.T))
		}
		c.ctr("task", "kill", "--signal", "KILL", c.id).succeed(c.T)
		eventually(c.T, "stopped", func() bool { return c.status() == "STOPPED" })
		c.contains("delete", c.ctr("task", "delete", c.id).run(c.T).stderr, "exit with non-zero exit code 137")
		u.isGone()
	}},
	{"KillAll", func(c *ctr) {
		u := c.unit(`sleep 1001 & sleep 1002 & exec sleep 1000`)
		c.ctr("task", "kill", "--all", "--signal", "KILL", c.id).succeed(c.T)
		eventually(c.T, "stopped", func() bool { return c.status() == "STOPPED" })
		c.ctr("task", "delete", c.id).run(c.T)
		u.isGone()
	}},
	{"OutOfMemory", func(c *ctr) {
		events := onPipes(c.T, c.ctr("events").line...)
		u := c.unit(`sh -c 'x=x; while :; do x=$x$x; done' || exec sleep 1000`, "--memory-limit", "33554432")
		events.await("/tasks/oom", c.id)
		c.equal("status", c.status(), "RUNNING")
		c.contains("events", readFile(c.T, u.dir+"/memory.events"), "oom_kill 1")
		c.contains("unit", u.show(c.T, u.name, "ActiveState"), "active")
	}},
}

// unit runs a script in the background in a unit of its own, until the case ends.
func (c *ctr) unit(script string, flags ...string) unit {
	c.Helper()
	c.Cleanup(func() { host.systemctl("stop", "hive.slice").succeed(c.T) }) // systemd keeps slices
	flags = append(flags, "--mount", "type=cgroup,src=cgroup,dst=/sys/fs/cgroup,options=ro")
	c.detach(script, append(flags, "--runc-systemd-cgroup", "--cgroup", "hive-combs.slice:ctr:"+c.id)...)
	return newUnit(c.checks, host, c.proc, c.exec)
}
