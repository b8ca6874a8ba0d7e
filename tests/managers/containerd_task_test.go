package managers

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// ctrTaskCases: what happens to a container that runs.
var ctrTaskCases = []ctrCase{
	{"Exec", func(c *ctr) {
		c.detach(`exec sleep 1000`, "--env", "ADDED=more")
		c.equal("environment and directory", c.exec("sh", "-c", `echo $ADDED; pwd`), "more\n/")
		res := c.outcome(c.execCall(nil, "sh", "-c", `echo out; echo err >&2; exit 9`), stdout|stderr)
		if res.code != 9 || res.stdout != "out" || !strings.HasSuffix(res.stderr, "err") {
			c.Errorf("%+v", res)
		}
		call := c.execCall(nil, "sh", "-c", `read -r line; echo "got $line"`)
		call.stdin = "a line\n"
		c.equal("standard input", c.output(call), "got a line")
	}},
	{"ExecOptions", func(c *ctr) {
		c.detach(`exec sleep 1000`)
		for _, test := range []struct{ flag, value, want string }{
			{"--cwd", "/tmp", "uid=0(root) gid=0(root) groups=0(root)\n/tmp"},
			{"--user", "1000", "uid=1000(user) gid=1000(user) groups=1000(user)\n/"},
			{"--user", "user", "uid=1000(user) gid=1000(user) groups=1000(user)\n/"},
			{"--user", "1234:50", "uid=1234 gid=50(staff) groups=50(staff)\n/"},
		} {
			got := c.output(c.execCall([]string{test.flag, test.value}, "sh", "-c", `id; pwd`))
			// Which additional groups containerd names differs between its versions.
			c.equal(test.flag+" "+test.value, regexp.MustCompile(`(groups=).*(\b\d+\(\w+\))\n`).ReplaceAllString(got, "$1$2\n"), test.want)
		}
	}},
	{"ExecIsInside", func(c *ctr) {
		c.detach(`exec sleep 1000`, "--cap-drop", "CAP_CHOWN", "--seccomp")
		script := `for ns in pid ipc uts mnt net user cgroup; do readlink /proc/%[1]s/ns/$ns; done; readlink /proc/%[1]s/root
			grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/%[1]s/status; cat /proc/%[1]s/cgroup`
		init := c.exec("sh", "-c", fmt.Sprintf(script, "1"))
		c.equal("exec, compared with init", c.exec("sh", "-c", fmt.Sprintf(script, "self")), init)
		c.contains("init", init, "Seccomp:\t2", "NoNewPrivs:\t1")
	}},
	{"ExecMissing", func(c *ctr) {
		c.detach(`exec sleep 1000`)
		c.execCall(nil, "no-such-program").refuse(c.T, `exec: "no-such-program": executable file not found in $PATH`)
		c.execCall(nil, "/no/such/program").refuse(c.T, "/no/such/program", "no such file or directory")
		c.execCall(nil, "/etc/passwd").refuse(c.T, "/etc/passwd", "permission denied")
		c.execCall([]string{"--cwd", "/no/such"}, "true").refuse(c.T, "/no/such")
		c.equal("afterwards", c.exec("echo", "alive"), "alive")
	}},
	{"ExecDetached", func(c *ctr) {
		c.detach(`exec sleep 1000`)
		c.execCall([]string{"--detach"}, "sh", "-c", `echo $$ >/started; exec sleep 2000`).succeed(c.T)
		pid := c.exec("sh", "-c", `until [ -s /started ]; do :; done; cat /started`)
		c.contains("its command line", c.exec("sh", "-c", `until grep -q 2000 /proc/`+pid+`/cmdline; do :; done; tr '\0' ' ' </proc/`+pid+`/cmdline`), "sleep 2000")
		c.ctr("task", "kill", "--exec-id", "exec-1", "--signal", "TERM", c.id).succeed(c.T)
		c.execCall(nil, "sh", "-c", `while [ -e /proc/`+pid+`/cmdline ] && grep -q sleep /proc/`+pid+`/cmdline; do :; done`).succeed(c.T)
		c.equal("init", c.status(), "RUNNING")
		if res := c.ctr("task", "delete", "--exec-id", "exec-1", c.id).run(c.T); res.code != 143 {
			c.Errorf("status %d, want 143: %s", res.code, res.stderr)
		}
	}},
	{"ExecStopped", func(c *ctr) {
		c.detach(`exit 0`)
		eventually(c.T, "stopped", func() bool { return c.status() == "STOPPED" })
		c.execCall(nil, "true").refuse(c.T, "cannot exec in a stopped")
	}},
	{"Signals", func(c *ctr) {
		s := c.attach(`for sig in HUP USR1 TERM 35; do trap "echo got $sig" $sig; done; echo ready; while :; do sleep 0.01; done`)
		s.await("ready")
		for _, sig := range []struct{ number, name string }{{"1", "HUP"}, {"SIGUSR1", "USR1"}, {"SIGTERM", "TERM"}, {"35", "35"}} {
			c.ctr("task", "kill", "--signal", sig.number, c.id).succeed(c.T)
			s.await("got " + sig.name + "\n")
		}
		c.ctr("task", "kill", "--signal", "SIGKILL", c.id).succeed(c.T)
		if code := s.wait(); code != 137 {
			c.Errorf("exit code %d, want 137", code)
		}
	}},
	{"StopSignal", func(c *ctr) {
		image := "skep.test/stops-by-quit:latest"
		config := defaultConfig
		config.StopSignal = "SIGQUIT"
		c.ctr("images", "import", busyboxArchive(c.T, image, config)).succeed(c.T)
		s := onPipes(c.T, c.runCall("--rm", image, c.id, "sh", "-c", `trap 'echo quit; exit 3' QUIT; echo ready; while :; do sleep 0.01; done`).line...)
		s.await("ready")
		c.ctr("task", "kill", c.id).succeed(c.T)
		s.await("quit")
		if code := s.wait(); code != 3 {
			c.Errorf("exit code %d, want 3", code)
		}
	}},
	{"KillAll", func(c *ctr) {
		// With the host's pid namespace the end of init ends nobody else.
		c.detach(`sleep 3000 & sleep 3001 & exec sleep 3002`, "--with-ns", "pid:/proc/1/ns/pid")
		find := func() (pids []int) {
			for _, p := range processes(c.T) {
				if strings.HasPrefix(p.command, "sleep 300") {
					pids = append(pids, p.pid)
				}
			}
			return pids
		}
		eventually(c.T, "three processes", func() bool { return len(find()) == 3 })
		pids := find()
		c.ctr("task", "kill", "--all", "--signal", "SIGKILL", c.id).succeed(c.T)
		for _, pid := range pids {
			awaitExit(c.T, pid)
		}
	}},
	{"InitEnds", func(c *ctr) {
		// In the host's pid namespace the shim has the runtime kill the others.
		s := c.attach(`sleep 3100 & exec sleep 0.1`, "--with-ns", "pid:/proc/1/ns/pid")
		if code := s.wait(); code != 0 {
			c.Errorf("exit code %d: %s", code, s.out)
		}
		for _, p := range processes(c.T) {
			if p.command == "sleep 3100" {
				awaitExit(c.T, p.pid)
			}
		}
	}},
	{"ExecsAtOnce", func(c *ctr) {
		c.detach(`exec sleep 1000`)
		var wait sync.WaitGroup
		for i := range 8 {
			call := c.execCall(nil, "sh", "-c", fmt.Sprintf("echo %d; exit %d", i, i))
			wait.Go(func() {
				if res := c.outcome(call, stdout); res.code != i || res.stdout != fmt.Sprint(i) {
					c.Errorf("exec %d: %+v", i, res)
				}
			})
		}
		wait.Wait()
	}},
	{"ExecEndsWithContainer", func(c *ctr) {
		c.detach(`exec sleep 1000`)
		s := onPipes(c.T, c.execCall(nil, "sh", "-c", `echo ready; exec sleep 2000`).line...)
		s.await("ready")
		c.ctr("task", "kill", "--signal", "KILL", c.id).succeed(c.T)
		if code := s.wait(); code != 137 {
			c.Errorf("exit code %d, want 137: %s", code, s.out)
		}
		eventually(c.T, "stopped", func() bool { return c.status() == "STOPPED" })
	}},
	{"DeleteForce", func(c *ctr) {
		c.detach(`trap '' TERM; sleep 4000 & wait`)
		pid := c.pid()
		c.ctr("task", "delete", c.id).refuse(c.T, "running")
		c.ctr("task", "delete", "--force", c.id).succeed(c.T)
		awaitExit(c.T, pid)
		c.equal("task", c.status(), "none")
	}},
	{"PauseResume", func(c *ctr) {
		c.detach(`i=0; while :; do i=$((i+1)); echo $i >/dev/shm/count; done`)
		file := c.proc("root/dev/shm/count")
		count := func() string { return strings.TrimSpace(readFileOrNothing(file)) }
		advances := func() bool {
			before := count()
			for range 20 { // each reading takes a program run
				if now := count(); now != before && now != "" {
					return true
				}
			}
			return false
		}
		eventually(c.T, "counting", advances)
		c.ctr("task", "pause", c.id).succeed(c.T)
		c.equal("status", c.status(), "PAUSED")
		c.equal("freezer", c.frozen(), "frozen")
		if advances() {
			c.Error("a paused container counts on")
		}
		c.execCall(nil, "true").refuse(c.T, "paused")
		c.ctr("task", "resume", c.id).succeed(c.T)
		c.equal("status", c.status(), "RUNNING")
		eventually(c.T, "counting again", advances)
	}},
	{"PausedKill", func(c *ctr) {
		c.detach(`exec sleep 1000`)
		pid := c.pid()
		c.ctr("task", "pause", c.id).succeed(c.T)
		c.ctr("task", "kill", "--signal", "SIGKILL", c.id).succeed(c.T)
		awaitExit(c.T, pid)
		eventually(c.T, "stopped", func() bool { return c.status() == "STOPPED" })
	}},
	{"Processes", func(c *ctr) {
		c.detach(`sleep 5000 & exec sleep 5001`)
		pid := c.pid()
		eventually(c.T, "both processes are listed", func() bool {
			var commands []string
			listed := false
			for line := range strings.Lines(c.ctr("task", "ps", c.id).succeed(c.T)) {
				p, err := strconv.Atoi(strings.Fields(line)[0])
				if err != nil { // the heading
					continue
				}
				listed = listed || p == pid
				command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p))
				commands = append(commands, strings.ReplaceAll(string(command), "\x00", " "))
			}
			all := strings.Join(commands, "|")
			return listed && len(commands) == 2 && strings.Contains(all, "sleep 5000") && strings.Contains(all, "sleep 5001")
		})
	}},
	{"Metrics", func(c *ctr) {
		c.detach(`dd if=/dev/zero of=/dev/shm/f bs=1M count=8; while :; do :; done`, "--memory-limit", "67108864")
		eventually(c.T, "8 MB are in use", func() bool {
			return metric(c, `^(?:memory\.usage_in_bytes|memory\.usage)\s+(\d+)`) >= 8<<20
		})
		before := metric(c, `^(?:cpuacct\.usage|cpu\.usage_usec)\s+(\d+)`)
		eventually(c.T, "time is used", func() bool { return metric(c, `^(?:cpuacct\.usage|cpu\.usage_usec)\s+(\d+)`) > before })
		if limit := metric(c, `^(?:memory\.limit_in_bytes|memory\.usage_limit)\s+(\d+)`); limit != 67108864 {
			c.Errorf("limit: %d", limit)
		}
	}},
	{"OutOfMemory", func(c *ctr) {
		events := onPipes(c.T, c.ctr("events").line...)
		eventually(c.T, "events are listened to", func() bool {
			c.ctr("namespaces", "label", ctrNamespace, "listening=yes").succeed(c.T)
			return strings.Contains(events.out.String(), "/namespaces/update")
		})
		res := c.scriptCall(`x=x; while :; do x=$x$x; done`, "--rm", "--memory-limit", "16777216").run(c.T)
		if res.code != 137 {
			c.Errorf("exit code %d, want 137: %s", res.code, res.stderr)
		}
		events.await("/tasks/oom", c.id)
	}},
	{"KilledFromOutside", func(c *ctr) {
		c.detach(`exec sleep 1000`)
		pid := c.pid()
		process, err := os.FindProcess(pid)
		if err != nil {
			c.Fatal(err)
		}
		if err := process.Kill(); err != nil {
			c.Fatal(err)
		}
		eventually(c.T, "stopped", func() bool { return c.status() == "STOPPED" })
	}},
	{"StartAgain", func(c *ctr) {
		log := "file://" + filepath.Join(tempDir(c.T), "log")
		c.detach(`echo run >>/log; echo "runs: $(wc -l </log)"; exec sleep 1000`, "--log-uri", log)
		for _, want := range []string{"runs: 1\n", "runs: 1\nruns: 2\n"} {
			eventually(c.T, "output", func() bool { return readFileOrNothing(log[len("file://"):]) == want })
			c.ctr("task", "kill", "--signal", "KILL", c.id).succeed(c.T)
			eventually(c.T, "stopped", func() bool { return c.status() == "STOPPED" })
			c.ctr("task", "delete", c.id).succeed(c.T)
			c.equal("task", c.status(), "none")
			c.ctr("task", "start", "--detach", "--log-uri", log, c.id).succeed(c.T)
		}
	}},
}

// frozen tells what the freezer says.
func (c *ctr) frozen() string {
	c.Helper()
	if state := c.cgroup("freezer", "freezer.state", "cgroup.freeze"); state != "FROZEN" && state != "1" {
		return state
	}
	return "frozen"
}

// metric finds a number in what `ctr task metrics` prints; 0 when it is not
// there.
func metric(c *ctr, pattern string) uint64 {
	c.Helper()
	text := c.ctr("task", "metrics", c.id).succeed(c.T)
	m := regexp.MustCompile(`(?m)` + pattern).FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	n, err := strconv.ParseUint(m[1], 10, 64)
	if err != nil {
		c.Fatal(err)
	}
	return n
}

func readFileOrNothing(path string) string {
	content, _ := os.ReadFile(path)
	return string(content)
}
