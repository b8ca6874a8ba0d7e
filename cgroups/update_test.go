package cgroups

import (
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// What has to be written to a file to have it as it was.
func TestEarlier(t *testing.T) {
	for _, tt := range []struct{ file, value, text, want string }{
		{"memory.max", "100", "max\n", "max"},
		{"memory.limit_in_bytes", "-1", "67108864\n", "67108864"},
		{"memory.oom_control", "1", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", "0"},
		{"cpu.max", "50000 100000", "max 100000\n", "max 100000"},
		{"cpu.max", "50000 100000", "50000 200000\n", "50000 200000"},
		{"cpu.max", "20000", "50000 200000\n", "50000 200000"}, // a period alone
		{"cpuset.cpus", "0", "\n", ""},
		{"io.max", "8:0 rbps=1", "8:16 rbps=2 wbps=max\n8:0 rbps=3 wbps=max riops=max wiops=max\n", "8:0 rbps=3 wbps=max riops=max wiops=max"},
		{"io.max", "8:0 rbps=1", "8:16 rbps=2 wbps=max\n", "8:0 rbps=max wbps=max riops=max wiops=max"},
		{"io.latency", "8:0 target=1", "", "8:0 target=0"},
		{"io.weight", "8:0 200", "default 100\n", "8:0 default"},
		{"io.weight", "200", "default 100\n8:0 50\n", "default 100"},
		{"io.bfq.weight", "8:0 200", "default 100\n8:0 50\n", "8:0 50"},
		{"blkio.throttle.read_bps_device", "8:0 1", "", "8:0 0"},
		{"blkio.throttle.read_bps_device", "8:0 1", "8:0 1048576\n", "8:0 1048576"},
		{"blkio.bfq.weight_device", "8:0 100", "100\n", "8:0 default"},
		{"rdma.max", "mlx hca_handle=2", "other hca_handle=3 hca_object=max\n", "mlx hca_handle=max hca_object=max"},
		{"rdma.max", "mlx hca_handle=2", "mlx hca_handle=3 hca_object=max\n", "mlx hca_handle=3 hca_object=max"},
		{"misc.max", "sev 2", "sev_es max\nsev 7\n", "sev 7"},
		{"net_prio.ifpriomap", "eth0 5", "lo 0\neth0 3\n", "eth0 3"},
		{"hugetlb.2MB.max", "0", "max\n", "max"},
	} {
		if got := earlier(Write{File: tt.file, Value: tt.value}, tt.text); got != tt.want {
			t.Errorf("%s after %q was %q: %q, want %q", tt.file, tt.value, tt.text, got, tt.want)
		}
	}
}

// CGC-08 CGM-03: what bounds a changed value goes with it, and nothing else.
func TestAffected(t *testing.T) {
	merged := &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr(mib), Swap: ptr(2 * mib), Reservation: ptr(mib), CheckBeforeUpdate: ptr(true)},
		CPU: &specs.LinuxCPU{Quota: ptr[int64](2000), Period: ptr[uint64](10000), Burst: ptr[uint64](1000),
			Shares: ptr[uint64](512), Idle: ptr[int64](0), Cpus: "0"},
		Pids:    &specs.LinuxPids{Limit: ptr[int64](7)},
		BlockIO: &specs.LinuxBlockIO{Weight: ptr[uint16](600), WeightDevice: []specs.LinuxWeightDevice{{Weight: ptr[uint16](300)}}},
	}
	m, c, b := merged.Memory, merged.CPU, merged.BlockIO
	blockIO := func(b specs.LinuxBlockIO) specs.LinuxResources { return specs.LinuxResources{BlockIO: &b} }
	for _, tt := range []struct {
		name         string
		update, want specs.LinuxResources
	}{
		{"nothing", specs.LinuxResources{}, specs.LinuxResources{}},
		{"limit", memory(specs.LinuxMemory{Limit: m.Limit}),
			memory(specs.LinuxMemory{Limit: m.Limit, Swap: m.Swap, CheckBeforeUpdate: m.CheckBeforeUpdate})},
		{"swap", memory(specs.LinuxMemory{Swap: m.Swap}),
			memory(specs.LinuxMemory{Limit: m.Limit, Swap: m.Swap, CheckBeforeUpdate: m.CheckBeforeUpdate})},
		{"reservation", memory(specs.LinuxMemory{Reservation: m.Reservation}),
			memory(specs.LinuxMemory{Reservation: m.Reservation, CheckBeforeUpdate: m.CheckBeforeUpdate})},
		{"quota", cpu(specs.LinuxCPU{Quota: c.Quota}), cpu(specs.LinuxCPU{Quota: c.Quota, Period: c.Period, Burst: c.Burst})},
		{"burst", cpu(specs.LinuxCPU{Burst: c.Burst}), cpu(specs.LinuxCPU{Quota: c.Quota, Period: c.Period, Burst: c.Burst})},
		{"idle", cpu(specs.LinuxCPU{Idle: c.Idle}), cpu(specs.LinuxCPU{Shares: c.Shares, Idle: c.Idle})},
		{"cpus", cpu(specs.LinuxCPU{Cpus: "0"}), cpu(specs.LinuxCPU{Cpus: "0"})},
		{"pids", specs.LinuxResources{Pids: merged.Pids}, specs.LinuxResources{Pids: merged.Pids}},
		{"weight", blockIO(specs.LinuxBlockIO{Weight: b.Weight}), blockIO(*b)},
		{"weight of a disk", blockIO(specs.LinuxBlockIO{WeightDevice: b.WeightDevice}), blockIO(specs.LinuxBlockIO{WeightDevice: b.WeightDevice})},
	} {
		if got := affected(&tt.update, merged); !reflect.DeepEqual(*got, tt.want) {
			t.Errorf("%s: %+v, want %+v", tt.name, *got, tt.want)
		}
	}
}

