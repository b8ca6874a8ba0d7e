package managers

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is how long a command, or something that is waited for, may take.
// It is no measurement: an emulated machine takes half a minute to start a container.
const patience = 5 * time.Minute

// call is one command line.
type call struct {
	line  []string
	stdin string   // read through a pipe; empty: /dev/null
	env   []string // added to the environment of the tests
	dir   string
}

// result is what a command did.
type result struct {
	stdout, stderr string
	code           int // 128+n when killed by signal n
}

// run runs a command to its end. What it starts in the background may keep
// its streams: they are files.
func (c call) run(t *testing.T) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.line[0], c.line[1:]...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), c.env...)
	if c.stdin != "" {
		cmd.Stdin = strings.NewReader(c.stdin)
	}
	dir := tempDir(t)
	stdout, stderr := createFile(t, filepath.Join(dir, "stdout")), createFile(t, filepath.Join(dir, "stderr"))
	defer stdout.Close()
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Fatalf("%s: no end within %v\n%s", strings.Join(c.line, " "), patience, readFile(t, stderr.Name()))
	case err != nil && !errors.As(err, &exit):
		t.Fatalf("%s: %v", strings.Join(c.line, " "), err)
	}
	return result{readFile(t, stdout.Name()), readFile(t, stderr.Name()), exitCode(cmd.ProcessState)}
}

// succeed runs a command that must succeed, and returns its standard output
// without blanks around it.
func (c call) succeed(t *testing.T) string {
	t.Helper()
	res := c.run(t)
	if res.code != 0 {
		t.Fatalf("%s: exit %d\nstdout: %s\nstderr: %s", strings.Join(c.line, " "), res.code, res.stdout, res.stderr)
	}
	return strings.TrimSpace(res.stdout)
}

// with returns the command with a standard input.
func (c call) with(stdin string) call {
	c.stdin = stdin
	return c
}

// refuse runs a command that must fail, with all the texts in its error.
func (c call) refuse(t *testing.T, want ...string) {
	t.Helper()
	res := c.run(t)
	if res.code == 0 {
		t.Errorf("%s: succeeded", strings.Join(c.line, " "))
	}
	for _, w := range want {
		if !strings.Contains(res.stderr, w) {
			t.Errorf("%s: the error lacks %q: %s", strings.Join(c.line, " "), w, res.stderr)
		}
	}
}

// run runs a command that must succeed.
func run(t *testing.T, line ...string) string {
	t.Helper()
	return call{line: line}.succeed(t)
}

// eventually polls until ok holds, where nothing tells when it does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen within %v: %s", patience, what)
		}
	}
}

// tempDir makes a directory below scratch. The paths of testing's own are too
// long for sockets and for mount options.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(scratch, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

func createFile(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// readFile returns what is in a file, without blanks around it.
func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}
