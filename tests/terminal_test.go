package tests

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newPty makes a terminal such as the one in which a user sits.
func newPty(t *testing.T) (master, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	master = os.NewFile(uintptr(fd), "pty master")
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(int(n)), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

func setSize(t *testing.T, f *os.File, rows, cols uint16) {
	t.Helper()
	raw, err := f.SyscallConn() // Fd would make it blocking, and reads without an end
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		if err := unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols}); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// session is a command of the runtime in a terminal of its own, as a shell starts it.
type session struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd
}

// inTerminal starts one with the given streams; nil means the terminal.
func (r *ociRuntime) inTerminal(stdin, stdout *os.File, arguments ...string) *session {
	r.t.Helper()
	master, slave := newPty(r.t)
	setSize(r.t, master, 40, 120)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	r.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, r.binary, append([]string{"--root", r.root}, arguments...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 2}
	if stdin != nil {
		cmd.Stdin = stdin
	}
	if stdout != nil {
		cmd.Stdout = stdout
	}
	if err := startChild(cmd); err != nil {
		r.t.Fatal(err)
	}
	return &session{r.t, master, cmd}
}

// end waits for the command and returns its exit status.
func (s *session) end() int {
	s.t.Helper()
	_ = waitChild(s.cmd)
	return s.cmd.ProcessState.ExitCode()
}

func (s *session) typeIn(text string) {
	s.t.Helper()
	if _, err := s.master.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

// The user's terminal becomes the container's: sizes, keys that are signals, exit status.
func TestForegroundTerminal(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, terminal(`stty size; trap "echo resized; stty size" WINCH; trap "echo interrupted; exit 7" INT
		read line; echo "read $line"; while :; do sleep 0.05; done`))
	s := r.inTerminal(nil, nil, r.runLine(b)...)
	readUntil(t, s.master, "40 120\n")
	s.typeIn("hello\n")
	readUntil(t, s.master, "read hello\n")
	setSize(t, s.master, 50, 90)
	readUntil(t, s.master, "resized\n50 90\n")
	s.typeIn("\x03")
	readUntil(t, s.master, "interrupted\n")
	if code := s.end(); code != 7 {
		t.Errorf("exit %d, want 7", code)
	}
}

// A shell's background job stops where it needs the terminal, and goes on in the foreground.
func TestTerminalInBackground(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, terminal("echo here; exit 3"))
	line := append([]string{r.binary, "--root", r.root}, r.runLine(b)...)
	master, slave := newPty(t)
	cmd := exec.Command("sh", append([]string{"-mc", `"$@" & wait $!; echo "job: $?"; fg; exit $?`, "shell"}, line...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := startChild(cmd); err != nil {
		t.Fatal(err)
	}
	readUntil(t, master, "job: "+strconv.Itoa(128+int(unix.SIGTTOU))+"\n")
	readUntil(t, master, "here\n")
	if _ = waitChild(cmd); cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("exit %d, want 3", cmd.ProcessState.ExitCode())
	}
}

