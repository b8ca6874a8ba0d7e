package managers

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ctrLifeCases: daemons that end while containers run, and many containers.
var ctrLifeCases = []ctrCase{
	{"DaemonRestart", func(c *ctr) {
		log := filepath.Join(tempDir(c.T), "log")
		c.detach(`trap 'echo stopped; exit 4' TERM; echo started; while :; do sleep 0.01; done`, "--log-uri", "file://"+log)
		pid := c.pid()
		c.daemon.end(c.T, unix.SIGKILL)
		c.daemon.start(c.T)
		if again := c.pid(); again != pid || c.status() != "RUNNING" {
			c.Fatalf("after the restart: process %d, %s; before: %d", again, c.status(), pid)
		}
		c.equal("exec", c.exec("echo", "alive"), "alive")
		c.ctr("task", "kill", "--signal", "TERM", c.id).succeed(c.T)
		eventually(c.T, "stopped", func() bool { return c.status() == "STOPPED" })
		eventually(c.T, "the log is complete", func() bool { return readFileOrNothing(log) == "started\nstopped\n" })
		c.contains("delete", c.ctr("task", "delete", c.id).run(c.T).stderr, "exit with non-zero exit code 4")
	}},
	{"EndsWithoutDaemon", func(c *ctr) {
		c.detach(`exec sleep 1000`)
		pid := c.pid()
		c.daemon.end(c.T, unix.SIGTERM)
		if err := unix.Kill(pid, unix.SIGTERM); err != nil { // process 1 of a namespace ignores it
			c.Fatal(err)
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			c.Fatal(err)
		}
		awaitExit(c.T, pid)
		c.daemon.start(c.T)
		// containerd 1.6 keeps the stopped task, 2.x removes it.
		eventually(c.T, "the task has ended", func() bool { return c.status() != "RUNNING" })
	}},
	{"ShimKilled", func(c *ctr) {
		c.detach(`sleep 1001 & exec sleep 1000`)
		pid := c.pid()
		shim := 0
		for _, p := range processes(c.T) {
			if strings.Contains(p.command, "containerd-shim-runc-v2 ") && strings.Contains(p.command, "-id "+c.id) {
				shim = p.pid
			}
		}
		if shim == 0 {
			c.Fatal("no shim found")
		}
		// containerd has the runtime delete what the shim leaves behind.
		if err := unix.Kill(shim, unix.SIGKILL); err != nil {
			c.Fatal(err)
		}
		awaitExit(c.T, pid)
		eventually(c.T, "the task is gone", func() bool { return c.status() == "none" })
	}},
	{"Hundred", func(c *ctr) {
		for i := range 100 {
			got := c.output(c.runCall("--rm", busyboxImage, fmt.Sprintf("%s-%d", c.id, i), "echo", fmt.Sprint(i)))
			c.equal("output", got, fmt.Sprint(i))
		}
	}},
	{"AtOnce", func(c *ctr) {
		var wait sync.WaitGroup
		for i := range 8 {
			wait.Go(func() {
				id := fmt.Sprintf("%s-%d", c.id, i)
				res := c.outcome(c.runCall("--rm", busyboxImage, id, "sh", "-c", fmt.Sprintf("echo %d; exit %d", i, i)), stdout)
				if res.code != i || res.stdout != fmt.Sprint(i) {
					c.Errorf("container %d: %+v", i, res)
				}
			})
		}
		wait.Wait()
	}},
}
