package tests

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// criuWorks tells whether the machine's criu knows its kernel. The check of version 3 does not see that it cannot dump
// the network of Linux 6.12.
func criuWorks() bool {
	version, err := exec.Command("criu", "--version").Output()
	if err != nil || bytes.HasPrefix(version, []byte("Version: 3.")) && kernelIsAtLeast(6, 12) {
		return false
	}
	return exec.Command("criu", "check").Run() == nil
}

// counting is a container whose program counts in a file on a tmpfs, which is part of its checkpoint.
func counting(t *testing.T, edits ...edit) bundle {
	t.Helper()
	return newBundle(t, append([]edit{args("/bin/sh", "-c",
		"i=0; while :; do i=$((i+1)); echo $i >/dev/shm/new; mv /dev/shm/new /dev/shm/n; sleep 0.05; done")}, edits...)...)
}

// runCounting starts it without the files that tests otherwise give a container as its streams: criu dumps none that
// are outside.
func (r *ociRuntime) runCounting(b bundle) *container {
	r.t.Helper()
	return r.make(b, call{args: []string{"run", "--detach"}, wrap: []string{"/bin/sh", "-c", `exec "$@" >/dev/null 2>&1`, "sh"}})
}

// count is how far the program has got.
func (c *container) count() int {
	c.t.Helper()
	n, err := strconv.Atoi(c.exec("cat /dev/shm/n"))
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

// countsFrom waits until the program has got past a number.
func (c *container) countsFrom(n int) {
	c.t.Helper()
	eventually(c.t, "the program counts on from "+strconv.Itoa(n), func() bool { return c.count() > n })
}

func (c *container) checkpoint(images string, flags ...string) {
	c.t.Helper()
	c.ok(append(append([]string{"checkpoint", "--image-path", images}, flags...), c.id)...)
}

func (c *container) restore(images string, flags ...string) {
	c.t.Helper()
	c.ok(append(append([]string{"restore", "--detach", "--bundle", c.bundle.dir, "--image-path", images}, flags...), c.id)...)
	c.pid = c.state(c.id).Pid
}

// mountsInside lists what is mounted in the container, and how.
func (c *container) mountsInside() []string {
	c.t.Helper()
	var all []string
	for _, m := range parseMounts(readFile(c.t, procPath(c.pid, "mountinfo"))) {
		all = append(all, m.point+" "+m.fstype+" "+m.root)
	}
	slices.Sort(all)
	return all
}

// The container goes on where it was: memory, mounts, privileges, cgroup.
func TestCriuRestore(t *testing.T) {
	r := newRuntime(t)
	volume := tempDir(t)
	writeFile(t, filepath.Join(volume, "file"), "content\n")
	b := counting(t, mounts(specs.Mount{Destination: "/volume", Type: "bind", Source: volume, Options: []string{"bind"}}))
	c := r.runCounting(b)
	c.countsFrom(3)
	before, status := c.mountsInside(), statusFields(readFile(t, procPath(c.pid, "status")))
	limits, count := readFile(t, procPath(c.pid, "cgroup")), c.count()

	images := filepath.Join(tempDir(t), "images")
	c.checkpoint(images)
	r.fails("does not exist", "state", c.id)
	writeFile(t, filepath.Join(volume, "file"), "changed\n")
	c.restore(images)

	if got := c.status(); got != "running" {
		t.Fatalf("the container is %s", got)
	}
	c.countsFrom(count)
	if got := c.mountsInside(); !slices.Equal(got, before) {
		t.Errorf("mounts:\n%s\nbefore:\n%s", strings.Join(got, "\n"), strings.Join(before, "\n"))
	}
	want := make(map[string]string)
	for _, field := range []string{"Uid", "Gid", "Groups", "Umask", "NoNewPrivs", "Seccomp", "CapBnd", "CapEff", "CapPrm", "CapInh", "CapAmb"} {
		want[field] = status[field]
	}
	wantStatus(t, readFile(t, procPath(c.pid, "status")), want)
	if got := readFile(t, procPath(c.pid, "cgroup")); got != limits {
		t.Errorf("cgroups:\n%s\nbefore:\n%s", got, limits)
	}
	if got := c.exec("cat /volume/file; echo $$"); !strings.HasPrefix(got, "changed\n") {
		t.Errorf("the volume says %q", got)
	}
	c.stop()
	c.delete()
}

// A container that was started for a service manager goes on without one, and with one again.
func TestCriuNotifySocket(t *testing.T) {
	r := newRuntime(t)
	env := newServiceManager(t).env()
	c := r.make(counting(t), call{args: []string{"create"}, wrap: []string{"/bin/sh", "-c", `exec "$@" >/dev/null 2>&1`, "sh"}, env: env})
	c.start()
	c.countsFrom(3)
	before, images := c.mountsInside(), filepath.Join(tempDir(t), "images")
	for range 2 {
		c.checkpoint(images)
		c.restore(images)
		c.countsFrom(c.count())
		if got := c.mountsInside(); !slices.Equal(got, before) || !slices.ContainsFunc(got, func(m string) bool { return strings.HasPrefix(m, "/run/notify ") }) {
			t.Errorf("mounts:\n%s\nbefore:\n%s", strings.Join(got, "\n"), strings.Join(before, "\n"))
		}
	}
	c.stop()
	c.delete()
	// The images of a container that has no such place say nothing of it, whatever was there before.
	c = r.runCounting(counting(t))
	c.checkpoint(images)
	if _, err := os.Lstat(filepath.Join(images, "notify")); err == nil {
		t.Error("the images tell of a socket")
	}
	c.restore(images)
	c.stop()
	c.delete()
}

// containerd's client pauses a container, has it checkpointed, and resumes what is left.
func TestCriuPaused(t *testing.T) {
	r := newRuntime(t)
	c := r.runCounting(counting(t))
	c.countsFrom(1)
	c.ok("pause", c.id)
	images := tempDir(t)
	c.checkpoint(filepath.Join(images, "first"), "--leave-running")
	if got := c.status(); got != "paused" {
		t.Fatalf("the container is %s", got)
	}
	c.ok("resume", c.id)
	c.countsFrom(c.count())
	count := c.count()
	c.ok("pause", c.id)
	c.checkpoint(filepath.Join(images, "second"))
	r.fails("does not exist", "state", c.id)
	c.restore(filepath.Join(images, "second"))
	c.countsFrom(count) // restored, it runs
	c.stop()
	c.delete()
}

// One that stays is written as it is; memory may be written ahead.
func TestCriuAhead(t *testing.T) {
	r := newRuntime(t)
	c := r.runCounting(counting(t))
	c.countsFrom(1)
	dir := tempDir(t)
	c.checkpoint(filepath.Join(dir, "first"), "--pre-dump")
	c.countsFrom(c.count())
	c.checkpoint(filepath.Join(dir, "second"), "--leave-running", "--parent-path", "../first")
	if got := c.status(); got != "running" {
		t.Fatalf("the container is %s", got)
	}
	c.countsFrom(c.count())
	c.checkpoint(filepath.Join(dir, "third"), "--work-path", filepath.Join(dir, "work"))
	if _, err := os.Stat(filepath.Join(dir, "work/dump.log")); err != nil {
		t.Error(err)
	}
	c.restore(filepath.Join(dir, "third"))
	c.countsFrom(c.count())
	c.delete("--force")
}

// streaming starts a command whose output goes into a pipe, and nothing else.
func (r *ociRuntime) streaming(out *os.File, line ...string) *session {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	r.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, r.binary, append([]string{"--root", r.root}, line...)...)
	cmd.Stdout = out
	if err := startChild(cmd); err != nil {
		r.t.Fatal(err)
	}
	return &session{t: r.t, cmd: cmd}
}

