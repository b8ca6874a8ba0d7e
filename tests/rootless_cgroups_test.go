package tests

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// onlyV2 returns where cgroup v2 is mounted on a host that has nothing else.
func onlyV2() (mount string, ok bool) {
	if len(suite.cgroups) == 1 && suite.cgroups[0].unified() {
		return suite.cgroups[0].dir, true
	}
	return "", false
}

// delegate has the user's runtime run in a delegated cgroup, and returns the
// directory below which his containers will be. There is none on hosts with
// v1 hierarchies.
func (a *account) delegate(r *ociRuntime) (parent string, ok bool) {
	r.t.Helper()
	mount, ok := onlyV2()
	if !ok {
		return "", false
	}
	if a.as == nil { // what the user's systemd gives
		own, _ := strings.CutPrefix(strings.TrimSpace(readFile(r.t, "/proc/self/cgroup")), "0::")
		return filepath.Dir(filepath.Join(mount, own)), true
	}
	parent = a.subtree(r.t, "delegated")
	a.enter(r, filepath.Join(parent, "shell"))
	return parent, true
}

// subtree makes a cgroup as an administrator would who gives it to the user.
func (a *account) subtree(t *testing.T, name string) string {
	t.Helper()
	mount, _ := onlyV2()
	parent := filepath.Join(mount, "skep-test", suite.mark, name)
	for _, dir := range []string{parent, filepath.Join(parent, "shell")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Rmdir(dir); err != nil {
				t.Errorf("rmdir %s: %v", dir, err)
			}
		})
		for _, file := range []string{"", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"} {
			a.own(t, filepath.Join(dir, file))
		}
	}
	for dir := mount; dir != parent; dir = filepath.Join(dir, strings.Split(strings.TrimPrefix(parent, dir+"/"), "/")[0]) {
		for _, controller := range []string{"memory", "pids", "cpu"} {
			enableController(t, dir, controller)
		}
	}
	// An earlier container beside it may have had all others enabled, if there was something that outlived it; and a
	// kernel may not know this one.
	_ = os.WriteFile(filepath.Join(filepath.Dir(parent), "cgroup.subtree_control"), []byte("-misc"), 0)
	return parent
}

// enter has the runtime run in a cgroup.
func (a *account) enter(r *ociRuntime, dir string) {
	r.t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { f.Close() })
	r.cgroup = f
}

func limited(s *specs.Spec) {
	s.Linux.Resources = &specs.LinuxResources{
		Memory:  &specs.LinuxMemory{Limit: ptr(int64(64 << 20))},
		Pids:    &specs.LinuxPids{Limit: ptr(int64(50))},
		Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}},
	}
}

// CGP-04 CGD-10: limits apply in a delegated subtree, below the parent of the
// own cgroup; without one they are refused, with what to do about it.
func TestRootlessLimits(t *testing.T) {
	r, a := newRootless(t)
	parent, ok := a.delegate(r)
	b := a.bundle(t, limited, namespace(specs.CgroupNamespace, ""),
		args("/bin/sh", "-c", "cat /proc/self/cgroup /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max; sleep 1000"))
	if !ok {
		r.refuse(call{args: []string{"create", "--bundle", b.dir, r.id()}}, "linux.resources.", "cgroup v2 only")
		return
	}
	c := r.runDetached(b)
	dir := filepath.Join(parent, "skep", c.id)
	for file, want := range map[string]string{"memory.max": "67108864", "pids.max": "50"} {
		wantLines(t, readFile(t, filepath.Join(dir, file)), want)
	}
	if pids := strings.Fields(readFile(t, filepath.Join(dir, "cgroup.procs"))); !slices.Contains(pids, itoa(uint64(c.pid))) {
		t.Errorf("init is not in %s: %v", dir, pids)
	}
	eventually(t, "output", func() bool { return strings.Count(c.made.later(t), "\n") == 3 })
	wantLines(t, c.made.later(t), "0::/", "67108864", "50")
	c.stop()
	c.delete()
	if _, err := os.Stat(filepath.Dir(dir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left", filepath.Dir(dir))
	}
	b.spec.Linux.Resources.Unified = map[string]string{"misc.max": "res_a 1"}
	b.save()
	r.refuse(call{args: []string{"create", "--bundle", b.dir, r.id()}}, `linux.resources.unified["misc.max"]`, "misc controller", "Delegate=")
	// A single device is more than a user namespace keeps from a container.
	b.spec.Linux.Resources.Unified = nil
	b.spec.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Allow: false, Type: "c", Major: ptr(int64(1)), Minor: ptr(int64(5)), Access: "r"}}
	b.save()
	r.refuse(call{args: []string{"create", "--bundle", b.dir, r.id()}}, "linux.resources.devices", "CAP_BPF")
}

// ST-04 CLI-15 CLI-16: in his delegated subtree a user may do with containers
// what root may.
func TestRootlessControl(t *testing.T) {
	r, a := newRootless(t)
	parent, _ := a.delegate(r)
	c := r.runDetached(a.bundle(t, limited))
	c.ok("pause", c.id)
	if got := c.status(); got != "paused" {
		t.Errorf("after pause: %s", got)
	}
	c.ok("update", "--memory", "32m", "--pids-limit", "40", c.id)
	c.ok("resume", c.id)
	for file, want := range map[string]string{"memory.max": "33554432", "pids.max": "40"} {
		wantLines(t, readFile(t, filepath.Join(parent, "skep", c.id, file)), want)
	}
	if s := c.stats(); s.Pids.Limit != 40 || s.Memory.Usage.Limit != 32<<20 || s.Memory.Usage.Usage == 0 {
		t.Errorf("%+v %+v", s.Pids, s.Memory.Usage)
	}
	if pids := c.pids(); !slices.Contains(pids, c.pid) {
		t.Errorf("ps: %v, init is %d", pids, c.pid)
	}
	follow := r.follow("events", "--interval", "20ms", c.id)
	follow.await("statistics come", func(all []event) bool { return len(all) > 0 })
	c.stop()
	if res := follow.end(); res.code != 0 || res.stderr != "" {
		t.Errorf("events: exit %d, %s", res.code, res.stderr)
	}
	c.delete()
}

