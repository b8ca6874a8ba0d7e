package tests

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// cgroupAt is the path of a process's cgroup in the hierarchy of a controller.
func cgroupAt(t *testing.T, pid int, controller string) string {
	t.Helper()
	unified := ""
	for line := range strings.Lines(readFile(t, procPath(pid, "cgroup"))) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if slices.Contains(strings.Split(fields[1], ","), controller) && controller != "" {
			return fields[2]
		}
		if fields[1] == "" {
			unified = fields[2]
		}
	}
	return unified
}

// thaw undoes freeze.
func (c *container) thaw() {
	c.t.Helper()
	file, value := "cgroup.freeze", "0"
	if onV1("freezer") {
		file, value = "freezer.state", "THAWED"
	}
	if err := os.WriteFile(filepath.Join(cgroupDir(c.t, "freezer", c.bundle.cgroup), file), []byte(value), 0); err != nil {
		c.t.Fatal(err)
	}
}

// CLI-04: exec into cgroups below the container's.
func TestExecCgroup(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t))
	for _, root := range suite.cgroups {
		dir := filepath.Join(root.dir, c.bundle.cgroup, "sub")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(root.controllers, "cpuset") {
			copyCpuset(t, dir)
		}
		t.Cleanup(func() { _ = os.Remove(dir) })
	}
	controllers := []string{"memory", "pids", ""}
	if !hasUnified() {
		controllers[2] = "cpu"
	}
	want := func(flags []string, below ...string) {
		t.Helper()
		pid := c.execDetached(flags, "/bin/sleep", "1000")
		for i, controller := range controllers {
			if got, want := cgroupAt(t, pid, controller), filepath.Join(c.bundle.cgroup, below[i]); got != want {
				t.Errorf("%v: %s cgroup %s, want %s", flags, controller, got, want)
			}
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Error(err)
		}
		eventually(t, "the end of the process", func() bool { return unix.Kill(pid, 0) == unix.ESRCH })
	}
	want([]string{"--cgroup", "/"}, "", "", "")
	want([]string{"--cgroup", "sub"}, "sub", "sub", "sub")
	want([]string{"--cgroup", "/x/../sub/"}, "sub", "sub", "sub")
	if onV1("memory") {
		want([]string{"--cgroup", "memory:sub"}, "sub", "", "")
		want([]string{"--cgroup", "memory,pids:sub", "--cgroup", "cpu:/"}, "sub", "sub", "")
	} else {
		c.refuseExec("memory", []string{"--cgroup", "memory:sub"}, "/bin/true")
	}
	c.delete("--force")
}

// CGP-12: an init that has moved itself further down, as systemd does, takes
// exec along; the container's own directory may take no processes then.
func TestExecFollowsInit(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t, args("/bin/sh", "-c", "exec sleep 1000")))
	own := cgroupDir(t, "", c.bundle.cgroup)
	if err := os.Mkdir(filepath.Join(own, "init.scope"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(filepath.Join(own, "init.scope")) })
	if err := os.WriteFile(filepath.Join(own, "init.scope/cgroup.procs"), []byte(strconv.Itoa(c.pid)), 0); err != nil {
		t.Fatal(err)
	}
	controllers, err := os.ReadFile(filepath.Join(own, "cgroup.controllers"))
	if err != nil {
		t.Fatal(err)
	}
	for _, controller := range strings.Fields(string(controllers)) {
		enableController(t, own, controller)
	}
	pid := c.execDetached(nil, "/bin/sleep", "1000")
	c.wantBeside(pid)
	if got := cgroupAt(t, pid, ""); !strings.HasSuffix(got, "/init.scope") {
		t.Errorf("exec is in %s", got)
	}
	c.delete("--force")
}

// A pids.max with room for one more process is enough, and little memory.
func TestExecLimits(t *testing.T) {
	for name, edits := range map[string][]edit{
		"plain": nil, "user namespace": {userNamespace()}, "cgroup namespace": {namespace(specs.CgroupNamespace, "")},
		"host's pid namespace": {without(specs.PIDNamespace)},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRuntime(t)
			c := r.runDetached(newBundle(t, append(edits, args("/bin/sleep", "1000"), resources(func(res *specs.LinuxResources) {
				res.Pids = &specs.LinuxPids{Limit: ptr(int64(2))}
				memory(res).Limit = ptr(int64(2 << 20))
			}))...))
			for range 3 {
				wantLines(t, r.ok(c.execLine(nil, "/bin/echo", "ran")...).stdout, "ran")
			}
			c.delete("--force")
		})
	}
}

