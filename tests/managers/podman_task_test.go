package managers

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/containerd/console"
	"golang.org/x/sys/unix"
)

// podmanTaskCases: what happens to a container that runs.
var podmanTaskCases = []podmanCase{
	{"Terminal", func(c *podman) {
		s := c.onTerminal(console.WinSize{Height: 33, Width: 111}, c.runCall("--interactive", "--tty", busyboxImage, "sh"))
		s.send("tty; until test -t 1 && stty size | grep '33 111'; do :; done; readlink /proc/self/fd/0\n")
		s.await("/dev/pts/0\r\n", "33 111\r\n", "/dev/pts/0\r\n")
		c.ok(s.terminal.Resize(console.WinSize{Height: 44, Width: 122}))
		c.ok(s.cmd.Process.Signal(unix.SIGWINCH))
		s.send("until stty size | grep '44 122'; do :; done\n")
		s.await("44 122\r\n")
		s.send("echo be''gin; cat\n")
		s.await("begin\r\n")
		s.send("echoed\n")
		s.await("echoed\r\n", "echoed\r\n")
		s.send("\x03")
		s.await("^C", "/ # ") // until then what is typed is thrown away
		s.send("exit 9\n")
		if code := s.wait(); code != 9 {
			c.Errorf("exit code %d, want 9: %s", code, s.out)
		}
	}},
	{"StandardInput", func(c *podman) {
		call := c.runCall("--interactive", busyboxImage, "sh", "-c", `wc -c; echo done >&2; exit 3`)
		call.stdin = strings.Repeat("0123456789", 100_000)
		res := call.run(c.T)
		if res.code != 3 || strings.TrimSpace(res.stdout) != "1000000" || strings.TrimSpace(res.stderr) != "done" {
			c.Errorf("%+v", res)
		}
		c.equal("without --interactive", c.sh(`wc -c; readlink /proc/self/fd/0`), "0\n/dev/null")
	}},
	{"Attach", func(c *podman) {
		c.detach(`read -r line; echo "got $line"; exit 4`, "--interactive")
		s := c.onPipes(c.podman("attach", c.id))
		s.send("a line\n")
		s.await("got a line\n")
		s.wait()
		c.equal("wait", c.podman("wait", c.id).succeed(c.T), "4")
	}},
	{"Exec", func(c *podman) {
		c.detach(`exec sleep 1000`, "--env", "ADDED=more")
		res := c.execCall([]string{"--env", "HERE=too", "--workdir", "/tmp", "--user", "user"},
			"sh", "-c", `echo $ADDED $HERE $HOME; pwd; id -u; id -g; id -Gn | grep -o staff; echo err >&2; exit 9`).run(c.T)
		if res.code != 9 || res.stdout != "more too /home/user\n/tmp\n1000\n1000\nstaff" || !strings.HasPrefix(res.stderr, "err") {
			c.Errorf("%+v", res)
		}
		call := c.execCall([]string{"--interactive"}, "sh", "-c", `read -r line; echo "got $line"; wc -c`)
		call.stdin = "a line\n" + strings.Repeat("x", 100_000)
		c.equal("standard input", call.succeed(c.T), "got a line\n100000")
	}},
	{"ExecIsInside", func(c *podman) {
		c.detach(`exec sleep 1000`, "--cap-drop", "CHOWN", "--security-opt", "no-new-privileges")
		script := `for ns in pid ipc uts mnt net user cgroup; do readlink /proc/%[1]s/ns/$ns; done; readlink /proc/%[1]s/root
			grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/%[1]s/status; cat /proc/%[1]s/cgroup`
		init := c.exec("sh", "-c", fmt.Sprintf(script, "1"))
		c.equal("exec, compared with init", c.exec("sh", "-c", fmt.Sprintf(script, "self")), init)
		c.contains("init", init, "Seccomp:\t2", "NoNewPrivs:\t1")
	}},
	{"ExecErrors", func(c *podman) {
		c.detach(`exec sleep 1000`)
		for _, test := range []struct {
			flags  []string
			line   string
			code   int
			stderr string
		}{
			{nil, "no-such-program", 127, "no-such-program"},
			{nil, "/no/such/program", 127, "no such file or directory"},
			{nil, "/etc/passwd", 126, "permission denied"},
			{[]string{"--workdir", "/no/such"}, "true", 127, "/no/such"},
			{[]string{"--user", "nobody-knows"}, "true", 255, "nobody-knows"},
		} {
			res := c.execCall(test.flags, test.line).run(c.T)
			if res.code != test.code || !strings.Contains(res.stderr, test.stderr) {
				c.Errorf("%q %q: exit code %d, want %d: %s", test.flags, test.line, res.code, test.code, res.stderr)
			}
		}
		c.equal("afterwards", c.exec("echo", "alive"), "alive")
	}},
	{"ExecTerminal", func(c *podman) {
		c.detach(`exec sleep 1000`)
		s := c.onTerminal(console.WinSize{Height: 33, Width: 111}, c.execCall([]string{"--interactive", "--tty"}, "sh"))
		s.send("tty; until stty size | grep '33 111'; do :; done\n")
		s.await("/dev/pts/", "33 111\r\n")
		s.send("exit 5\n")
		if code := s.wait(); code != 5 {
			c.Errorf("exit code %d, want 5: %s", code, s.out)
		}
	}},
	{"ExecDetached", func(c *podman) {
		c.detach(`exec sleep 1000`)
		c.execCall([]string{"--detach", "--env", "GIVEN=this"}, "sh", "-c", `echo $GIVEN $$ >/part; mv /part /started; exec sleep 2000`).succeed(c.T)
		got := strings.Fields(c.exec("sh", "-c", `until [ -s /started ]; do :; done; cat /started`))
		c.equal("environment", got[0], "this")
		c.exec("sh", "-c", `kill `+got[1]+`; while [ -e /proc/`+got[1]+`/cmdline ] && grep -q 2000 /proc/`+got[1]+`/cmdline; do :; done`)
	}},
	{"ExecPrivileged", func(c *podman) {
		c.detach(`exec sleep 1000`)
		own := regexp.MustCompile(`CapBnd:\t(\w+)`).FindStringSubmatch(readFile(c.T, "/proc/self/status"))
		c.equal("capabilities", c.execCall([]string{"--privileged"}, "grep", "CapEff", "/proc/self/status").succeed(c.T), "CapEff:\t"+own[1])
		c.equal("without", c.exec("grep", "CapEff", "/proc/self/status"), fmt.Sprintf("CapEff:\t%016x", podmanCapabilities))
	}},
	{"ExecStopped", func(c *podman) {
		c.detach(`exit 0`)
		c.equal("wait", c.podman("wait", c.id).succeed(c.T), "0")
		c.execCall(nil, "true").refuse(c.T, "container state improper")
	}},
	{"Stop", func(c *podman) {
		c.detach(`trap 'echo asked; exit 6' TERM; ` + ready + `while :; do sleep 0.01; done`)
		s := c.awaitReady()
		c.podman("stop", "--time", "60", c.id).succeed(c.T)
		s.await("asked")
		c.equal("exit code", c.inspect("{{.State.ExitCode}} {{.State.Status}}"), "6 exited")
	}},
	{"StopKills", func(c *podman) {
		c.detach(`trap 'echo refused' TERM; ` + ready + `while :; do sleep 0.01; done`)
		s := c.awaitReady()
		c.podman("stop", "--time", "5", c.id).succeed(c.T)
		s.await("refused")
		c.equal("exit code", c.inspect("{{.State.ExitCode}}"), "137")
	}},
	{"Kill", func(c *podman) {
		c.detach(`for sig in HUP USR1 TERM 35; do trap "echo got $sig" $sig; done; ` + ready + `while :; do sleep 0.01; done`)
		s := c.awaitReady()
		for _, sig := range []struct{ number, name string }{{"1", "HUP"}, {"SIGUSR1", "USR1"}, {"TERM", "TERM"}, {"35", "35"}} {
			c.podman("kill", "--signal", sig.number, c.id).succeed(c.T)
			s.await("got " + sig.name + "\n")
		}
		c.podman("kill", c.id).succeed(c.T)
		c.equal("wait", c.podman("wait", c.id).succeed(c.T), "137")
	}},
	{"PauseResume", func(c *podman) {
		c.detach(`i=0; while :; do i=$((i+1)); echo $i >/dev/shm/count; done`)
		file := c.proc("root/dev/shm/count")
		count := func() string { return strings.TrimSpace(readFileOrNothing(file)) }
		advances := func() bool {
			before := count()
			for range 20 {
				run(c.T, "true")
				if now := count(); now != before && now != "" {
					return true
				}
			}
			return false
		}
		eventually(c.T, "counting", advances)
		c.podman("pause", c.id).succeed(c.T)
		c.equal("status", c.inspect("{{.State.Status}}"), "paused")
		if advances() {
			c.Error("a paused container counts on")
		}
		c.execCall(nil, "true").refuse(c.T, "container state improper")
		c.podman("unpause", c.id).succeed(c.T)
		c.equal("status", c.inspect("{{.State.Status}}"), "running")
		eventually(c.T, "counting again", advances)
	}},
	{"RemoveForce", func(c *podman) {
		for _, paused := range []bool{false, true} {
			c.detach(`trap '' TERM; sleep 4000 & wait`)
			process, err := os.FindProcess(c.pid())
			c.ok(err)
			c.podman("rm", c.id).refuse(c.T, "running")
			if paused {
				c.podman("pause", c.id).succeed(c.T)
			}
			c.remove(c.id)
			awaitExit(c.T, process.Pid)
			if res := c.podman("container", "exists", c.id).run(c.T); res.code != 1 {
				c.Errorf("paused %v: the container exists: %+v", paused, res)
			}
		}
	}},
	{"Top", func(c *podman) {
		c.detach(`sleep 5000 & ` + ready + `exec sleep 5001`)
		c.awaitReady()
		eventually(c.T, "both processes are listed", func() bool {
			got := c.podman("top", c.id, "pid", "hpid", "args").succeed(c.T)
			return strings.Contains(got, "sleep 5000") && strings.Contains(got, "sleep 5001") && strings.Contains(got, c.inspect("{{.State.Pid}}"))
		})
	}},
	{"KilledFromOutside", func(c *podman) {
		c.detach(`exec sleep 1000`)
		c.ok(unix.Kill(c.pid(), unix.SIGKILL))
		c.equal("wait", c.podman("wait", c.id).succeed(c.T), "137")
	}},
	{"Restart", func(c *podman) {
		c.detach(`echo run >>/log; echo "runs: $(wc -l </log)"; exec sleep 1000`)
		s := c.follow("runs: 1\n")
		first := c.pid()
		c.podman("restart", "--time", "0", c.id).succeed(c.T)
		s.kill()
		c.follow("runs: 1\n", "runs: 2\n")
		awaitExit(c.T, first)
		c.podman("stop", "--time", "0", c.id).succeed(c.T)
		c.podman("start", c.id).succeed(c.T)
		c.follow("runs: 3\n")
	}},
	{"RestartPolicy", func(c *podman) {
		c.detach(`echo run >>/log; [ $(wc -l </log) = 3 ]`, "--restart", "on-failure:5")
		eventually(c.T, "the third run succeeded", func() bool {
			return c.inspect("{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}") == "exited 0 2"
		})
	}},
}