// UNI-07: an update does not take the last word from unified, neither by what it sets nor by what it sets along.
func TestUpdateBelowUnified(t *testing.T) {
	merged := memory(specs.LinuxMemory{Limit: ptr(4 * mib), Swap: ptr(6 * mib)})
	merged.CPU = &specs.LinuxCPU{Quota: ptr[int64](2000), Period: ptr[uint64](10000), Shares: ptr[uint64](1024)}
	merged.Unified = map[string]string{
		"memory.max": "5M", "memory.high": "4M", "cpu.max": "3000 10000", "io.max": "8:0 rbps=1\n8:16 rbps=2", "pids.max": "9",
	}
	rate := specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{
		{LinuxBlockIODevice: specs.LinuxBlockIODevice{Major: 8, Minor: 16}, Rate: 7}}}}
	for _, tt := range []struct {
		name   string
		update specs.LinuxResources
		want   []string
		warns  int
	}{
		{"limit", memory(specs.LinuxMemory{Limit: ptr(4 * mib)}),
			[]string{"memory.max=4194304", "memory.swap.max=2097152", "memory.max=5M last"}, 1},
		{"swap", memory(specs.LinuxMemory{Swap: ptr(6 * mib)}),
			[]string{"memory.max=4194304", "memory.swap.max=2097152", "memory.max=5M last"}, 0},
		{"burst", cpu(specs.LinuxCPU{Burst: ptr[uint64](0)}), []string{"cpu.max=2000 10000", "cpu.max=3000 10000 last"}, 0},
		{"idle", cpu(specs.LinuxCPU{Idle: ptr[int64](1)}), []string{"cpu.idle=1"}, 0},
		{"one of two devices", rate, []string{"io.max=8:16 rbps=7", "io.max=8:16 rbps=2 last"}, 1},
		{"unified itself", specs.LinuxResources{Unified: map[string]string{"memory.max": "5M"}}, []string{"memory.max=5M last"}, 0},
		{"another file", cpu(specs.LinuxCPU{Shares: ptr[uint64](1024)}), []string{"cpu.weight=100"}, 0},
	} {
		if c := tt.update.CPU; c != nil {
			merged.CPU.Idle = c.Idle
		}
		writes, warnings, err := CompileUpdate(V2, &tt.update, &merged)
		if got := show(writes); err != nil || !slices.Equal(got, tt.want) || len(warnings) != tt.warns {
			t.Errorf("%s: %q, %q, %v; want %q", tt.name, got, warnings, err, tt.want)
		}
	}
}

