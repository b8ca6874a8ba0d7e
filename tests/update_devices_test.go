package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// withNode is a container with a node of /dev/kmsg, which no default rule
// allows.
func (r *ociRuntime) withNode() *container {
	r.t.Helper()
	c := r.runDetached(newBundle(r.t, args("/bin/sh", "-c", "mknod /tmp/kmsg c 1 11; echo ready; sleep 1000"),
		capabilities("CAP_MKNOD", "CAP_SYSLOG")))
	eventually(r.t, "the node is there", func() bool { return c.made.later(r.t) == "ready\n" })
	return c
}

// wantOpens says how the node can be opened. Default devices can always be.
func (c *container) wantOpens(want string) {
	c.t.Helper()
	got := c.do("exec", c.id, "/bin/sh", "-c",
		`: </dev/zero >/dev/null || echo broken; for m in '<' '>'; do sh -c ": $m /tmp/kmsg" 2>/dev/null && echo -n "$m"; done; true`)
	if got.code != 0 || got.stdout != want {
		c.t.Errorf("the node opens for %q, want %q; %s", got.stdout, want, got.stderr)
	}
}

func (c *container) updateJSON(r specs.LinuxResources) {
	c.t.Helper()
	c.succeed(call{args: []string{"update", "--resources", "-", c.id}, stdin: asJSON(c.t, r)})
}

// CGD-06 CGD-09: rules are replaced as a whole, and only by rules.
func TestUpdateDevices(t *testing.T) {
	r := newRuntime(t)
	c := r.withNode()
	deny := specs.LinuxDeviceCgroup{Allow: false, Access: "rwm"}
	allow := func(access string) specs.LinuxDeviceCgroup {
		return specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: ptr(int64(1)), Minor: ptr(int64(11)), Access: access}
	}
	c.wantOpens("")
	for _, step := range []struct {
		rules []specs.LinuxDeviceCgroup
		want  string
	}{
		{[]specs.LinuxDeviceCgroup{deny, allow("r")}, "<"},
		{[]specs.LinuxDeviceCgroup{deny, allow("rw")}, "<>"},
		{[]specs.LinuxDeviceCgroup{deny, allow("w")}, ">"},
		{[]specs.LinuxDeviceCgroup{deny}, ""},
		{[]specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}, "<>"},
		{[]specs.LinuxDeviceCgroup{deny, allow("r")}, "<"},
	} {
		c.updateJSON(specs.LinuxResources{Devices: step.rules})
		c.wantOpens(step.want)
		programs := 1 // on v2, where systemd may have another one
		if onV1("devices") || step.rules[0].Allow {
			programs = 0
		}
		if ids := strings.Fields(deviceFilters(t, c)); len(ids) != programs && r.driver == cgroupfs {
			t.Errorf("%d filters: %s", len(ids), ids)
		}
		r.ok("update", "--memory", "64m", c.id)
		c.wantOpens(step.want)
		if kept := c.keptResources(); !slices.EqualFunc(kept.Devices, step.rules, func(a, b specs.LinuxDeviceCgroup) bool {
			return asJSON(t, a) == asJSON(t, b)
		}) {
			t.Errorf("kept: %+v", kept.Devices)
		}
	}
	// Refused because of something else, rules change nothing.
	bad := specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{deny, allow("rw")}, CPU: &specs.LinuxCPU{Cpus: "1000"}}
	r.refuse(call{args: []string{"update", "-r", "-", c.id}, stdin: asJSON(t, bad)}, "linux.resources.cpu.cpus")
	c.wantOpens("<")
}

// CGD-09: containerd's CRI sends all resources of a container with each
// update. What a hook has allowed besides stays.
func TestUpdateSameDevices(t *testing.T) {
	r := newRuntime(t)
	c := r.withNode()
	if onV1("devices") {
		path := filepath.Join(cgroupDir(t, "devices", c.bundle.cgroup), "devices.allow")
		if err := os.WriteFile(path, []byte("c 1:11 rw"), 0); err != nil {
			t.Fatal(err)
		}
		c.wantOpens("<>")
	}
	all := c.keptResources()
	all.Pids = &specs.LinuxPids{Limit: ptr(int64(77))}
	programs := deviceFilters(t, c)
	c.updateJSON(all)
	c.wantFiles("pids", []string{"pids.max", "77"}, []string{"pids.max", "77"})
	if onV1("devices") {
		c.wantOpens("<>")
	} else if got := deviceFilters(t, c); !sameFilters(r.driver, strings.Fields(programs), strings.Fields(got)) {
		t.Errorf("filter %s, before the update %s", got, programs)
	}
}