// MNT-23: the container's cgroup, and no other, with a cgroup namespace and
// without; for writing its root may make cgroups of its own, and not lift its
// limits.
func TestRootlessCgroupMount(t *testing.T) {
	r, a := newRootless(t)
	a.delegate(r)
	script := args("/bin/sh", "-c", strings.Join([]string{
		"cd /sys/fs/cgroup", "mkdir inner && echo $$ >inner/cgroup.procs && echo moved",
		"(echo max >pids.max) 2>/dev/null || echo limited", "grep -c . cgroup.procs inner/cgroup.procs",
	}, "; "))
	out := r.output(a.bundle(t, limited, delegate, script, proc(func(p *specs.Process) { p.User = specs.User{} })))
	wantLines(t, out, "moved", "limited", "cgroup.procs:0", "inner/cgroup.procs:1")
	out = r.output(a.bundle(t, limited, args("/bin/sh", "-c", "cat /sys/fs/cgroup/pids.max; mkdir /sys/fs/cgroup/inner 2>/dev/null || echo read-only")))
	wantLines(t, out, "50", "read-only")
}

// ERR-01: without a right to cgroups, a container that needs none of them runs,
// and every process of it can be reached.
func TestRootlessWithoutDelegation(t *testing.T) {
	r, a := newRootless(t)
	outside := func(s *specs.Spec) { s.Linux.CgroupsPath = "/skep-test/" + suite.mark + "-outside" }
	create := func(b bundle) call { return call{args: []string{"create", "--bundle", b.dir, r.id()}} }
	hint := "cgroup v2 only"
	if _, ok := onlyV2(); ok {
		hint = "systemd-run --user"
	}
	r.refuse(create(a.bundle(t, limited, outside)), "linux.resources.", "permission denied", hint)
	r.refuse(create(a.bundle(t, outside, without(specs.PIDNamespace), bindProc)), "pid namespace of its own", hint)

	script := "trap 'echo init' TERM; (trap 'echo child; exit' TERM; echo ready; while :; do sleep 0.1; done) & while :; do sleep 0.1; done"
	c := r.runDetached(a.bundle(t, outside, args("/bin/sh", "-c", script)))
	said := func(word string) func() bool {
		return func() bool { return slices.Contains(strings.Fields(c.made.later(t)), word) }
	}
	eventually(t, "ready", said("ready"))
	if pids := c.pids(); len(pids) < 2 || !slices.Contains(pids, c.pid) {
		t.Errorf("ps: %v, init is %d", pids, c.pid)
	}
	r.fails("has no cgroups", "pause", c.id)
	r.fails("has no cgroups", "update", "--pids-limit", "9", c.id)
	c.stats()
	c.ok("kill", "--all", c.id, "TERM")
	eventually(t, "init has the signal", said("init"))
	eventually(t, "the child has the signal", said("child"))
	c.ok("kill", "--all", c.id, "KILL")
	c.awaitStatus("stopped")
	c.ok("kill", "--all", c.id, "KILL")
	c.delete()
}

// bindProc has the host's procfs in place of a new one, which takes a pid
// namespace.
func bindProc(s *specs.Spec) {
	s.Mounts[0] = specs.Mount{Destination: "/proc", Type: "bind", Source: "/proc", Options: []string{"rbind"}}
	s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil
}

// A directory that was given away helps only who is inside of it.
func TestRootlessOutsideOfDelegation(t *testing.T) {
	r, a := newRootless(t)
	mount, _ := onlyV2()
	dir := a.subtree(t, "given")
	path := func(s *specs.Spec) { s.Linux.CgroupsPath = strings.TrimPrefix(dir, mount) + "/web" }
	b := a.bundle(t, limited, path)
	r.refuse(call{args: []string{"create", "--bundle", b.dir, r.id()}}, "linux.resources.", mount+"/cgroup.procs", "permission denied")
	a.enter(r, filepath.Join(dir, "shell"))
	c := r.runDetached(b)
	wantLines(t, readFile(t, filepath.Join(dir, "web/pids.max")), "50")
	c.delete("--force")
}

// CLI-02: `--cgroup-manager disabled`, as Podman has it, needs no right to
// cgroups, and uses none where there is one.
func TestRootlessCgroupsDisabled(t *testing.T) {
	r, a := newRootless(t)
	a.delegate(r)
	own := strings.Count(readFile(t, "/proc/self/cgroup"), "\n")
	script := args("/bin/sh", "-c", "grep -c . /proc/self/cgroup; grep -c skep/ /proc/self/cgroup; ls /sys/fs/cgroup")
	disabled := func(b bundle) call {
		return call{args: append([]string{"--cgroup-manager", "disabled"}, r.runLine(b)...)}
	}
	wantLines(t, r.succeed(disabled(a.bundle(t, script))).stdout, itoa(uint64(own)), "0")
	r.refuse(disabled(a.bundle(t, limited)), "linux.resources.", "the caller wants none")
	r.refuse(disabled(a.bundle(t, bindProc, without(specs.PIDNamespace))), "pid namespace of its own")
	r.refuse(call{args: []string{"--cgroup-manager", "zork", "list"}}, "zork", "disabled")
}
