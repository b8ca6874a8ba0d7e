// Package library uses libcontainer as an importer does: many containers in one process, from many goroutines.
package library

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/spec"
)

// host is where containers are made, and where nothing of them may be left.
type host struct {
	*testing.T
	root   string // of all state
	rootfs string
	made   atomic.Int32
	before []string
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{T: t, root: t.TempDir(), rootfs: filepath.Join(t.TempDir(), "rootfs")}
	busybox, err := exec.LookPath("busybox")
	h.must(err)
	program, err := os.ReadFile(busybox)
	h.must(err)
	bin := filepath.Join(h.rootfs, "bin")
	h.must(os.MkdirAll(bin, 0o755))
	h.must(os.WriteFile(filepath.Join(bin, "busybox"), program, 0o755))
	for _, name := range []string{"sh", "cat", "ls", "sleep"} {
		h.must(os.Symlink("busybox", filepath.Join(bin, name)))
	}
	h.pipe().Close() // the first one makes Go open its poller
	h.before = h.own()
	t.Cleanup(h.checkNothingLeft)
	return h
}

func (h *host) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// own lists what this process has: descriptors, namespaces of each of its threads, mounts.
func (h *host) own() []string {
	h.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	h.must(err)
	has := []string{fmt.Sprint(len(fds), " descriptors")}
	links, err := filepath.Glob("/proc/self/task/*/ns/*")
	h.must(err)
	seen := map[string]bool{}
	for _, link := range links {
		if ns, err := os.Readlink(link); err == nil && !seen[ns] { // else the thread has ended
			seen[ns] = true
			has = append(has, ns)
		}
	}
	return has
}

// checkNothingLeft looks for what containers that are gone have left.
func (h *host) checkNothingLeft() {
	if after := h.own(); strings.Join(after, "\n") != strings.Join(h.before, "\n") {
		h.Errorf("this process had %q, and has %q", h.before, after)
	}
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		h.Errorf("there still is a child, %d (%v)", pid, err)
	}
	left, err := os.ReadDir(h.root)
	h.must(err)
	cgroups, err := filepath.Glob("/sys/fs/cgroup/*" + h.cgroup())
	h.must(err)
	if len(left) > 0 || len(cgroups) > 0 {
		h.Errorf("left: %v %v", left, cgroups)
	}
}

func (h *host) cgroup() string { return fmt.Sprintf("/skep-test-library-%d", os.Getpid()) }

// bundle makes a bundle of its own for a shell script.
func (h *host) bundle(script string, edits ...func(*specs.Spec)) (id, dir string) {
	h.Helper()
	id = fmt.Sprint("c", h.made.Add(1))
	s := spec.Example(spec.ExampleOptions{})
	s.Root = &specs.Root{Path: h.rootfs, Readonly: true}
	s.Process.Terminal, s.Process.Args = false, []string{"/bin/sh", "-c", script}
	s.Linux.CgroupsPath = h.cgroup() + "/" + id
	for _, e := range edits {
		e(s)
	}
	config, err := json.Marshal(s)
	h.must(err)
	dir = h.TempDir()
	h.must(os.WriteFile(filepath.Join(dir, "config.json"), config, 0o600))
	return id, dir
}

// stream is a pipe, of which a container gets one end.
type stream struct{ r, w *os.File }

func (h *host) pipe() *stream {
	h.Helper()
	r, w, err := os.Pipe()
	h.must(err)
	return &stream{r, w}
}

func (s *stream) Close() {
	s.r.Close()
	s.w.Close()
}

// text is all that was written, once everybody who might write has ended.
func (h *host) text(s *stream) string {
	h.Helper()
	s.w.Close()
	defer s.r.Close()
	all, err := io.ReadAll(s.r)
	if err != nil {
		h.Error(err)
	}
	return string(all)
}
