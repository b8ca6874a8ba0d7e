package managers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// dockerDaemonCases: how dockerd is told about the runtime, and daemons with
// other settings.
var dockerDaemonCases = []dockerCase{
	{"Runtime", func(c *docker) {
		c.equal("info", c.docker("info", "--format", `{{.DefaultRuntime}} {{(index .Runtimes "`+dockerRuntime+`").Path}}`).succeed(c.T),
			dockerRuntime+" "+runtimeUnderTest)
		c.detach(`exec sleep 1000`)
		c.equal("runtime of a container", c.inspect("{{.HostConfig.Runtime}}"), dockerRuntime)
		state := run(c.T, runtimeUnderTest, "--root", c.stateDir(), "state", c.inspect("{{.Id}}"))
		c.contains("the runtime's state", state, `"status": "running"`, `"pid": `+c.inspect("{{.State.Pid}}")+",")
	}},
	{"DaemonJSON", func(c *docker) {
		config := fmt.Sprintf(`{"default-runtime": "skep", "runtimes": {"skep": {"path": %q}}}`, runtimeUnderTest)
		d := c.second(config)
		d.detach(`exec sleep 1000`)
		d.equal("runtime", d.inspect("{{.HostConfig.Runtime}}"), "skep")
		d.equal("by name", d.output(d.docker("run", "--rm", "--runtime", "skep", busyboxImage, "sh", "-c", "echo $$")), "1")
		d.equal("info", d.docker("info", "--format", "{{.DefaultRuntime}}").succeed(c.T), "skep")
	}},
	{"LiveRestore", func(c *docker) {
		d := c.second(c.config(`"live-restore": true`))
		d.detach(`trap 'echo got TERM; exit 4' TERM; ` + ready + `while :; do sleep 0.01; done`)
		d.awaitReady()
		pid := d.inspect("{{.State.Pid}}")
		for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
			d.end(c.T, sig)
			if _, err := os.Stat("/proc/" + pid); err != nil {
				c.Fatalf("%v: the container has ended with dockerd", sig)
			}
			d.start(c.T)
			d.equal("after the restart", d.inspect("{{.State.Status}} {{.State.Pid}}"), "running "+pid)
			d.equal("exec", d.exec("echo", "alive"), "alive")
		}
		d.docker("stop", d.id).succeed(c.T)
		d.equal("exit code", d.inspect("{{.State.ExitCode}}"), "4")
		d.equal("log", d.docker("logs", d.id).succeed(c.T), "ready\ngot TERM")
	}},
	{"UsernsRemap", func(c *docker) {
		for _, name := range []string{"/etc/subuid", "/etc/subgid"} {
			c.replaceFile(name, "nobody:100000:65536\nnogroup:100000:65536\n")
		}
		d := c.second(c.config(`"userns-remap": "nobody:nogroup"`))
		d.detach(`touch /mine; `+ready+`exec sleep 1000`, "--hostname", "combs", "--sysctl", "kernel.msgmax=9000", "--pids-limit", "50", "--memory", "64m", "--tmpfs", "/scratch")
		d.awaitReady()
		script := `id -u; cat /proc/self/uid_map; stat -c %u /mine; hostname; cat /proc/sys/kernel/msgmax`
		d.equal("inside", strings.Join(strings.Fields(d.exec("sh", "-c", script)), " "), "0 0 100000 65536 0 combs 9000")
		d.contains("status of init on the host", readFile(c.T, d.proc("status")), "Uid:\t100000\t", "Gid:\t100000\t")
		d.equal("limit", d.cgroup("pids", "pids.max", "pids.max"), "50")
		var file unix.Stat_t
		c.ok(unix.Stat(d.proc("root/mine"), &file))
		d.equal("owner on the host", fmt.Sprint(file.Uid), "100000")
		d.equal("--userns host", strings.Join(strings.Fields(d.output(d.docker("run", "--rm", "--userns", "host", busyboxImage, "cat", "/proc/self/uid_map"))), " "), "0 0 4294967295")
	}},
}

// stateDir is where the shim has the runtime keep its state, by whatever name
// dockerd knows the runtime.
func (d *dockerd) stateDir() string { return d.dir + "/exec/runtime-runc/moby" }

// second starts another dockerd, without networks, for the time of the case.
func (c *docker) second(config string) *docker {
	c.Helper()
	file := filepath.Join(tempDir(c.T), "daemon.json")
	writeFile(c.T, file, config)
	d := startDockerd(c.T, []string{busyboxArchive(c.T, busyboxImage, defaultConfig)},
		"--config-file", file, "--bridge", "none", "--iptables=false")
	return newDocker(c.T, d)
}

// config is a daemon.json with the runtime under test and a setting.
func (c *docker) config(setting string) string {
	return fmt.Sprintf(`{"default-runtime": %q, "runtimes": {%[1]q: {"path": %q}}, %s}`, dockerRuntime, runtimeUnderTest, setting)
}

// replaceFile covers a file of the host.
func (c *docker) replaceFile(name, content string) {
	c.Helper()
	own := filepath.Join(tempDir(c.T), "file")
	writeFile(c.T, own, content)
	c.ok(unix.Mount(own, name, "", unix.MS_BIND, ""))
	c.Cleanup(func() { c.ok(unix.Unmount(name, unix.MNT_DETACH)) })
}
