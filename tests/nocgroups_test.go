package tests

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// CLI-02: without cgroups, as root, what managers send unasked is left out with a warning, and limits are an error.
func TestCgroupsDisabled(t *testing.T) {
	r := newCgroupfsRuntime(t) // which no flag asks for
	deny, null := specs.LinuxDeviceCgroup{Access: "rwm"}, specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: ptr(int64(1)), Minor: ptr(int64(3)), Access: "rwm"}
	rules := func(rules ...specs.LinuxDeviceCgroup) edit {
		return resources(func(res *specs.LinuxResources) { res.Devices = rules })
	}
	disabled := func(b bundle) call {
		return call{args: append([]string{"--cgroup-manager", "disabled"}, r.runLine(b)...)}
	}
	const warning = "skep: warning: linux.resources.devices: not enforced, because the caller wants no cgroups: whoever may open a device's node in the container has the device\n"
	for name, test := range map[string]struct {
		edit edit
		want string
	}{
		"no rules":        {rules(), ""},
		"all are allowed": {rules(specs.LinuxDeviceCgroup{Allow: true, Access: "rwm"}), ""},
		"all but some":    {rules(deny, null), warning},
		"all, twice":      {rules(deny, deny), warning}, // as Podman 5 has it
	} {
		res := r.call(disabled(newBundle(t, test.edit, args("/bin/cat", "/proc/self/cgroup"))))
		if own := readFile(t, "/proc/self/cgroup"); res.code != 0 || res.stderr != test.want || res.stdout != own {
			t.Errorf("%s: exit %d, %s, cgroups\n%swant\n%s", name, res.code, res.stderr, res.stdout, own)
		}
	}
	noNull := null
	noNull.Allow = false
	r.refuse(disabled(newBundle(t, rules(deny, noNull))), "linux.resources.devices", "the caller wants none")
	for field, limit := range map[string]func(*specs.LinuxResources){
		"memory.limit": func(res *specs.LinuxResources) { memory(res).Limit = ptr(int64(1 << 24)) },
		"pids.limit":   func(res *specs.LinuxResources) { res.Pids = &specs.LinuxPids{Limit: ptr(int64(50))} },
		"cpu.":         func(res *specs.LinuxResources) { res.CPU = &specs.LinuxCPU{Quota: ptr(int64(5000))} },
	} {
		r.refuse(disabled(newBundle(t, rules(deny, null), resources(limit))), "linux.resources."+field, "the caller wants none")
	}
	c := r.make(newBundle(t, rules()), call{args: []string{"--cgroup-manager", "disabled", "run", "--detach"}})
	for _, line := range [][]string{{"pause", c.id}, {"update", "--pids-limit", "20", c.id}} {
		res := r.do(line...)
		if res.code != 1 || !strings.HasSuffix(res.stderr, ": the container has no cgroups\n") {
			t.Errorf("%s: exit %d, %s", line[0], res.code, res.stderr)
		}
	}
	wantLines(t, c.exec("echo ran"), "ran")
	c.delete("--force")
}