// CGM-09 CGM-10: what is in use is no limit that an update can set, when it is
// told to look. Nobody is killed for it.
func TestUpdateBelowUsage(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t, args("/bin/sh", "-c", "head -c 24m /dev/zero >/dev/shm/used; echo ready; sleep 1000"),
		resources(func(r *specs.LinuxResources) {
			memory(r).Limit, memory(r).Swap = ptr(int64(64<<20)), ptr(int64(64<<20))
		})))
	eventually(t, "memory is used", func() bool { return c.made.later(t) == "ready\n" })
	update := specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(8 << 20)), Swap: ptr(int64(8 << 20)), CheckBeforeUpdate: ptr(true)}}
	want := []string{"linux.resources.memory.limit", "8388608 is below the present usage of"}
	if onV1("memory") {
		want = []string{"linux.resources.memory.limit", "in use"}
	}
	r.refuse(call{args: []string{"update", "-r", "-", c.id}, stdin: asJSON(t, update)}, want...)
	c.wantFiles("memory", []string{"memory.limit_in_bytes", strconv.Itoa(64 << 20)}, []string{"memory.max", strconv.Itoa(64 << 20)})
	if got := c.status(); got != "running" {
		t.Error(got)
	}
	if m := c.keptResources().Memory; *m.Limit != 64<<20 || m.CheckBeforeUpdate != nil {
		t.Errorf("kept: %s", asJSON(t, m))
	}
}

// Of updates at the same time none is lost.
func TestUpdatesAtOnce(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t))
	flags := [][]string{{"--pids-limit", "21"}, {"--memory", "64m"}, {"--cpu-quota", "30000"}, {"--cpu-share", "512"}, {"--cpuset-cpus", "0"}}
	parallel(len(flags), func(i int) { r.expect(append(append([]string{"update"}, flags[i]...), c.id)...) })
	kept := c.keptResources()
	if kept.Pids == nil || kept.Memory == nil || kept.CPU == nil || kept.CPU.Quota == nil || kept.CPU.Shares == nil || kept.CPU.Cpus != "0" {
		t.Errorf("kept: %s", asJSON(t, kept))
	}
	c.wantFiles("pids", []string{"pids.max", "21"}, []string{"pids.max", "21"})
	c.wantFiles("cpu", []string{"cpu.shares", "512", "cpu.cfs_quota_us", "30000"}, []string{"cpu.weight", "59", "cpu.max", "30000 100000"})
}

// deviceFilters are the ids of the programs that judge a container's devices on
// v2, one after the other.
func deviceFilters(t *testing.T, c *container) string {
	t.Helper()
	if onV1("devices") {
		return ""
	}
	dir, err := os.Open(cgroupDir(t, "devices", c.bundle.cgroup))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	var ids [64]uint32
	query := struct {
		cgroup, kind, flags, attached uint32
		ids                           *[64]uint32
		count, _                      uint32
	}{cgroup: uint32(dir.Fd()), kind: unix.BPF_CGROUP_DEVICE, ids: &ids, count: uint32(len(ids))}
	if _, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_QUERY, uintptr(unsafe.Pointer(&query)), unsafe.Sizeof(query)); errno != 0 {
		t.Fatal(errno)
	}
	return strings.Trim(fmt.Sprint(ids[:query.count]), "[]")
}

// sameFilters tells whether the runtime's filter is still the same. Systemd may
// have put another one in place of its own.
func sameFilters(d driver, before, after []string) bool {
	if d != systemd {
		return len(before) > 0 && slices.Equal(before, after)
	}
	return slices.ContainsFunc(before, func(id string) bool { return slices.Contains(after, id) })
}
