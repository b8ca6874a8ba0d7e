package managers

import (
	"strings"

	"github.com/containerd/console"
	"golang.org/x/sys/unix"
)

var dockerTerminal = console.WinSize{Width: 91, Height: 37}

// dockerIOCases: terminals, pipes and logs.
var dockerIOCases = []dockerCase{
	{"Stdin", func(c *docker) {
		call := c.scriptCall(`cat; echo end`, "--interactive")
		call.stdin = strings.Repeat("0123456789abcde\n", 1<<14)
		c.equal("output", c.output(call), call.stdin+"end")
	}},
	{"MuchOutput", func(c *docker) {
		if lines := strings.Count(c.sh(`seq 100000`), "\n") + 1; lines != 100000 {
			c.Errorf("%d lines of 100000", lines)
		}
	}},
	{"Terminal", func(c *docker) {
		s := onTerminal(c.T, dockerTerminal, c.runCall("--interactive", "--tty", busyboxImage, "sh").line...)
		s.await("/ # ")
		s.send("tty; ls /dev/console; until [ \"$(stty size)\" = '37 91' ]; do :; done; echo si''zed\n")
		s.await("/dev/pts/0", "/dev/console", "sized")
		c.ok(s.terminal.Resize(console.WinSize{Width: 120, Height: 50}))
		s.send("until [ \"$(stty size)\" = '50 120' ]; do :; done; echo re''sized\n")
		s.await("resized")
		s.send("trap 'echo inter''rupted' INT; echo sle''eps; sleep 1000\n")
		s.await("sleeps")
		awaitProcess(c.T, "sleep 1000")
		s.send("\x03") // ^C
		s.await("interrupted")
		s.send("exit 5\n")
		if code := s.wait(); code != 5 {
			c.Errorf("exit code %d, want 5: %s", code, s.out)
		}
	}},
	{"TerminalOfUser", func(c *docker) {
		s := onTerminal(c.T, dockerTerminal,
			c.runCall("--tty", "--user", "user", busyboxImage, "sh", "-c", `stat -c '%u:%g %a' $(tty); echo to the terminal >/dev/tty`).line...)
		s.await("1000:5 620", "to the terminal")
		s.wait()
	}},
	{"AttachAndDetach", func(c *docker) {
		c.docker("run", "--detach", "--interactive", "--tty", "--name", c.id, busyboxImage, "sh").succeed(c.T)
		c.Cleanup(func() { c.remove(c.id) })
		s := onTerminal(c.T, dockerTerminal, c.docker("attach", c.id).line...)
		s.send("echo at''tached; tty\n")
		s.await("attached", "/dev/pts/0")
		s.send("\x10\x11") // ^P^Q
		s.wait()
		c.equal("status", c.inspect("{{.State.Status}}"), "running")
		s = onTerminal(c.T, dockerTerminal, c.docker("attach", "--detach-keys", "ctrl-a,x", c.id).line...)
		s.send("echo ag''ain\n")
		s.await("again")
		s.send("\x01x")
		s.wait()
		c.equal("status", c.inspect("{{.State.Status}}"), "running")
		s = onTerminal(c.T, dockerTerminal, c.docker("attach", c.id).line...)
		s.send("exit 8\n")
		if code := s.wait(); code != 8 {
			c.Errorf("exit code %d, want 8: %s", code, s.out)
		}
	}},
	{"SignalsOfTheClient", func(c *docker) {
		s := onPipes(c.T, c.scriptCall(`trap 'echo got TERM; exit 4' TERM; echo ready; while :; do sleep 0.01; done`).line...)
		s.await("ready")
		c.ok(s.cmd.Process.Signal(unix.SIGTERM))
		s.await("got TERM")
		if code := s.wait(); code != 4 {
			c.Errorf("exit code %d, want 4: %s", code, s.out)
		}
	}},
	{"Logs", func(c *docker) {
		c.detach(`echo out; echo err >&2; ` + ready + `read -r _ </dev/zero & trap 'echo last; exit' TERM; while :; do sleep 0.01; done`)
		s := c.awaitReady()
		eventually(c.T, "both streams are in the log", func() bool {
			res := c.docker("logs", c.id).run(c.T)
			return res.stdout == "out\nready" && res.stderr == "err"
		})
		c.docker("stop", c.id).succeed(c.T)
		s.await("last\n")
		if code := s.wait(); code != 0 {
			c.Errorf("logs --follow: exit code %d: %s", code, s.out)
		}
		c.equal("--tail", c.docker("logs", "--tail", "1", c.id).succeed(c.T), "last")
	}},
}