// In the foreground the program's output goes on to the new caller, and its end is the command's.
func TestCriuForeground(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/sh", "-c", "trap 'exit 9' TERM; i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done"))
	images := filepath.Join(tempDir(t), "images")
	id := r.id()
	last := 0
	for step, line := range [][]string{
		{"run", "--bundle", b.dir, id},
		{"restore", "--bundle", b.dir, "--image-path", images, id},
	} {
		out, in, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		s := r.streaming(in, line...)
		in.Close()
		numbers := bufio.NewScanner(out)
		for n := 0; n < 5 && numbers.Scan(); n++ {
			number, err := strconv.Atoi(numbers.Text())
			if err != nil || number != last+1 {
				t.Fatalf("%q after %d", numbers.Text(), last)
			}
			last = number
		}
		if step == 0 {
			r.ok("checkpoint", "--image-path", images, id)
			for numbers.Scan() { // what was in the pipe
				last++
			}
			s.end()
		} else {
			r.ok("kill", id, "TERM")
			if code := s.end(); code != 9 {
				t.Errorf("exit %d, want 9", code)
			}
		}
		out.Close()
	}
}

// A terminal comes back by the console socket.
func TestCriuTerminal(t *testing.T) {
	r := newRuntime(t)
	path, accept := consoleSocket(t)
	b := newBundle(t, terminal("while read line; do echo got $line; done"))
	c := r.create(b, "--console-socket", path)
	_, master := accept()
	c.start()
	if _, err := master.WriteString("one\n"); err != nil {
		t.Fatal(err)
	}
	readUntil(t, master, "got one\n")
	images := filepath.Join(tempDir(t), "images")
	c.checkpoint(images, "--shell-job")
	c.restore(images, "--shell-job", "--console-socket", path)
	_, master = accept()
	if _, err := master.WriteString("two\n"); err != nil {
		t.Fatal(err)
	}
	readUntil(t, master, "got two\n")
	c.delete("--force")
}

// The network of another container is joined again.
func TestCriuJoinedNetwork(t *testing.T) {
	r := newRuntime(t)
	other := r.runDetached(newBundle(t))
	c := r.runCounting(counting(t, linux(func(l *specs.Linux) {
		for i := range l.Namespaces {
			if l.Namespaces[i].Type == specs.NetworkNamespace {
				l.Namespaces[i].Path = procPath(other.pid, "ns/net")
			}
		}
	})))
	c.countsFrom(1)
	images := filepath.Join(tempDir(t), "images")
	c.checkpoint(images)
	c.restore(images)
	c.countsFrom(c.count())
	want, err := os.Readlink(procPath(other.pid, "ns/net"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.Readlink(procPath(c.pid, "ns/net")); got != want || err != nil {
		t.Errorf("the network namespace is %s, want %s; %v", got, want, err)
	}
	c.delete("--force")
	other.delete("--force")
}

// Images that criu cannot read are one error with criu's reason, and nothing is left.
func TestCriuBrokenImages(t *testing.T) {
	r := newRuntime(t)
	c := r.runCounting(counting(t))
	c.countsFrom(1)
	images := filepath.Join(tempDir(t), "images")
	c.checkpoint(images)
	if err := os.Truncate(filepath.Join(images, "pstree.img"), 3); err != nil {
		t.Fatal(err)
	}
	r.live = nil
	r.fails("criu failed", "restore", "--detach", "--bundle", c.bundle.dir, "--image-path", images, c.id)
	r.fails("does not exist", "state", c.id)
}
