package tests

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// newSystemdRuntime returns a runtime of which systemd makes the cgroups. A
// host without systemd shows that it says so, and nothing else.
func newSystemdRuntime(t *testing.T) (r *ociRuntime, runs bool) {
	t.Helper()
	r = newRuntime(t)
	r.driver = systemd
	if _, err := os.Stat("/run/systemd/system"); errors.Is(err, os.ErrNotExist) {
		r.fails("systemd is not running on this host", "create", "--bundle", newBundle(t, onSystemd).dir, r.id())
		return r, false
	}
	return r, true
}

// onSystemd gives the container a unit.
func onSystemd(s *specs.Spec) { s.Linux.CgroupsPath = systemd.newPath() }

// systemctl runs a command that must succeed.
func systemctl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := childOutput(exec.Command("systemctl", args...))
	if err != nil {
		t.Fatalf("systemctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// unit is the unit of a bundle's container.
func (b bundle) unit() string { return filepath.Base(b.cgroup) }

// wantProperties compares properties of a unit.
func wantProperties(t *testing.T, unit string, want map[string]string) {
	t.Helper()
	args := []string{"show", unit}
	for name := range want {
		args = append(args, "--property", name)
	}
	got := map[string]string{}
	for line := range strings.Lines(systemctl(t, args...)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		got[name] = strings.TrimSpace(got[name] + "\n" + value) // DeviceAllow has many lines
	}
	for name, value := range want {
		if got[name] != value && (name != "DeviceAllow" || !strings.Contains(got[name], value)) {
			t.Errorf("%s: %s is %q, want %q", unit, name, got[name], value)
		}
	}
}

// wantFiles compares files of the container's cgroup.
func wantFiles(t *testing.T, b bundle, controller string, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := strings.TrimSpace(readFile(t, filepath.Join(cgroupDir(t, controller, b.cgroup), name))); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
}

// The limits of a unit are what its cgroup has, and stay when systemd reads its configuration again.
// CGP-10 CGC-09 CGD-08 CGD-09 UNI-07 LC-14
func TestSystemdUnit(t *testing.T) {
	r, ok := newSystemdRuntime(t)
	if !ok {
		return
	}
	kmsg := specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: ptr(int64(1)), Minor: ptr(int64(11)), Access: "r"}
	b := newBundle(t, onSystemd, capabilities("CAP_MKNOD", "CAP_SYSLOG"), args("/bin/sh", "-c", "mknod /tmp/kmsg c 1 11; echo ready; sleep 1000"),
		resources(func(res *specs.LinuxResources) {
			res.Memory = &specs.LinuxMemory{Limit: ptr(int64(64 << 20))}
			res.Pids = &specs.LinuxPids{Limit: ptr(int64(41))}
			res.CPU = &specs.LinuxCPU{Quota: ptr(int64(12345)), Period: ptr(uint64(100000)), Cpus: "0"}
			res.Devices = append(res.Devices, kmsg)
			if !onV1("memory") {
				res.Unified = map[string]string{"memory.high": "48M"}
			}
		}), func(s *specs.Spec) {
			s.Annotations = map[string]string{"org.systemd.property.TimeoutStopSec": "uint64 7"}
		})
	c := r.runDetached(b)
	eventually(t, "the node is there", func() bool { return c.made.later(t) == "ready\n" })
	properties := map[string]string{
		"ActiveState": "active", "Slice": testSlice, "Delegate": "yes", "Description": "skep container " + c.id, "TimeoutStopUSec": "7s",
		"CPUQuotaPerSecUSec": "130ms", "TasksMax": "41", "DevicePolicy": "strict", "DeviceAllow": "/dev/char/1:11 r",
	}
	check := func(when, pids string) {
		t.Helper()
		if onV1("memory") {
			wantFiles(t, b, "memory", map[string]string{"memory.limit_in_bytes": "67108864"})
			wantFiles(t, b, "cpu", map[string]string{"cpu.cfs_quota_us": "13000", "cpu.cfs_period_us": "100000"})
		} else {
			wantFiles(t, b, "memory", map[string]string{"memory.max": "67108864", "memory.high": "50331648", "cpu.max": "13000 100000"})
		}
		wantFiles(t, b, "pids", map[string]string{"pids.max": pids})
		wantFiles(t, b, "cpuset", map[string]string{"cpuset.cpus": "0"})
		if got := c.exec("grep Cpus_allowed_list /proc/self/status"); got != "Cpus_allowed_list:\t0" {
			t.Errorf("%s: %s", when, got)
		}
		const show = `for m in '<' '>'; do sh -c ": $m /tmp/kmsg" 2>/dev/null && echo open $m; done; : </dev/zero && echo zero`
		if got := strings.Fields(c.exec(show)); strings.Join(got, " ") != "open < zero" {
			t.Errorf("%s: devices: %q", when, got)
		}
	}
	if !onV1("memory") {
		properties["MemoryHigh"] = "50331648"
	}
	wantProperties(t, b.unit(), properties)
	check("at first", "41")
	systemctl(t, "daemon-reload")
	check("after daemon-reload", "41")
	r.ok("update", "--pids-limit", "43", c.id)
	check("after update", "43")
	systemctl(t, "daemon-reexec")
	check("after daemon-reexec", "43")
	properties["TasksMax"] = "43"
	wantProperties(t, b.unit(), properties)
	c.delete("--force")
	awaitUnloaded(t, b.unit())
}

// awaitUnloaded waits until systemd has forgotten a unit, which it does in its own time.
func awaitUnloaded(t *testing.T, unit string) {
	t.Helper()
	eventually(t, unit+" is forgotten", func() bool {
		return strings.Contains(systemctl(t, "show", "--property", "LoadState", unit), "not-found")
	})
}

// A unit of that name is somebody's; one that has failed is nobody's. LC-02 ERR-01
func TestSystemdUnitExists(t *testing.T) {
	r, ok := newSystemdRuntime(t)
	if !ok {
		return
	}
	b := newBundle(t, onSystemd)
	holder := exec.Command("systemd-run", "--quiet", "--slice", testSlice, "--unit", b.unit(), "--scope", "sleep", "1000")
	if err := startChild(holder); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the unit runs", func() bool { return len(cgroupProcs(t, b, "name=systemd")) == 1 })
	r.fails("is not empty: it has 1 process", "create", "--bundle", b.dir, r.id())
	systemctl(t, "kill", "--signal", "KILL", b.unit())
	_ = waitChild(holder) // always the kill
	eventually(t, "the unit is gone", func() bool { return len(cgroupsOf(b)) == 0 })

	failing := exec.Command("systemd-run", "--quiet", "--slice", testSlice, "--unit", b.unit(), "--scope", "--property", "RuntimeMaxSec=1", "sleep", "1000")
	if err := startChild(failing); err != nil {
		t.Fatal(err)
	}
	_ = waitChild(failing) // systemd ends it
	eventually(t, "the unit has failed", func() bool {
		_, err := childOutput(exec.Command("systemctl", "is-failed", b.unit()))
		return err == nil
	})
	r.create(b).delete()

	for _, root := range suite.cgroups { // what is left of a unit that systemd does not know is nobody's either
		dir := filepath.Join(root.dir, b.cgroup)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(dir) }) // where there was no container to take it along
	}
	c := r.runDetached(b)
	if pids := cgroupProcs(t, b, "pids"); len(pids) == 0 || pids[0] != itoa(c.pid) {
		t.Errorf("processes %v, want %d", pids, c.pid)
	}
	c.delete("--force")
	if len(cgroupsOf(b)) > 0 {
		t.Errorf("left: %v", cgroupsOf(b))
	}
}

