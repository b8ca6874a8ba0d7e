package managers

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"
)

// podmanAboutCases: what Podman does beside running programs.
var podmanAboutCases = []podmanCase{
	{"Update", func(c *podman) {
		c.detach(`exec sleep 1000`, "--memory", "64m", "--cpus", "0.5", "--pids-limit", "50")
		c.podman("update", "--memory", "32m", "--memory-swap", "32m", "--cpus", "0.25", "--cpuset-cpus", "0", c.id).succeed(c.T)
		c.equal("memory", c.cgroup("memory", "memory.limit_in_bytes", "memory.max"), "33554432")
		c.equal("quota", firstWord(c.cgroup("cpu", "cpu.cfs_quota_us", "cpu.max")), "25000")
		c.equal("cpus", c.cgroup("cpuset", "cpuset.cpus", "cpuset.cpus"), "0")
		c.equal("pids still", c.cgroup("pids", "pids.max", "pids.max"), "50")
	}},
	{"HealthCheck", func(c *podman) {
		c.detach(`exec sleep 1000`, "--health-cmd", "test -e /healthy", "--health-interval", "disable", "--health-retries", "1")
		c.podman("healthcheck", "run", c.id).refuse(c.T)
		c.equal("before", c.inspect("{{.State.Health.Status}}"), "unhealthy")
		c.exec("touch", "/healthy")
		c.podman("healthcheck", "run", c.id).succeed(c.T)
		c.equal("after", c.inspect("{{.State.Health.Status}}"), "healthy")
	}},
	{"Logs", func(c *podman) {
		c.detach(`for i in 1 2 3; do echo out $i; echo err $i >&2; done`)
		c.equal("wait", c.podman("wait", c.id).succeed(c.T), "0")
		res := c.podman("logs", c.id).run(c.T)
		c.equal("stdout", res.stdout, "out 1\nout 2\nout 3")
		c.equal("stderr", res.stderr, "err 1\nerr 2\nerr 3")
		c.contains("--timestamps", c.podman("logs", "--timestamps", c.id).succeed(c.T), fmt.Sprint(time.Now().Year(), "-"), " out 3")
	}},
	{"PreserveFDs", func(c *podman) {
		call := c.runCall("--preserve-fds", "2", busyboxImage, "sh", "-c", `cat <&3; cat <&4; ls /proc/self/fd | wc -l`)
		dir := tempDir(c.T)
		writeFile(c.T, dir+"/3", "three\n")
		writeFile(c.T, dir+"/4", "four\n")
		call.line = append([]string{"sh", "-c", `exec 3<` + dir + `/3 4<` + dir + `/4; exec "$@"`, "sh"}, call.line...)
		c.equal("read inside", call.succeed(c.T), "three\nfour\n6") // 0 to 4, and ls's own
	}},
	{"Notify", func(c *podman) {
		path := filepath.Join(tempDir(c.T), "notify")
		manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		c.ok(err)
		defer manager.Close()
		c.ok(manager.SetReadDeadline(time.Now().Add(patience)))
		// busybox's logger writes to any socket, with a line of syslog's first.
		script := `mkdir -p /dev; ln -sf $NOTIFY_SOCKET /dev/log; logger -t '' "
READY=1
"; exec sleep 1000`
		call := c.detachCall(c.id, script, "--sdnotify", "container")
		call.env = append(call.env, "NOTIFY_SOCKET="+path)
		call.succeed(c.T)
		c.Cleanup(func() { c.remove(c.id) })
		var heard strings.Builder
		for message := make([]byte, 4096); !strings.Contains(heard.String(), "READY=1\n"); {
			n, err := manager.Read(message)
			if err != nil {
				c.Fatalf("%v, after %q", err, heard.String())
			}
			heard.Write(append(message[:n], '\n'))
		}
	}},
	{"Configuration", func(c *podman) {
		// As docs/managers/podman.md has it.
		dir := tempDir(c.T)
		writeFile(c.T, dir+"/containers.conf", fmt.Sprintf("%s\n[engine.runtimes]\nmine = [%q]\n",
			strings.Replace(readFileOrNothing(c.dir+"/containers.conf"), "[engine]", "[engine]\nruntime = \"mine\"", 1), runtimeUnderTest))
		call := c.scriptCall(`echo $$`)
		for i, arg := range call.line {
			if arg == "--runtime" {
				call.line = append(call.line[:i:i], call.line[i+2:]...)
				break
			}
		}
		call.env = []string{"CONTAINERS_CONF=" + dir + "/containers.conf", "HOME=" + dir}
		c.equal("output", call.succeed(c.T), "1")
		info := call
		info.line = append(append([]string{}, call.line[:len(c.flags)-1]...), "info", "--format", "{{.Host.OCIRuntime.Name}} {{.Host.OCIRuntime.Path}}")
		c.equal("info", info.succeed(c.T), "mine "+runtimeUnderTest)
	}},
	{"Repeated", func(c *podman) {
		// The leak check of the case is the assertion.
		for i := range 20 {
			c.equal("output", c.sh(fmt.Sprintf(`sleep 1000 & echo %d`, i)), fmt.Sprint(i))
		}
		c.equal("containers known to the runtime", run(c.T, runtimeUnderTest, "list", "--quiet"), "")
	}},
}
