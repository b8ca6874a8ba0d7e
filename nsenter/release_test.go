package nsenter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// gates are the two fifos of a container that waits to be started.
type gates struct{ gate, verdict string }

func newGates(t *testing.T) gates {
	t.Helper()
	dir := t.TempDir()
	g := gates{filepath.Join(dir, "gate"), filepath.Join(dir, "verdict")}
	for _, name := range []string{g.gate, g.verdict} {
		if err := unix.Mkfifo(name, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// release is a last phase: the steps before the wait, the wait, the steps after it.
func (g gates) release(before, after []plan.Step) *plan.Phase {
	p := &plan.Phase{Name: "release"}
	p.Add(plan.Keep{From: p.Take(file(g.gate)), As: plan.Gate}, plan.Keep{From: p.Take(file(g.verdict)), As: plan.Verdict})
	p.Add(before...)
	p.Add(plan.AwaitStart{})
	p.Add(after...)
	return p
}

// start opens the gate and returns what the verdict fifo says until its end.
func (g gates) start(t *testing.T) []byte {
	t.Helper()
	verdict, err := os.OpenFile(g.verdict, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer verdict.Close()
	gate, err := os.OpenFile(g.gate, os.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Close()
	if _, err := gate.Write([]byte{plan.StartByte}); err != nil {
		t.Fatal(err)
	}
	if err := verdict.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(verdict)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestRelease waits for start, and becomes the program with nothing but the standard streams open.
func TestRelease(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			g, out := newGates(t), filepath.Join(t.TempDir(), "out")
			if err := os.WriteFile(out, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			c := pack(t, kind.user, 0).Child
			p := g.release([]plan.Step{plan.Umask{Mask: 0o123}}, nil)
			stdout := p.Take(file(out))
			p.Add(records(func(l *plan.Lowering) { l.Call(unix.SYS_DUP3, plan.Value(stdout), plan.Imm(1), plan.Imm(0)) }),
				plan.CloseOnExec{First: 3},
				plan.Exec{Path: "/bin/sh", Args: []string{"sh", "-c", "umask; echo $0 $# $K; ls /proc/$$/fd; exit 3", "name", "a", ""}, Env: []string{"K=v"}})
			if err := c.Finish(p); err != nil {
				t.Fatal(err)
			}
			expect(t, c, map[string]string{"Umask": "0123"})
			if text, err := os.ReadFile(out); err != nil || len(text) != 0 {
				t.Errorf("it has not waited: %q, %v", text, err)
			}
			if answer := g.start(t); len(answer) != 0 {
				t.Errorf("the verdict is %d bytes", len(answer))
			}
			if status := c.Wait(); status.ExitStatus() != 3 {
				t.Errorf("status %#x", status)
			}
			text, err := os.ReadFile(out)
			if want := "0123\nname 2 v\n0\n1\n2\n"; err != nil || string(text) != want {
				t.Errorf("the program said %q, %v; want %q", text, err, want)
			}
		})
	}
}

// TestReleaseFails answers through the verdict fifo, once the gate is open.
func TestReleaseFails(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/text", []byte("hello"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/script", []byte("#!/none\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path  string
		errno unix.Errno
	}{{"/none", unix.ENOENT}, {"/etc", unix.EACCES}, {dir + "/text", unix.ENOEXEC}, {dir + "/script", unix.ENOENT}} {
		t.Run(fmt.Sprint(test.path), func(t *testing.T) {
			g := newGates(t)
			c := launch(t, 0)
			p := g.release(nil, []plan.Step{plan.NoNewPrivs{}, plan.CloseOnExec{First: 3}, plan.Exec{Path: test.path, Args: []string{"x"}}})
			if err := c.Finish(p); err != nil {
				t.Fatal(err)
			}
			answer := g.start(t)
			if len(answer) != answerSize {
				t.Fatalf("the answer has %d bytes, not %d", len(answer), answerSize)
			}
			index, errno := binary.NativeEndian.Uint32(answer), unix.Errno(binary.NativeEndian.Uint32(answer[4:]))
			if step, last := plan.TailOf(p).At(int(index)); !last || errno != test.errno {
				t.Errorf("%s fails with %v, want %v of the exec", step, errno, test.errno)
			}
			const lastWord = 121 // player.c
			if status := c.Wait(); status.ExitStatus() != lastWord {
				t.Errorf("status %#x", status)
			}
		})
	}
}

// TestFinishFails reports what goes wrong before the gate, like any phase.
func TestFinishFails(t *testing.T) {
	exec := []plan.Step{plan.Exec{Path: "/bin/true", Args: []string{"true"}}}
	g := newGates(t)
	c := launch(t, 0)
	var e *plan.StepError
	err := c.Finish(g.release([]plan.Step{plan.Chdir{At: plan.Path{Root: plan.Gate, Name: "/"}}}, exec))
	if !errors.As(err, &e) || e.Errno != unix.ENOTDIR {
		t.Errorf("got %v", err)
	}
	if status := c.Wait(); status.ExitStatus() != 120 {
		t.Errorf("nothing told it to end: %#x", status)
	}
	c = launch(t, 0)
	err = c.Finish(&plan.Phase{Name: "release", Steps: []plan.Step{plan.Umask{}}})
	if err == nil || !strings.Contains(err.Error(), "without waiting for start") {
		t.Errorf("got %v", err)
	}
	c = launch(t, 0)
	if _, err := c.Run(g.release(nil, exec)); !errors.Is(err, errReady) {
		t.Errorf("got %v", err)
	}
}

// TestFinished outlives its parent's descriptors: another process starts it.
func TestFinished(t *testing.T) {
	g := newGates(t)
	c := launch(t, 0)
	if err := c.Finish(g.release(nil, []plan.Step{plan.Exec{Path: "/bin/true", Args: []string{"true"}}})); err != nil {
		t.Fatal(err)
	}
	if c.socket != -1 {
		t.Error("the socket is still open")
	}
	if pid, err := unix.Wait4(c.Pid, nil, unix.WNOHANG, nil); pid != 0 || err != nil {
		t.Fatalf("it is gone: %d, %v", pid, err)
	}
	const limit = 64
	if rss := rollup(t, c, "Rss"); rss >= limit {
		t.Errorf("%d KiB resident", rss)
	}
	if answer := g.start(t); len(answer) != 0 {
		t.Errorf("%d bytes", len(answer))
	}
	if status := c.Wait(); !status.Exited() || status.ExitStatus() != 0 {
		t.Errorf("status %#x", status)
	}
}
