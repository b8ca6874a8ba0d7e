package managers

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// dockerLifeCases: what happens to a container that runs.
var dockerLifeCases = []dockerCase{
	{"CreateAndStart", func(c *docker) {
		c.docker("create", "--name", c.id, busyboxImage, "sh", "-c", `echo run >>/log; cat /log; exit 3`).succeed(c.T)
		c.Cleanup(func() { c.remove(c.id) })
		c.equal("created", c.inspect("{{.State.Status}} {{.State.Pid}}"), "created 0")
		for _, want := range []string{"run", "run\nrun"} {
			res := c.docker("start", "--attach", c.id).run(c.T)
			if res.code != 3 || res.stdout != want {
				c.Errorf("%+v, want %q", res, want)
			}
		}
		c.equal("ended", c.inspect("{{.State.Status}} {{.State.ExitCode}}"), "exited 3")
	}},
	{"Stop", func(c *docker) {
		c.detach(`trap 'echo stopping; exit 3' TERM; ` + ready + `while :; do sleep 0.01; done`)
		s := c.awaitReady()
		c.docker("stop", c.id).succeed(c.T)
		s.await("stopping")
		c.equal("state", c.inspect("{{.State.Status}} {{.State.ExitCode}}"), "exited 3")
		c.equal("events", c.events("kill", "die"), "kill 15,die")
	}},
	{"StopByForce", func(c *docker) {
		c.detach(`trap '' TERM; ` + ready + `sleep 4000 & wait`)
		c.awaitReady()
		c.docker("stop", "--time", "1", c.id).succeed(c.T)
		c.equal("state", c.inspect("{{.State.Status}} {{.State.ExitCode}}"), "exited 137")
		c.equal("events", c.events("kill", "die"), "kill 15,kill 9,die")
	}},
	{"StopSignal", func(c *docker) {
		c.detach(`trap 'exit 5' QUIT; `+ready+`while :; do sleep 0.01; done`, "--stop-signal", "SIGQUIT")
		c.awaitReady()
		c.docker("stop", c.id).succeed(c.T)
		c.equal("state", c.inspect("{{.State.Status}} {{.State.ExitCode}}"), "exited 5")
	}},
	{"Kill", func(c *docker) {
		c.detach(`for sig in HUP USR1 TERM 35; do trap "echo got $sig" $sig; done; ` + ready + `while :; do sleep 0.01; done`)
		s := c.awaitReady()
		for _, sig := range []struct{ sent, name string }{{"1", "HUP"}, {"SIGUSR1", "USR1"}, {"TERM", "TERM"}, {"35", "35"}} {
			c.docker("kill", "--signal", sig.sent, c.id).succeed(c.T)
			s.await("got " + sig.name + "\n")
		}
		c.docker("kill", c.id).succeed(c.T)
		c.equal("exit code", c.docker("wait", c.id).succeed(c.T), "137")
		c.docker("kill", c.id).refuse(c.T, "is not running")
	}},
	{"KilledFromOutside", func(c *docker) {
		c.detach(`sleep 1000 & exec sleep 1001`)
		pid, err := strconv.Atoi(c.inspect("{{.State.Pid}}"))
		c.ok(err)
		c.ok(unix.Kill(pid, unix.SIGKILL))
		c.equal("exit code", c.docker("wait", c.id).succeed(c.T), "137")
	}},
	{"Wait", func(c *docker) {
		c.detach(`trap 'exit 6' TERM; ` + ready + `while :; do sleep 0.01; done`)
		c.awaitReady()
		waiting := onPipes(c.T, c.docker("wait", c.id).line...)
		c.docker("kill", "--signal", "TERM", c.id).succeed(c.T)
		waiting.await("6\n")
	}},
	{"Pause", func(c *docker) {
		c.detach(`i=0; while :; do i=$((i+1)); echo $i >/dev/shm/count; done`)
		file := c.proc("root/dev/shm/count")
		advances := func() bool {
			before := readFileOrNothing(file)
			for deadline := time.Now().Add(200 * time.Millisecond); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
				if now := readFileOrNothing(file); now != before && now != "" {
					return true
				}
			}
			return false
		}
		eventually(c.T, "counting", advances)
		c.docker("pause", c.id).succeed(c.T)
		c.equal("status", c.inspect("{{.State.Status}}"), "paused")
		if state := c.cgroup("freezer", "freezer.state", "cgroup.freeze"); state != "FROZEN" && state != "1" {
			c.Errorf("freezer: %s", state)
		}
		if advances() {
			c.Error("a paused container counts on")
		}
		c.execCall(nil, "true").refuse(c.T, "is paused")
		c.docker("unpause", c.id).succeed(c.T)
		c.equal("status", c.inspect("{{.State.Status}}"), "running")
		eventually(c.T, "counting again", advances)
	}},
	{"PausedKill", func(c *docker) {
		c.detach(`exec sleep 1000`)
		c.docker("pause", c.id).succeed(c.T)
		c.docker("kill", c.id).succeed(c.T)
		c.equal("exit code", c.docker("wait", c.id).succeed(c.T), "137")
	}},
	{"Top", func(c *docker) {
		c.detach(`sleep 5000 & ` + ready + `exec sleep 5001`)
		c.awaitReady()
		eventually(c.T, "both processes are listed", func() bool {
			words := strings.Fields(c.docker("top", c.id, "-o", "pid,args").succeed(c.T))
			all := strings.Join(words, " ")
			return len(words) == 2+3+3 && strings.Contains(all, " sleep 5000") && strings.Contains(all, c.inspect("{{.State.Pid}}")+" sleep 5001")
		})
	}},
	{"Restart", func(c *docker) {
		c.detach(`echo run >>/log; wc -l </log; ` + ready + `exec sleep 1000`)
		c.awaitReady()
		pid := c.inspect("{{.State.Pid}}")
		c.docker("restart", "--time", "0", c.id).succeed(c.T)
		s := onPipes(c.T, c.docker("logs", "--follow", c.id).line...)
		s.await("1\nready\n", "2\nready\n")
		if again := c.inspect("{{.State.Pid}}"); again == pid || again == "0" {
			c.Errorf("process %s, before the restart: %s", again, pid)
		}
	}},
	{"RestartPolicies", func(c *docker) {
		c.detach(`echo run >>/log; exit 3`, "--restart", "on-failure:2")
		eventually(c.T, "the third end", func() bool {
			return c.inspect("{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}") == "2 exited 3"
		})
		log := filepath.Join(tempDir(c.T), "log")
		c.docker("cp", c.id+":/log", log).succeed(c.T)
		c.equal("runs", readFile(c.T, log), "run\nrun\nrun")
		c.detachAs(c.id+"-2", `exec sleep 1000`, "--restart", "always")
		pid := func() int {
			pid, err := strconv.Atoi(c.docker("inspect", "--format", "{{.State.Pid}}", c.id+"-2").succeed(c.T))
			c.ok(err)
			return pid
		}
		first := pid()
		c.ok(unix.Kill(first, unix.SIGKILL))
		eventually(c.T, "it runs again", func() bool { now := pid(); return now != 0 && now != first })
	}},
	{"Rename", func(c *docker) {
		c.detach(`exec sleep 1000`)
		c.docker("rename", c.id, c.id+"-2").succeed(c.T)
		c.equal("exec by the new name", c.output(c.docker("exec", c.id+"-2", "echo", "alive")), "alive")
		c.execCall(nil, "true").refuse(c.T, "No such container")
		c.docker("rename", c.id+"-2", c.id).succeed(c.T)
	}},
	{"HealthCheck", func(c *docker) {
		c.detach(`exec sleep 1000`, "--health-cmd", `grep -q well /dev/shm/health && echo fine`, "--health-interval", "100ms", "--health-retries", "2", "--health-start-period", "100s")
		s := c.listen()
		c.execCall(nil, "sh", "-c", `echo well >/dev/shm/health`).succeed(c.T)
		s.await("health_status: healthy")
		c.contains("log", c.inspect("{{json .State.Health.Log}}"), `fine\n`)
		c.execCall(nil, "sh", "-c", `echo bad >/dev/shm/health`).succeed(c.T)
		s.await("health_status: unhealthy")
	}},
	{"ThirtyAtOnce", func(c *docker) {
		var wait sync.WaitGroup
		for i := range 30 {
			wait.Go(func() {
				call := c.docker("run", "--rm", "--name", fmt.Sprintf("%s-%d", c.id, i), busyboxImage, "sh", "-c", fmt.Sprintf("echo %d; exit %d", i, i))
				res := call.run(c.T)
				if res.code == i && res.stdout == "" { // lost: see output
					res = call.run(c.T)
				}
				if res.code != i || res.stdout != fmt.Sprint(i) {
					c.Errorf("container %d: %+v", i, res)
				}
			})
		}
		wait.Wait()
		c.equal("left", c.docker("ps", "--all", "--quiet", "--filter", "name="+c.id).succeed(c.T), "")
		c.equal("left by the runtime", run(c.T, runtimeUnderTest, "--root", c.stateDir(), "list", "--quiet"), "")
	}},
}

// listen follows what dockerd tells about the container, from its beginning;
// its name may have been another's before.
func (c *docker) listen() *session {
	c.Helper()
	return onPipes(c.T, c.docker("events", "--since", "0", "--filter", "container="+c.inspect("{{.Id}}"), "--format", "{{.Action}}").line...)
}

// events lists what dockerd has told about the container, with the signals.
func (c *docker) events(kinds ...string) string {
	c.Helper()
	now := time.Now()
	args := []string{"events", "--since", "0", "--until", fmt.Sprintf("%d.%09d", now.Unix(), now.Nanosecond()),
		"--filter", "container=" + c.inspect("{{.Id}}"), "--format", "{{.Action}} {{.Actor.Attributes.signal}}"}
	for _, kind := range kinds {
		args = append(args, "--filter", "event="+kind)
	}
	var all []string
	for line := range strings.Lines(c.docker(args...).succeed(c.T)) {
		all = append(all, strings.TrimSuffix(strings.TrimSpace(line), " <no value>"))
	}
	return strings.Join(all, ",")
}
