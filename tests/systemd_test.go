package tests

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// withSystemd puts --systemd-cgroup before a command line.
func withSystemd(args ...string) []string { return append([]string{"--systemd-cgroup"}, args...) }

// What systemd is going to be asked for can be read on any host. FTL-03 CGP-10 UNI-07 CGC-09 ANN-08
func TestSystemdPlan(t *testing.T) {
	r := newCgroupfsRuntime(t)
	b := newBundle(t, resources(func(res *specs.LinuxResources) {
		res.Pids = &specs.LinuxPids{Limit: ptr(int64(7))}
		res.CPU = &specs.LinuxCPU{Quota: ptr(int64(12345)), Period: ptr(uint64(100000)), Cpus: "0"}
	}), func(s *specs.Spec) {
		s.Linux.CgroupsPath = "a-b.slice:skep:web"
		s.Annotations = map[string]string{"org.systemd.property.TimeoutStopSec": "uint64 7"}
	})
	for _, flag := range []string{"--systemd-cgroup", "--cgroup-manager=systemd"} {
		plan := r.ok(flag, "plan", "--bundle", b.dir).stdout
		for _, want := range []string{
			"  unit  skep-web.scope in a-b.slice\n", "/a.slice/a-b.slice/skep-web.scope\n", "  set   TasksMax @t 7\n",
			"  set   CPUQuotaPerSecUSec @t 130000\n", "  set   CPUQuotaPeriodUSec @t 100000\n", "  set   AllowedCPUs @ay [0x1]\n",
			"  set   DevicePolicy \"strict\"\n", "  set   TimeoutStopUSec @t 7000000\n", "  write pids.max 7\n",
		} {
			if !strings.Contains(plan, want) {
				t.Errorf("%s: %q is not in the plan:\n%s", flag, want, plan)
			}
		}
	}
	b.spec.Linux.CgroupsPath = ""
	b.save()
	if plan := r.ok(withSystemd("plan", "--bundle", b.dir, "web")...).stdout; !strings.Contains(plan, "  unit  skep-web.scope in system.slice\n") {
		t.Errorf("no default unit in\n%s", plan)
	}
}

// CGP-07 ERR-03
func TestSystemdBadConfig(t *testing.T) {
	r := newCgroupfsRuntime(t)
	tests := []struct {
		change edit
		want   string
	}{
		{linux(func(l *specs.Linux) { l.CgroupsPath = "/skep/web" }), "linux.cgroupsPath: \"/skep/web\": with systemd it is slice:prefix:name"},
		{linux(func(l *specs.Linux) { l.CgroupsPath = "a--b.slice:skep:web" }), "linux.cgroupsPath: "},
		{func(s *specs.Spec) { s.Annotations = map[string]string{"org.systemd.property.A1b": "1"} }, `annotations["org.systemd.property.A1b"]: `},
		{func(s *specs.Spec) { s.Annotations = map[string]string{"org.systemd.property.CollectMode": "inactive"} }, `annotations["org.systemd.property.CollectMode"]: `},
	}
	for _, test := range tests {
		b := newBundle(t, linux(func(l *specs.Linux) { l.CgroupsPath = "" }), test.change)
		r.refuse(call{args: withSystemd("create", "--bundle", b.dir, r.id())}, test.want)
	}
}

// A host without systemd is told apart before anything is made. ERR-01
func TestSystemdMissing(t *testing.T) {
	r := newCgroupfsRuntime(t)
	without := []string{"unshare", "--mount", "sh", "-c", `mount -t tmpfs none /run && exec "$@"`, "sh"}
	b := newBundle(t, linux(func(l *specs.Linux) { l.CgroupsPath = "" }))
	r.refuse(call{args: withSystemd("create", "--bundle", b.dir, r.id()), wrap: without}, "systemd is not running on this host")
}