// CGD-06: a running container keeps what it had and keeps.
func TestDeviceChanges(t *testing.T) {
	rules := func(r ...specs.LinuxDeviceCgroup) []Write {
		writes, _, err := Compile(V1, &specs.LinuxResources{Devices: r})
		if err != nil {
			t.Fatal(err)
		}
		return writes
	}
	deny := specs.LinuxDeviceCgroup{Allow: false}
	kmsg := func(access string) specs.LinuxDeviceCgroup {
		return specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: ptr[int64](1), Minor: ptr[int64](11), Access: access}
	}
	now := func(list string) deviceState {
		s, err := readDevices(list)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	const defaults = "c *:* m\nb *:* m\nc 1:3 rwm\nc 1:5 rwm\nc 1:7 rwm\nc 1:8 rwm\nc 1:9 rwm\nc 5:0 rwm\nc 136:* rwm\nc 5:2 rwm\nc 10:200 rwm\n"
	for _, tt := range []struct {
		name   string
		writes []Write
		list   string
		want   string
	}{
		{"the same", rules(deny), defaults, ""},
		{"more", rules(deny, kmsg("rw")), defaults, "devices.allow c 1:11 rw"},
		{"wider", rules(deny, kmsg("rw")), defaults + "c 1:11 r\n", "devices.allow c 1:11 w"},
		{"narrower", rules(deny, kmsg("r")), defaults + "c 1:11 rw\n", "devices.deny c 1:11 w"},
		{"less", rules(deny), defaults + "c 1:11 rw\n", "devices.deny c 1:11 rw"},
		{"allowed by others", rules(deny, kmsg("r")), defaults + "c 195:* rw\n", "devices.allow c 1:11 r, devices.deny c 195:* rw"},
	} {
		var got []string
		for _, w := range changes(tt.writes, now(tt.list)) {
			got = append(got, w.File+" "+w.Value)
			if !strings.HasPrefix(w.Field, "linux.resources.devices") || w.Controller != "devices" {
				t.Errorf("%s: %+v", tt.name, w)
			}
		}
		if s := strings.Join(got, ", "); s != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, s, tt.want)
		}
	}
	all := rules(specs.LinuxDeviceCgroup{Allow: true})
	if got := changes(all, now(defaults)); !reflect.DeepEqual(got, all) {
		t.Errorf("to all: %v", got)
	}
	if got := changes(rules(deny), now("a *:* rwm\n")); !reflect.DeepEqual(got, rules(deny)) {
		t.Errorf("from all: %v", got)
	}
	back := backToDevices(changes(rules(deny, kmsg("r")), now(defaults+"c 195:* rw\n")), nil)
	if len(back) != 2 || back[0].File != "devices.allow" || back[0].Value != "c 195:* rw" || back[1].File != "devices.deny" {
		t.Errorf("back: %v", back)
	}
	if got := backToDevices(rules(deny), all); !reflect.DeepEqual(got, all) {
		t.Errorf("back to all: %v", got)
	}
}

// After an error everything is as before, the order of the limits included; an
// update that has succeeded can be undone.
func TestUpdateAndBack(t *testing.T) {
	g := fixture(t, map[string]string{"/memory.max": "100\n", "/memory.swap.max": "max\n", "/pids.max": "7\n"})
	file := func(name string) string {
		text, err := readFile(g.dirs[0].path + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(text)
	}
	writes := []Write{
		{Controller: "memory", File: "memory.max", Value: "200", Field: "a"},
		{Controller: "memory", File: "memory.swap.max", Value: "0", Field: "b"},
		{Controller: "pids", File: "pids.max", Value: "9", Field: "c"},
	}
	state := func() []string { return []string{file("memory.max"), file("memory.swap.max"), file("pids.max")} }
	bad := append(slices.Clone(writes), Write{Controller: "x", File: "x.max", Value: "1", Field: "linux.resources.x"})
	if _, err := g.Update(bad, nil); !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "linux.resources.x") {
		t.Error(err)
	}
	// Files on a disk keep the tail of a longer content; the kernel's do not.
	if got := state(); !slices.Equal(got, []string{"100", "max", "7"}) {
		t.Errorf("after an error: %v", got)
	}
	undo, err := g.Update(writes, nil)
	if got := state(); err != nil || got[0] != "200" || got[1][0] != '0' || got[2] != "9" {
		t.Errorf("%v, %v", got, err)
	}
	if err := os.Remove(g.dirs[0].path + "/pids.max"); err != nil {
		t.Fatal(err)
	}
	if err := undo(); err != nil {
		t.Error(err)
	}
	if got := file("memory.max"); got != "100" {
		t.Errorf("after undoing: %s", got)
	}
}
