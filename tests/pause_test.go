package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// frozen says whether the kernel has stopped the container's processes.
func (c *container) frozen() bool {
	c.t.Helper()
	file, want := "cgroup.events", "frozen 1"
	if onV1("freezer") {
		file, want = "freezer.state", "FROZEN"
	}
	return strings.Contains(readFile(c.t, filepath.Join(cgroupDir(c.t, "freezer", c.bundle.cgroup), file)), want)
}

// ST-04 CLI-06: a paused container does nothing until it is resumed.
func TestPauseResume(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t, args("/bin/sh", "-c", "while echo; do sleep 0.01; done")))
	for range 2 {
		before := len(c.made.later(t))
		eventually(t, "the program goes on", func() bool { return len(c.made.later(t)) > before })
		if res := r.ok("pause", c.id); res.stdout != "" || !c.frozen() {
			t.Errorf("after pause: %q, frozen: %v", res.stdout, c.frozen())
		}
		if got := c.status(); got != "paused" {
			t.Errorf("after pause: %s", got)
		}
		if res := r.ok("resume", c.id); res.stdout != "" || c.frozen() {
			t.Errorf("after resume: %q, frozen: %v", res.stdout, c.frozen())
		}
		if got := c.status(); got != "running" {
			t.Errorf("after resume: %s", got)
		}
	}
}

// unfreezable is a process that no freezer stops: until the test ends it waits for the lock of a directory, which another
// holds that waits for who is to serve the filesystem.
func unfreezable(t *testing.T) (pid int) {
	t.Helper()
	fuse, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	dir := tempDir(t)
	if err := unix.Mount("none", dir, "fuse", 0, "rootmode=40000,user_id=0,group_id=0,fd="+itoa(int(fuse.Fd()))); err != nil {
		t.Fatal(err)
	}
	var waiting []*exec.Cmd
	t.Cleanup(func() {
		fuse.Close() // to wait for it is an error now
		for _, cmd := range waiting {
			_ = waitChild(cmd)
		}
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	for _, where := range []string{"fuse", "open"} { // in functions of the kernel of such names
		cmd := exec.Command("touch", filepath.Join(dir, where))
		if err := startChild(cmd); err != nil {
			t.Fatal(err)
		}
		pid, waiting = cmd.Process.Pid, append(waiting, cmd)
		eventually(t, "it waits", func() bool { // and not for a page of its program
			return strings.Contains(readFile(t, procPath(pid, "status")), "State:\tD") && strings.Contains(readFile(t, procPath(pid, "wchan")), where)
		})
	}
	return pid
}

// OPD-08 CLI-07: a container is paused that a pause which was killed has left half frozen, and one resume thaws it.
func TestPauseUnfinished(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t, args("/bin/sh", "-c", "while echo; do sleep 0.01; done")))
	file, freeze := "cgroup.freeze", "1"
	if onV1("freezer") {
		file, freeze = "freezer.state", "FROZEN"
	}
	for _, w := range [][2]string{{"cgroup.procs", itoa(unfreezable(t))}, {file, freeze}} {
		if err := os.WriteFile(filepath.Join(cgroupDir(t, "freezer", c.bundle.cgroup), w[0]), []byte(w[1]), 0); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.status(); got != "paused" || c.frozen() {
		t.Errorf("the container is %s; frozen: %v", got, c.frozen())
	}
	r.fails("container not running", "pause", c.id)
	r.ok("resume", c.id)
	if got := c.status(); got != "running" {
		t.Errorf("the container is %s", got)
	}
	before := len(c.made.later(t))
	eventually(t, "the program goes on", func() bool { return len(c.made.later(t)) > before })
}

// CLI-07: each command says what status it needs, and changes nothing.
func TestPauseRefusals(t *testing.T) {
	r := newRuntime(t)
	r.fails("pause: ID is missing", "pause")
	r.fails("resume: ID is missing", "resume")
	r.fails("does not exist", "pause", r.id())
	r.fails("does not exist", "resume", r.id())
	refuse := func(c *container, want string) {
		t.Helper()
		if want != "running" {
			r.fails("container not running", "pause", c.id)
		}
		if want != "paused" {
			r.fails("container not paused", "resume", c.id)
		}
		if got := c.status(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	c := r.create(newBundle(t))
	refuse(c, "created")
	c.start()
	refuse(c, "running")
	r.ok("pause", c.id)
	refuse(c, "paused")
	c.stop()
	refuse(c, "stopped")
}

// OPD-07 OPK-07: what is paused ends all the same.
func TestPausedEnds(t *testing.T) {
	r := newRuntime(t)
	for _, end := range [][]string{{"kill", "KILL"}, {"kill", "--all", "9"}, {"delete", "--force"}} {
		c := r.runDetached(newBundle(t, args("/bin/sh", "-c", "sleep 1001 & sleep 1002")))
		r.ok("pause", c.id)
		line := append([]string{end[0]}, c.id, end[1])
		if strings.HasPrefix(end[1], "--") {
			line = append([]string{end[0], end[1], c.id}, end[2:]...)
		}
		r.ok(line...)
		if end[0] == "kill" {
			c.awaitStatus("stopped")
			c.delete()
		}
		r.live = nil
	}
}

// OPD-07 OPK-07: so does what has been frozen further down, by a manager of cgroups in the container say.
func TestFrozenBelowEnds(t *testing.T) {
	r := newRuntime(t)
	for _, end := range [][]string{{"kill", "", "KILL"}, {"kill", "--all", "9"}, {"delete", "--force"}} {
		c := r.runDetached(newBundle(t, args("/bin/sh", "-c", "sleep 1001 & sleep 1002")))
		eventually(t, "there are two", func() bool { return len(c.pids()) == 2 })
		below := filepath.Join(cgroupDir(t, "freezer", c.bundle.cgroup), "below")
		if err := os.Mkdir(below, 0o755); err != nil {
			t.Fatal(err)
		}
		file, freeze := "cgroup.freeze", "1"
		if onV1("freezer") {
			file, freeze = "freezer.state", "FROZEN"
		}
		for name, value := range map[string]string{"cgroup.procs": itoa(c.pids()[1]), file: freeze} {
			if err := os.WriteFile(filepath.Join(below, name), []byte(value), 0); err != nil {
				t.Fatal(err)
			}
		}
		line := slices.DeleteFunc([]string{end[0], end[1], c.id}, func(word string) bool { return word == "" })
		r.ok(append(line, end[2:]...)...)
		if end[0] == "kill" {
			c.awaitStatus("stopped")
			c.delete()
		}
		r.live = nil
	}
}

// OPK-06 CLI-09: --all reaches every process, and finding none is no failure.
func TestKillAll(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t, args("/bin/sh", "-c", `
		work() { trap "echo $1 got it" USR1; echo $1 is ready; while :; do sleep 0.01; done; }
		work one & work two & work init`)))
	eventually(t, "three are ready", func() bool { return strings.Count(c.made.later(t), "is ready\n") == 3 })
	for _, flag := range []string{"--all", "-a"} {
		before := strings.Count(c.made.later(t), "got it\n")
		r.ok("kill", flag, c.id, "USR1")
		eventually(t, "all have got it", func() bool { return strings.Count(c.made.later(t), "got it\n") == before+3 })
	}
	if c.frozen() {
		t.Error("the container stays frozen")
	}
	r.ok("kill", "--all", c.id, "9")
	c.awaitStatus("stopped")
	r.ok("kill", "--all", c.id, "15")
	r.fails("does not exist", "kill", "--all", r.id(), "9")
}