// LC-14 OPD-08: what systemd has made goes without systemd, too, and after a create that was killed.
func TestSystemdLeftovers(t *testing.T) {
	r, ok := newSystemdRuntime(t)
	if !ok {
		return
	}
	b := newBundle(t, onSystemd)
	c := r.create(b)
	gone := []string{"unshare", "--mount", "sh", "-c", `mount -t tmpfs none /run && exec "$@"`, "sh"}
	if res := r.call(call{args: []string{"delete", "--force", c.id}, wrap: gone}); res.code != 0 || !strings.Contains(res.stderr, "systemd is not running") {
		t.Errorf("without systemd: exit %d, %s", res.code, res.stderr)
	}
	r.live = nil
	if len(cgroupsOf(b)) > 0 {
		t.Errorf("left: %v", cgroupsOf(b))
	}
	awaitUnloaded(t, b.unit())

	id := r.id()
	addHooks(b, hookLists()[0], shHook("kill -9 $PPID"))
	b.save()
	if res := r.do("create", "--bundle", b.dir, id); res.code != -1 {
		t.Errorf("create was to be killed: exit %d, %s", res.code, res.stderr)
	}
	r.ok("delete", "--force", id)
	if len(cgroupsOf(b)) > 0 {
		t.Errorf("left: %v", cgroupsOf(b))
	}
	awaitUnloaded(t, b.unit())
}

