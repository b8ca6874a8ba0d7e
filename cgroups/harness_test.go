package cgroups

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// nothingLeft checks that the test has removed its cgroups, and does it.
func nothingLeft(t *testing.T, l Layout) {
	g := newGroup(t, l, testRoot)
	for _, path := range g.Paths() {
		if exists(path) {
			t.Errorf("%s is left", path)
			g.created = append(g.created, path)
		}
	}
	if err := errors.Join(g.Kill(unix.SIGKILL), g.Remove()); err != nil {
		t.Error(err)
	}
}

// planAndCreate makes a group's directories.
func planAndCreate(g *Group, writes []Write) error {
	if _, err := g.Plan(); err != nil {
		return err
	}
	return g.Create(writes)
}

// create makes a group that is killed and removed with the test.
func create(t *testing.T, l Layout, path string, writes ...Write) *Group {
	t.Helper()
	g := newGroup(t, l, testRoot+path)
	if err := planAndCreate(g, writes); err != nil {
		t.Fatal(err)
	}
	return g
}

// end kills and removes a group.
func end(t *testing.T, g *Group) {
	t.Helper()
	if err := g.Kill(unix.SIGKILL); err != nil {
		t.Error(err)
	}
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
}

// child is a shell that has joined a group, and goes on with a script.
type child struct {
	*exec.Cmd
	out  *bufio.Reader
	in   io.Writer
	dead chan struct{} // closed when it has been waited for
}

// join starts a child as the runtime does: it writes 0 to v1's tasks by
// itself, and is born into the v2 tree.
func join(t *testing.T, g *Group, script string) *child {
	t.Helper()
	args := append([]string{"-c", `for f; do echo 0 > "$f" || exit 1; done; echo in; ` + script, "sh"}, g.TasksFiles()...)
	c := &child{Cmd: exec.Command("sh", args...), dead: make(chan struct{})}
	if dir := g.V2Dir(); dir != "" {
		fd, err := openFile(dir, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout, c.out = w, bufio.NewReader(r)
	stdin, err := c.StdinPipe() // for a script that waits by read
	if err != nil {
		t.Fatal(err)
	}
	c.in = stdin
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	go func() {
		c.Wait()
		close(c.dead)
	}()
	t.Cleanup(func() {
		c.Process.Kill()
		<-c.dead
		stdin.Close()
		r.Close()
	})
	if line := c.line(t); line != "in" {
		t.Fatalf("the child said %q", line)
	}
	return c
}

func (c *child) line(t *testing.T) string {
	t.Helper()
	line, err := c.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\n")
}

func expectProcs(t *testing.T, g *Group, want ...int) {
	t.Helper()
	slices.Sort(want)
	if got, err := g.Procs(); err != nil || !slices.Equal(got, want) {
		t.Errorf("processes %v, %v; want %v", got, err, want)
	}
}

func expectFreezer(t *testing.T, g *Group, want Freezer) {
	t.Helper()
	if got, err := g.Freezer(); err != nil || got != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

// expectFiles checks the contents of files, named controller/file.
func expectFiles(t *testing.T, g *Group, want map[string]string) {
	t.Helper()
	for name, content := range want {
		controller, file, _ := strings.Cut(name, "/")
		dir, err := g.dirOf(controller)
		if err != nil {
			t.Error(err)
			continue
		}
		got, err := readFile(dir + "/" + file)
		if got = strings.TrimSpace(got); err != nil || got != content {
			t.Errorf("%s: %q, %v; want %q", file, got, err, content)
		}
	}
}

func compile(t *testing.T, g *Group, r specs.LinuxResources) []Write {
	t.Helper()
	writes, _, err := Compile(g.Mode(), &r)
	if err != nil {
		t.Fatal(err)
	}
	return writes
}

// onThread runs f on a thread that ends with it, so that f may change it.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer close(done)
		f()
	}()
	<-done
}
