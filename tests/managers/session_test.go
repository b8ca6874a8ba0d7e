package managers

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/console"
)

// session is a program that a test talks to while it runs: on a terminal, or
// through pipes.
type session struct {
	t        *testing.T
	cmd      *exec.Cmd
	in       io.WriteCloser
	terminal console.Console // nil: pipes
	out      *transcript     // both streams
	exited   chan struct{}   // closed at the end of the program and of its output
}

// onTerminal starts a program on a terminal of its own.
func onTerminal(t *testing.T, size console.WinSize, line ...string) *session {
	t.Helper()
	master, name, err := console.NewPty()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := master.Resize(size); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	s := &session{t: t, cmd: cmd, in: master, terminal: master}
	s.start(master)
	return s
}

// onPipes starts a program with pipes for its streams.
func onPipes(t *testing.T, line ...string) *session {
	t.Helper()
	cmd := exec.Command(line[0], line[1:]...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	cmd.Stdout, cmd.Stderr = w, w
	s := &session{t: t, cmd: cmd, in: in}
	s.start(out)
	return s
}

func (s *session) start(out io.ReadCloser) {
	s.t.Helper()
	s.out = newTranscript()
	exited, err := follow(s.cmd, out, s.out)
	if err != nil {
		s.t.Fatal(err)
	}
	s.exited = exited
	s.t.Cleanup(s.kill)
}

// follow starts a program and copies what arrives at out. The channel is
// closed at the end of both.
func follow(cmd *exec.Cmd, out io.ReadCloser, to io.Writer) (exited chan struct{}, err error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	drained, exited := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(drained)
		defer out.Close()
		_, _ = io.Copy(to, out) // a terminal ends with EIO
	}()
	go func() {
		defer close(exited)
		_ = cmd.Wait() // exitCode tells
		select {
		case <-drained:
		case <-time.After(10 * time.Second): // somebody else keeps the stream
		}
	}()
	return exited, nil
}

// send types a text.
func (s *session) send(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.in, text); err != nil {
		s.t.Fatal(err)
	}
}

// await waits until the program has written all the texts, in this order,
// since the end of the last await.
func (s *session) await(texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		if !s.out.await(text, s.exited) {
			s.t.Fatalf("%s: did not write %q, but: %s", strings.Join(s.cmd.Args, " "), text, s.out)
		}
	}
}

// wait waits for the end of the program and returns its exit code.
func (s *session) wait() int {
	s.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(patience):
		s.t.Fatalf("%s: no end within %v: %s", strings.Join(s.cmd.Args, " "), patience, s.out)
	}
	return exitCode(s.cmd.ProcessState)
}

func (s *session) kill() {
	_ = s.cmd.Process.Kill() // gone already is as good
	<-s.exited
}

// exitCode is what a shell would say.
func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

// transcript is output that can be waited for.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder
	seen int           // how much of text the awaits have consumed
	more chan struct{} // closed and replaced at each write
}

func newTranscript() *transcript { return &transcript{more: make(chan struct{})} }

func (tr *transcript) Write(p []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	close(tr.more)
	tr.more = make(chan struct{})
	return tr.text.Write(p)
}

func (tr *transcript) String() string { return tr.since(0) }

// since returns what follows the first bytes.
func (tr *transcript) since(offset int) string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.text.String()[offset:]
}

func (tr *transcript) length() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.text.Len()
}

// await reports whether text comes after what was seen, within patience and
// before the writer has ended.
func (tr *transcript) await(text string, ended <-chan struct{}) bool {
	limit := time.After(patience)
	for last := false; ; {
		tr.mu.Lock()
		all, more := tr.text.String(), tr.more
		if i := strings.Index(all[tr.seen:], text); i >= 0 {
			tr.seen += i + len(text)
			tr.mu.Unlock()
			return true
		}
		tr.mu.Unlock()
		if last {
			return false
		}
		select {
		case <-more:
		case <-ended:
			last = true // look once more
		case <-limit:
			return false
		}
	}
}
