package library

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/libcontainer"
)

// Goroutines make containers at once, each with streams of its own, and nothing of one is seen by another.
func TestMany(t *testing.T) {
	h := newHost(t)
	var all sync.WaitGroup
	for range 12 {
		id, dir := h.bundle(`read line; echo "$line"; echo err >&2; cat /proc/self/cgroup; ls /proc/self/fd; exit 7`)
		in, out, failure := h.pipe(), h.pipe(), h.pipe()
		all.Go(func() {
			ctx := t.Context()
			c, err := libcontainer.Create(ctx, h.root, id, dir, libcontainer.Streams(in.r, out.w, failure.w))
			if err == nil {
				err = c.Start(ctx)
			}
			if err != nil {
				t.Errorf("%s: %v", id, err)
				return
			}
			if _, err := in.w.WriteString(id + "\n"); err != nil {
				t.Error(err)
			}
			in.Close()
			if status, err := c.Wait(ctx); err != nil || status.ExitStatus() != 7 {
				t.Errorf("%s: ended with %d, %v", id, status.ExitStatus(), err)
			}
			if _, err := c.Wait(ctx); err != libcontainer.ErrNotRunning {
				t.Errorf("%s: waited for once more: %v", id, err)
			}
			if err := c.Delete(); err != nil {
				t.Error(err)
			}
			text := h.text(out)
			for _, want := range []string{id + "\n", h.cgroup() + "/" + id + "\n", "\n0\n1\n2\n3\n"} { // 3: the directory itself
				if !strings.Contains(text, want) {
					t.Errorf("%s: no %q in %q", id, want, text)
				}
			}
			if got := h.text(failure); got != "err\n" {
				t.Errorf("%s: standard error is %q", id, got)
			}
		})
	}
	all.Wait()
}

// Of goroutines that wait for one container one is told how it has ended.
func TestWaitTogether(t *testing.T) {
	h := newHost(t)
	id, dir := h.bundle("read line; exit 3")
	in := h.pipe()
	c, err := libcontainer.Create(t.Context(), h.root, id, dir, libcontainer.Streams(in.r, nil, nil))
	h.must(err)
	h.must(c.Start(t.Context()))
	var all sync.WaitGroup
	var told atomic.Int32
	for range 16 {
		all.Go(func() {
			switch status, err := c.Wait(t.Context()); {
			case err == nil && status.ExitStatus() == 3:
				told.Add(1)
			case err != libcontainer.ErrNotRunning:
				t.Errorf("ended with %d, %v", status.ExitStatus(), err)
			}
		})
	}
	in.Close()
	all.Wait()
	if n := told.Load(); n != 1 {
		t.Errorf("%d were told", n)
	}
	h.must(c.Delete())
}

// run makes a container that runs, and is deleted with the test.
func (h *host) run(script string, edits ...func(*specs.Spec)) *libcontainer.Container {
	h.Helper()
	id, dir := h.bundle(script, edits...)
	c, err := libcontainer.Create(h.Context(), h.root, id, dir)
	h.must(err)
	h.Cleanup(func() { h.remove(c) })
	h.must(c.Start(h.Context()))
	return c
}

// remove deletes a container and reaps its init.
func (h *host) remove(c *libcontainer.Container) {
	h.Helper()
	if err := c.Delete(); err != nil {
		h.Error(err)
	}
	if status, err := c.Wait(context.Background()); err != nil || status.Signal() != unix.SIGKILL {
		h.Errorf("%s ended with %v, %v", c.ID(), status, err)
	}
}

// Goroutines run programs in one container at once, each with a Container and streams of its own.
func TestExec(t *testing.T) {
	h := newHost(t)
	c := h.run("exec sleep 1000")
	var all sync.WaitGroup
	for range 8 {
		in, out := h.pipe(), h.pipe()
		all.Go(func() {
			c, err := libcontainer.Load(h.root, c.ID())
			if err != nil {
				t.Error(err)
				return
			}
			p := &specs.Process{Args: []string{"/bin/cat"}, Cwd: "/"}
			running, err := c.Exec(t.Context(), p, libcontainer.Streams(in.r, out.w, nil))
			if err != nil {
				t.Error(err)
				return
			}
			defer running.Release()
			if _, err := in.w.WriteString("hello"); err != nil {
				t.Error(err)
			}
			in.Close()
			if status := running.Wait(); status != 0 {
				t.Errorf("cat ended with %v", status)
			}
			if got := h.text(out); got != "hello" {
				t.Errorf("cat wrote %q", got)
			}
		})
	}
	all.Wait()
}

// A loaded container does what the one that Create returns does, and only that one can be waited for with a status.
func TestLoaded(t *testing.T) {
	h := newHost(t)
	made := h.run("exec sleep 1000", func(s *specs.Spec) {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	})
	all, broken, err := libcontainer.List(h.root)
	if err != nil || len(broken) > 0 || len(all) != 1 || all[0].ID() != made.ID() {
		t.Fatalf("%v %v %v", all, broken, err)
	}
	c := all[0]
	limit := int64(20)
	h.must(c.Update(&specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &limit}}, nil))
	stats, err := made.Stats()
	if err != nil || stats.Pids.Limit != 20 || stats.Pids.Current != 1 {
		t.Errorf("%+v, %v", stats, err)
	}
	h.must(c.Pause())
	if got := made.Status(); got != libcontainer.Paused {
		t.Errorf("status %s", got)
	}
	h.must(made.Resume())
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := c.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waited: %v", err)
	}
}

// CGP-02: an init that is frozen cannot go on, whoever starts it.
func TestStartFrozen(t *testing.T) {
	h := newHost(t)
	id, dir := h.bundle("true")
	c, err := libcontainer.Create(t.Context(), h.root, id, dir)
	h.must(err)
	defer h.remove(c)
	file, value := filepath.Join(c.State().Cgroup.Paths["freezer"], "freezer.state"), "FROZEN"
	if v1 := c.State().Cgroup.Paths["freezer"]; v1 == "" {
		file, value = filepath.Join(c.State().Cgroup.Paths[""], "cgroup.freeze"), "1"
	}
	h.must(os.WriteFile(file, []byte(value), 0))
	if err := c.Start(t.Context()); err != libcontainer.ErrStartPaused {
		t.Errorf("started: %v", err)
	}
}

// Who gives up while a hook hangs has no container, and no file that is closed becomes a stream.
func TestRefused(t *testing.T) {
	h := newHost(t)
	id, dir := h.bundle("true", func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sleep", Args: []string{"sleep", "1000"}}}}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := libcontainer.Create(ctx, h.root, id, dir); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("made: %v", err)
	}
	closed := h.pipe()
	closed.Close()
	_, err := libcontainer.Create(t.Context(), h.root, id, dir, libcontainer.Streams(nil, closed.w, nil))
	if err == nil || !strings.Contains(err.Error(), "stream 1 of the program: stat |1: bad file descriptor") {
		t.Errorf("made: %v", err)
	}
}