// What skep has done to the user's terminal is undone, whether the program ends or skep fails.
func TestTerminalIsGivenBack(t *testing.T) {
	r := newRuntime(t)
	for _, b := range []bundle{newBundle(t, terminal("exit 3")), newBundle(t, terminal("true"), args("nosuch"))} {
		master, slave := newPty(t)
		before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(r.binary, append([]string{"--root", r.root}, r.runLine(b)...)...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
		go func() { _, _ = io.Copy(io.Discard, master) }()
		if err := startChild(cmd); err != nil {
			t.Fatal(err)
		}
		if waitChild(cmd) == nil {
			t.Error("exit 0")
		}
		after, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		if *before != *after {
			t.Errorf("the terminal was %+v and is %+v", *before, *after)
		}
	}
}

// The terminal is the program's only while that runs: a key interrupts the hook that hangs before or after it.
func TestTerminalDuringHooks(t *testing.T) {
	for _, test := range []struct {
		list int
		want string
	}{
		{4, "interrupted by SIGINT"}, // poststart
		{5, ""},                      // poststop: skep has nothing to undo any more, and ends by the signal
	} {
		l := hookLists()[test.list]
		t.Run(l.name, func(t *testing.T) {
			r := newRuntime(t)
			b := newBundle(t, terminal("echo done"))
			out := filepath.Join(tempDir(t), "pid")
			addHooks(b, l, shHook("echo $$ >"+out+"; exec sleep 1000"))
			s := r.inTerminal(nil, nil, r.runLine(b)...)
			eventually(t, "the hook runs", func() bool { raw, _ := os.ReadFile(out); return len(raw) > 0 })
			s.typeIn("\x03")
			readUntil(t, s.master, test.want)
			_ = waitChild(s.cmd)
			ended := s.cmd.ProcessState.Sys().(syscall.WaitStatus)
			if test.want != "" {
				if ended.ExitStatus() != 1 {
					t.Errorf("skep has ended with %#x", ended)
				}
				return
			}
			if ended.Signal() != unix.SIGINT {
				t.Errorf("skep has ended with %#x", ended)
			}
			pid, err := strconv.Atoi(strings.TrimSpace(readFile(t, out)))
			if err != nil {
				t.Fatal(err)
			}
			if err := unix.Kill(pid, unix.SIGKILL); err != nil {
				t.Error(err)
			}
		})
	}
}

// counter prints numbered lines, of 100 bytes with the newline: 100 MB of them.
const (
	counterLines  = 1_000_000
	counterScript = `awk 'BEGIN { for (i = 0; i < 1000000; i++) printf "%099d\n", i }'`
)

// wantCounter reads what counterScript prints and fails at the first byte that is not in its place.
func wantCounter(t *testing.T, from io.Reader, newline string) {
	t.Helper()
	in := bufio.NewReaderSize(from, 1<<20)
	for i := range counterLines {
		line, err := in.ReadString('\n')
		if want := fmt.Sprintf("%099d", i) + newline; line != want || err != nil {
			t.Fatalf("line %d is %q, %v", i, line, err)
		}
	}
	if rest, err := in.ReadString('\n'); rest != "" {
		t.Errorf("and then %q, %v", rest, err)
	}
}

// 100 MB pass through a pipe and through a terminal as they are, also to a reader that is slower than a terminal's
// buffer, and not a byte is lost at the end.
func TestStreamsKeepEveryByte(t *testing.T) {
	tests := []struct {
		name    string
		edit    edit
		newline string
	}{
		{"pipe", args("/bin/sh", "-c", counterScript), "\n"},
		{"terminal", terminal(counterScript), "\r\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRuntime(t)
			out, in, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			s := r.inTerminal(nil, in, r.runLine(newBundle(t, test.edit))...)
			in.Close()
			wantCounter(t, out, test.newline)
			if code := s.end(); code != 0 {
				t.Errorf("exit %d", code)
			}
		})
	}
}

// A reader that rests until long after the program has ended gets the last of what it printed.
func TestTerminalSlowReader(t *testing.T) {
	r := newRuntime(t)
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	const size = 70_000 // more than the pipe holds, less than pipe and terminal together
	b := newBundle(t, terminal("head -c "+strconv.Itoa(size)+" /dev/zero; touch /ended"))
	s := r.inTerminal(nil, in, r.runLine(b)...)
	in.Close()
	eventually(t, "the program has ended", func() bool { return b.exists("ended") })
	time.Sleep(2 * time.Second) // longer than the runtime would wait for a silent terminal
	if got, err := io.Copy(io.Discard, out); got != size || err != nil {
		t.Errorf("%d bytes of %d, %v", got, size, err)
	}
	if code := s.end(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// A reader that goes away hangs the container's terminal up, and nothing is left.
func TestTerminalReaderGoesAway(t *testing.T) {
	r := newRuntime(t)
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := r.inTerminal(nil, in, r.runLine(newBundle(t, terminal("exec yes")))...)
	in.Close()
	if _, err := io.ReadFull(out, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	out.Close()
	if code := s.end(); code != 128+int(unix.SIGHUP) && code != 1 {
		t.Errorf("exit %d: neither ended by SIGHUP nor by a failed write", code)
	}
}

// Standard input is the caller's own: its end is seen, and what comes after the program's end is left to the caller.
func TestRunHalfClose(t *testing.T) {
	r := newRuntime(t)
	script := `wc -c; echo "still here"`
	res := r.call(call{args: r.runLine(newBundle(t, args("/bin/sh", "-c", script))), stdin: strings.Repeat("x", 100_000)})
	if res.code != 0 || res.stdout != "100000\nstill here\n" {
		t.Errorf("exit %d: %q %s", res.code, res.stdout, res.stderr)
	}
	input := filepath.Join(tempDir(t), "input")
	writeFile(t, input, "first\nsecond\n")
	file, err := os.Open(input)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	s := r.inTerminal(file, nil, r.runLine(newBundle(t, args("/bin/dd", "bs=6", "count=1")))...)
	if code := s.end(); code != 0 {
		t.Errorf("exit %d", code)
	}
	if rest, err := io.ReadAll(file); string(rest) != "second\n" {
		t.Errorf("left for the caller: %q, %v", rest, err)
	}
}