// CLI-07: which containers one can exec into.
func TestExecStatus(t *testing.T) {
	r := newRuntime(t)
	res := r.do("exec", r.id(), "/bin/true")
	if res.code != 255 || !strings.Contains(res.stderr, "container does not exist") {
		t.Errorf("missing: exit %d, %s", res.code, res.stderr)
	}
	if res := r.do("exec", "../x", "/bin/true"); res.code != 255 || !strings.Contains(res.stderr, "invalid container ID format") {
		t.Errorf("bad id: exit %d, %s", res.code, res.stderr)
	}
	c := r.create(newBundle(t))
	wantLines(t, c.exec("echo $$ >/tmp/pid; cat /proc/1/comm"), "skep:[init]")
	if s := c.status(); s != "created" {
		t.Errorf("after exec it is %s", s)
	}
	c.start()
	c.freeze()
	c.refuseExec("cannot exec in a paused container (use --ignore-paused to override)", nil, "/bin/true")
	before := len(cgroupProcs(t, c.bundle, "freezer"))
	wait := r.start(call{args: c.execLine([]string{"--ignore-paused"}, "/bin/echo", "thawed")})
	eventually(t, "a process waits", func() bool { return len(cgroupProcs(t, c.bundle, "freezer")) > before })
	c.thaw()
	if res, err := wait(); err != nil || res.code != 0 || res.stdout != "thawed\n" {
		t.Errorf("%v, exit %d, %q %s", err, res.code, res.stdout, res.stderr)
	}
	c.stop()
	c.refuseExec("cannot exec in a stopped container", nil, "/bin/true")
	c.delete()
}

// An exec that comes too late says so, and leaves nothing behind.
func TestExecWhileContainerEnds(t *testing.T) {
	r := newRuntime(t)
	for _, kind := range []edit{func(*specs.Spec) {}, without(specs.PIDNamespace)} {
		for range 5 {
			c := r.runDetached(newBundle(t, kind))
			var waits []func() (result, error)
			for range 4 {
				waits = append(waits, r.start(call{args: c.execLine(nil, "/bin/sleep", "1000")}))
			}
			c.ok("delete", "--force", c.id)
			for _, wait := range waits {
				res, err := wait()
				switch {
				case err != nil:
					t.Error(err)
				case res.code == 128+9 && res.stderr == "":
				case res.code == 255 && (strings.Contains(res.stderr, "does not exist") || strings.Contains(res.stderr, "stopped container")):
				default:
					t.Errorf("exit %d: %s", res.code, res.stderr)
				}
			}
			r.live = nil
		}
	}
}

// Many execs leave nothing: no process, no cgroup, no file.
func TestExecManyTimes(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t))
	before, files := listTree(t, filepath.Join(r.root, c.id)), openFiles(t, c.pid)
	const times, workers = 1000, 2
	loop := []string{"/bin/sh", "-ec", `i=0; while [ $i -lt 50 ]; do i=$((i + 1)); "$@"; done`, "sh"}
	parallel(workers, func(int) {
		for range times / workers / 50 {
			if res := r.call(call{args: c.execLine(nil, "/bin/true"), wrap: loop}); res.code != 0 || res.stderr != "" {
				t.Errorf("exit %d: %s", res.code, res.stderr)
				return
			}
		}
	})
	if after := listTree(t, filepath.Join(r.root, c.id)); !slices.Equal(before, after) {
		t.Errorf("state: %v, before %v", after, before)
	}
	if now := openFiles(t, c.pid); now != files {
		t.Errorf("init has %d open files, had %d", now, files)
	}
	for _, root := range suite.cgroups {
		content, err := os.ReadFile(filepath.Join(root.dir, c.bundle.cgroup, "cgroup.procs"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if got := strings.Fields(string(content)); !slices.Equal(got, []string{strconv.Itoa(c.pid)}) {
			t.Errorf("%s: processes %v", root.dir, got)
		}
	}
	c.delete("--force")
}