// CGP-10: whose place is not said is among the system's services, under the container's id.
func TestSystemdDefaultUnit(t *testing.T) {
	r, ok := newSystemdRuntime(t)
	if !ok {
		return
	}
	c := r.create(newBundle(t, linux(func(l *specs.Linux) { l.CgroupsPath = "" })))
	unit := "skep-" + c.id + ".scope"
	if got := readFile(t, procPath(c.pid, "cgroup")); !strings.Contains(got, ":/system.slice/"+unit+"\n") {
		t.Errorf("init is in %s", got)
	}
	wantProperties(t, unit, map[string]string{"ActiveState": "active", "Slice": "system.slice"})
	c.delete()
	awaitUnloaded(t, unit)
}

// CGP-10: a name that is a slice's is a slice.
func TestSystemdSlice(t *testing.T) {
	r, ok := newSystemdRuntime(t)
	if !ok {
		return
	}
	slice := "skeptest-" + suite.mark + "x.slice"
	b := newBundle(t, linux(func(l *specs.Linux) { l.CgroupsPath = "skeptest.slice::" + slice }), resources(func(res *specs.LinuxResources) {
		res.Pids = &specs.LinuxPids{Limit: ptr(int64(41))}
	}))
	b.cgroup = "/skeptest.slice/" + slice
	c := r.runDetached(b)
	wantProperties(t, slice, map[string]string{"ActiveState": "active", "TasksMax": "41", "Wants": testSlice})
	wantFiles(t, b, "pids", map[string]string{"pids.max": "41"})
	if got := cgroupProcs(t, b, "pids"); len(got) == 0 || got[0] != itoa(c.pid) {
		t.Errorf("processes %v, want %d", got, c.pid)
	}
	c.delete("--force")
	if len(cgroupsOf(b)) > 0 {
		t.Errorf("left: %v", cgroupsOf(b))
	}
}

// Systemd says what it does not like of a property. ERR-03
func TestSystemdRefusal(t *testing.T) {
	r, ok := newSystemdRuntime(t)
	if !ok {
		return
	}
	for annotation, want := range map[string]string{"MemoryMax": "'much'", "NoSuchThing": "1"} {
		b := newBundle(t, onSystemd, func(s *specs.Spec) { s.Annotations = map[string]string{"org.systemd.property." + annotation: want} })
		r.fails("systemd: start "+b.unit(), "create", "--bundle", b.dir, r.id())
	}
}

// The user's systemd has the user's containers, whether the caller is below it or in a session beside it.
// CGP-10 CGP-12 FTL-03
func TestSystemdUser(t *testing.T) {
	r := newRuntime(t)
	r.driver = systemd
	const uid = 1000
	b := newBundle(t, userNamespace(), func(s *specs.Spec) {
		ids := []specs.LinuxIDMapping{{HostID: uid, Size: 1}}
		s.Linux.UIDMappings, s.Linux.GIDMappings = ids, ids
		s.Linux.CgroupsPath = ""
		s.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(41))}}
		s.Mounts = s.Mounts[:1] // no devpts for a group that is not mapped, no cgroup
	})
	b.chown(uid, uid)
	for _, dir := range []string{b.dir, r.root} {
		if err := os.Chown(dir, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	session := "/run/user/" + itoa(uid)
	if lingering, _ := filepath.Glob("/var/lib/systemd/linger/tester"); len(lingering) == 0 {
		r.driver = cgroupfs
		nobody := call{args: withSystemd("create", "--bundle", b.dir, r.id()), user: &syscall.Credential{Uid: uid, Gid: uid}}
		r.refuse(nobody, "the user's systemd")
		return
	}
	env := []string{"--setenv=XDG_RUNTIME_DIR=" + session}
	for where, wrap := range map[string][]string{
		"below":  append([]string{"systemd-run", "--quiet", "--user", "--machine=1000@.host", "--pipe", "--wait", "--collect"}, env...),
		"beside": append([]string{"systemd-run", "--quiet", "--uid=1000", "--gid=1000", "--pipe", "--wait", "--collect"}, env...),
	} {
		id := r.id()
		as := func(args ...string) string { return r.succeed(call{args: args, wrap: wrap}).stdout }
		as("create", "--bundle", b.dir, id)
		pid := r.state(id).Pid
		cgroup := "/user.slice/user-1000.slice/user@1000.service/user.slice/skep-" + id + ".scope"
		wantLines(t, readFile(t, procPath(pid, "cgroup")), "0::"+cgroup)
		at := bundle{cgroup: cgroup}
		as("start", id)
		wantLines(t, as("exec", id, "cat", "/proc/self/cgroup"), "0::"+cgroup)
		as("update", "--pids-limit", "43", id)
		wantFiles(t, at, "pids", map[string]string{"pids.max": "43"})
		as("delete", "--force", id)
		if len(cgroupsOf(at)) > 0 {
			t.Errorf("%s: left: %v", where, cgroupsOf(at))
		}
	}
}
