package tests

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// CGM-06 CGM-07 CGM-08 CGC-05 CGB-02 CGN-01 CGN-02 UNI-09: what cgroup v1 has and v2 has not is an error there.
func TestLimitsOfVersion1(t *testing.T) {
	network := func(n specs.LinuxNetwork) func(*specs.LinuxResources) {
		return func(r *specs.LinuxResources) { r.Network = &n }
	}
	r := newRuntime(t)
	lo := []specs.LinuxInterfacePriority{{Name: "lo", Priority: 5}}
	for _, l := range []struct {
		field            string // below linux.resources
		set              func(*specs.LinuxResources)
		controller, file string
		line             string // one of the file; none: the kernels that skep runs on have no such limit any more, or not here
	}{
		{"memory.swappiness", func(r *specs.LinuxResources) { memory(r).Swappiness = ptr(uint64(10)) }, "memory", "memory.swappiness", "10"},
		{"memory.disableOOMKiller", func(r *specs.LinuxResources) { memory(r).DisableOOMKiller = ptr(true) }, "memory", "memory.oom_control", "oom_kill_disable 1"},
		{"memory.useHierarchy", func(r *specs.LinuxResources) { memory(r).UseHierarchy = ptr(false) }, "memory", "memory.use_hierarchy", ""},
		{"cpu.realtimeRuntime", func(r *specs.LinuxResources) { cpu(r).RealtimeRuntime = ptr(int64(5000)) }, "cpu", "cpu.rt_runtime_us", ""},
		{"blockIO.leafWeight", func(r *specs.LinuxResources) {
			r.BlockIO = &specs.LinuxBlockIO{LeafWeight: ptr(uint16(10))}
		}, "blkio", "blkio.leaf_weight", ""},
		{"network.classID", network(specs.LinuxNetwork{ClassID: ptr(uint32(0x100001))}), "net_cls", "net_cls.classid", "1048577"},
		{"network.priorities", network(specs.LinuxNetwork{Priorities: lo}), "net_prio", "net_prio.ifpriomap", "lo 5"},
	} {
		b := newBundle(t, resources(l.set))
		create := call{args: []string{"create", "--bundle", b.dir, r.id()}}
		switch {
		case isPureV2():
			r.refuse(create, "linux.resources."+l.field+": ", "cannot be expressed on cgroup v2")
		case l.line == "" || !onV1(l.controller):
			r.refuse(create, "linux.resources."+l.field, l.controller)
		default:
			c := r.create(b)
			if text := readFile(t, filepath.Join(cgroupDir(t, l.controller, b.cgroup), l.file)); !strings.Contains("\n"+text, "\n"+l.line+"\n") {
				t.Errorf("%s: %q, want %q", l.file, text, l.line)
			}
			c.delete()
		}
	}
	// CGM-03: a limit on memory and swap together makes no sense below that on memory alone; v2 does without a sum.
	b := newBundle(t, resources(func(r *specs.LinuxResources) { memory(r).Swap = ptr(int64(96 << 20)) }))
	want := "it must not be below the memory limit"
	if isPureV2() {
		want = "100663296 includes memory, so on cgroup v2 it needs memory.limit"
	}
	r.refuse(call{args: []string{"create", "--bundle", b.dir, r.id()}}, "linux.resources.memory.swap: ", want)
}
