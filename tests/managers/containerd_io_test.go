package managers

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/console"
)

// ctrIOCases: terminals, pipes and logs.
var ctrIOCases = []ctrCase{
	{"Stdin", func(c *ctr) {
		call := c.scriptCall(`head -n 2; echo end`, "--rm") // ctr run hands on no end of file, ctr exec does
		call.stdin = "first\nsecond\n"
		c.equal("output", c.output(call), "first\nsecond\nend")
		c.detach(`exec sleep 1000`)
		call = c.execCall(nil, "cat")
		call.stdin = strings.Repeat("0123456789abcde\n", 1<<14)
		c.equal("exec's output", c.output(call), strings.TrimSpace(call.stdin))
	}},
	{"MuchOutput", func(c *ctr) {
		lines := strings.Count(c.sh(`seq 100000`), "\n") + 1
		if lines != 100000 {
			c.Errorf("%d lines of 100000", lines)
		}
	}},
	{"Terminal", func(c *ctr) {
		s := onTerminal(c.T, console.WinSize{Width: 91, Height: 37}, c.runCall("--rm", "--tty", busyboxImage, c.id, "sh").line...)
		s.await("/ # ")
		s.send("tty; until stty size | grep '37 91'; do :; done\n") // ctr sets it once the program runs
		s.await("/dev/pts/0", "37 91\r")
		if err := s.terminal.Resize(console.WinSize{Width: 120, Height: 50}); err != nil {
			c.Fatal(err)
		}
		s.send("until [ \"$(stty size)\" = '50 120' ]; do :; done; echo re''sized\n")
		s.await("resized")
		s.send("trap 'echo inter''rupted' INT; echo sle''eps; sleep 1000\n")
		s.await("sleeps")
		awaitProcess(c.T, "sleep 1000")
		s.send("\x03") // ^C
		s.await("interrupted")
		s.send("ls -l /proc/self/fd/0; exit 5\n")
		s.await("/dev/pts/0")
		if code := s.wait(); code != 5 {
			c.Errorf("exit code %d, want 5: %s", code, s.out)
		}
	}},
	{"TerminalOfUser", func(c *ctr) {
		image := "skep.test/user:latest"
		config := defaultConfig
		config.User = "user"
		c.ctr("images", "import", busyboxArchive(c.T, image, config)).succeed(c.T)
		s := onTerminal(c.T, console.WinSize{Width: 80, Height: 24},
			c.runCall("--rm", "--tty", image, c.id, "sh", "-c", `stat -c '%u:%g %a' $(tty); echo to the terminal >/dev/tty`).line...)
		s.await("1000:5 620", "to the terminal")
		s.wait()
	}},
	{"ExecTerminal", func(c *ctr) {
		c.detach(`exec sleep 1000`)
		s := onTerminal(c.T, console.WinSize{Width: 77, Height: 33}, c.execCall([]string{"--tty"}, "sh").line...)
		s.await("/ # ")
		s.send("tty; until stty size | grep '33 77'; do :; done\n")
		s.await("/dev/pts/", "33 77\r")
		s.send("sleep 2000\n")
		awaitProcess(c.T, "sleep 2000")
		s.send("\x03")
		s.await("^C", "/ # ")
		s.send("exit 6\n")
		if code := s.wait(); code != 6 {
			c.Errorf("exit code %d, want 6: %s", code, s.out)
		}
	}},
	{"Attach", func(c *ctr) {
		size := console.WinSize{Width: 80, Height: 24}
		run := onTerminal(c.T, size, c.runCall("--detach", "--tty", busyboxImage, c.id, "sh").line...)
		if code := run.wait(); code != 0 {
			c.Fatalf("exit code %d: %s", code, run.out)
		}
		c.Cleanup(func() { c.remove(c.id) })
		s := onTerminal(c.T, size, c.ctr("task", "attach", c.id).line...)
		s.send("echo at''tached; tty\n")
		s.await("attached", "/dev/pts/0")
		s.send("exit 8\n")
		if code := s.wait(); code != 8 {
			c.Errorf("exit code %d, want 8: %s", code, s.out)
		}
	}},
	{"LogFile", func(c *ctr) {
		log := filepath.Join(tempDir(c.T), "log")
		c.detach(`echo out; echo err >&2; seq 1000; echo end`, "--log-uri", "file://"+log)
		eventually(c.T, "the end of the log", func() bool {
			text := readFileOrNothing(log) // of two streams
			return strings.Contains(text, "\nend\n") && strings.Contains(text, "err\n")
		})
		c.contains("log", readFile(c.T, log), "out\n", "err\n", "\n1000\n")
	}},
	{"Fifos", func(c *ctr) {
		dir := tempDir(c.T)
		c.detach(`read -r line; echo "got $line"; exec sleep 1000`, "--fifo-dir", dir)
		open := func(name string, flag int) *os.File {
			fifos, err := filepath.Glob(filepath.Join(dir, "*", c.id+"-"+name))
			if err != nil || len(fifos) != 1 {
				c.Fatalf("fifos: %v (%v)", fifos, err)
			}
			f, err := os.OpenFile(fifos[0], flag, 0)
			if err != nil {
				c.Fatal(err)
			}
			return f
		}
		out, in := open("stdout", os.O_RDONLY), open("stdin", os.O_WRONLY)
		defer out.Close()
		defer in.Close()
		if _, err := io.WriteString(in, "a line\n"); err != nil {
			c.Fatal(err)
		}
		line := make([]byte, len("got a line\n"))
		if _, err := io.ReadFull(out, line); err != nil {
			c.Fatal(err)
		}
		c.equal("line", string(line), "got a line\n")
	}},
	{"NullIO", func(c *ctr) {
		c.detach(`exec sleep 1000`, "--null-io")
		for fd := range 3 {
			target, err := os.Readlink(c.proc(fmt.Sprintf("fd/%d", fd)))
			if err != nil {
				c.Fatal(err)
			}
			c.equal(fmt.Sprintf("descriptor %d", fd), target, "/dev/null")
		}
	}},
	{"Descriptors", func(c *ctr) {
		c.detach(`exec sleep 1000`)
		fds, err := os.ReadDir(c.proc("fd"))
		if err != nil {
			c.Fatal(err)
		}
		if len(fds) != 3 {
			c.Errorf("%d descriptors: %v", len(fds), fds)
		}
	}},
	{"PidFile", func(c *ctr) {
		file := filepath.Join(tempDir(c.T), "pid")
		c.detach(`exec sleep 1000`, "--pid-file", file)
		c.equal("pid", readFile(c.T, file), fmt.Sprint(c.pid()))
	}},
}
