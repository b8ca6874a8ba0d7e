package systemd

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"skep/cgroups"
)

const newest = 1 << 20 // a version that has everything

func nothing(string, string) string { return "" }

// convert returns the properties of resources as text, and the writes.
func convert(t *testing.T, mode cgroups.Mode, r *specs.LinuxResources, h Host) ([]string, []cgroups.Write) {
	t.Helper()
	writes, _, err := cgroups.Compile(mode, r)
	if err != nil {
		t.Fatal(err)
	}
	if h.Version == 0 {
		h.Version = newest
	}
	if h.Read == nil {
		h.Read = nothing
	}
	if h.Drivers == nil {
		h.Drivers = func(bool) map[int64]string { return nil }
	}
	props, writes := Convert(writes, h)
	var text []string
	for _, p := range props {
		text = append(text, p.String())
	}
	return text, writes
}

func ptr[T any](v T) *T { return &v }

// UNI-07: what is written to a file of the cgroup, in whatever way it was asked for, is a property too.
func TestConvertV2(t *testing.T) {
	unified := func(file, value string) *specs.LinuxResources {
		return &specs.LinuxResources{Unified: map[string]string{file: value}}
	}
	const max = "@t 18446744073709551615"
	tests := []struct {
		name string
		r    *specs.LinuxResources
		want []string
	}{
		{"memory", &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(1 << 20)), Swap: ptr(int64(3 << 20)), Reservation: ptr(int64(4096))}},
			[]string{"MemoryMax @t 1048576", "MemoryLow @t 4096", "MemorySwapMax @t 2097152"}},
		{"memory unlimited", &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(-1))}}, []string{"MemoryMax " + max, "MemorySwapMax " + max}},
		{"memory.high", unified("memory.high", "2M"), []string{"MemoryHigh @t 2097152"}},
		{"memory.min", unified("memory.min", "1g"), []string{"MemoryMin @t 1073741824"}},
		{"memory.zswap.max", unified("memory.zswap.max", "0"), []string{"MemoryZSwapMax @t 0"}},
		{"oom kill", unified("memory.oom.group", "1"), []string{`OOMPolicy "kill"`}},
		{"oom continue", unified("memory.oom.group", "0"), []string{`OOMPolicy "continue"`}},
		{"shares", &specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr(uint64(1024))}}, []string{"CPUWeight @t 100"}},
		{"idle", &specs.LinuxResources{CPU: &specs.LinuxCPU{Idle: ptr(int64(1))}}, []string{"CPUWeight @t 0"}},
		{"not idle", &specs.LinuxResources{CPU: &specs.LinuxCPU{Idle: ptr(int64(0)), Shares: ptr(uint64(2))}}, []string{"CPUWeight @t 1"}},
		{"idle no more", &specs.LinuxResources{CPU: &specs.LinuxCPU{Idle: ptr(int64(0))}}, []string{"CPUWeight @t 100"}},
		{"idle no more, and a weight", &specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr(uint64(2))}, Unified: map[string]string{"cpu.idle": "0"}},
			[]string{"CPUWeight @t 1"}},
		{"cpuset", &specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0-2,9", Mems: "0"}},
			[]string{"AllowedCPUs @ay [0x7, 0x2]", "AllowedMemoryNodes @ay [0x1]"}},
		{"pids", &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(7))}}, []string{"TasksMax @t 7"}},
		{"pids unlimited", &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(-1))}}, []string{"TasksMax " + max}},
		{"no pids", &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(0))}}, []string{"TasksMax @t 1"}}, // CGI-02
		{"io weight", &specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: ptr(uint16(500))}}, []string{"IOWeight @t 4950"}},
		{"io device weight", &specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{WeightDevice: []specs.LinuxWeightDevice{
			{LinuxBlockIODevice: specs.LinuxBlockIODevice{Major: 8}, Weight: ptr(uint16(10))}}}}, []string{`IODeviceWeight @a(st) [("/dev/block/8:0", 1,)]`}},
		{"io.weight", unified("io.weight", "default 42"), []string{"IOWeight @t 42"}},
		{"io.max", unified("io.max", "8:0 rbps=1048576 wbps=max\n8:16 riops=7 wiops=8"), []string{
			`IOReadBandwidthMax @a(st) [("/dev/block/8:0", 1048576,)]`, `IOWriteBandwidthMax @a(st) [("/dev/block/8:0", 18446744073709551615,)]`,
			`IOReadIOPSMax @a(st) [("/dev/block/8:16", 7,)]`, `IOWriteIOPSMax @a(st) [("/dev/block/8:16", 8,)]`}},
		{"the last word", &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(1 << 20))}, Unified: map[string]string{"memory.max": "2M"}},
			[]string{"MemoryMax @t 2097152"}},
		{"no property", unified("hugetlb.2MB.max", "0"), nil},
		{"nonsense", unified("memory.max", "much"), nil},
		{"overflow", unified("memory.max", "99999999999E"), nil},
		{"strange list", unified("cpuset.cpus", "0-8:1/2"), nil},
	}
	for _, test := range tests {
		if got, _ := convert(t, cgroups.V2, test.r, Host{}); !slices.Equal(got, test.want) {
			t.Errorf("%s:\n got %q\nwant %q", test.name, got, test.want)
		}
	}
}

func TestConvertV1(t *testing.T) {
	got, _ := convert(t, cgroups.V1, &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr(int64(1 << 20)), Swappiness: ptr(uint64(1))},
		CPU:    &specs.LinuxCPU{Shares: ptr(uint64(512)), Cpus: "0"},
		Pids:   &specs.LinuxPids{Limit: ptr(int64(7))},
		BlockIO: &specs.LinuxBlockIO{Weight: ptr(uint16(500)), ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{
			{LinuxBlockIODevice: specs.LinuxBlockIODevice{Major: 8, Minor: 16}, Rate: 4096}}},
	}, Host{})
	want := []string{"MemoryLimit @t 1048576", "CPUShares @t 512", "TasksMax @t 7", `BlockIOReadBandwidth @a(st) [("/dev/block/8:16", 4096,)]`}
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("%s is missing in %q", w, got)
		}
	}
	if len(got) != len(want)+1 || !slices.Contains(got, "AllowedCPUs @ay [0x1]") {
		// Systemd keeps it and does nothing with it: v1's cpuset is not its own.
		t.Errorf("got %q", got)
	}
}

// CGC-07: beside v1's shares a weight would be what counts.
func TestConvertIdleV1(t *testing.T) {
	for _, idle := range []int64{0, 1} {
		got, _ := convert(t, cgroups.V1, &specs.LinuxResources{CPU: &specs.LinuxCPU{Idle: &idle, Shares: ptr(uint64(512))}}, Host{V1: true})
		if slices.ContainsFunc(got, func(p string) bool { return strings.HasPrefix(p, "CPUWeight") }) {
			t.Errorf("idle %d: %q", idle, got)
		}
	}
}

// What a version of systemd does not know is not asked of it.
func TestConvertVersions(t *testing.T) {
	r := &specs.LinuxResources{
		CPU:     &specs.LinuxCPU{Cpus: "0", Idle: ptr(int64(1)), Quota: ptr(int64(10000)), Period: ptr(uint64(100000))},
		Unified: map[string]string{"memory.oom.group": "1", "memory.min": "0"},
	}
	tests := []struct {
		version int
		has     string
	}{
		{239, "CPUQuotaPerSecUSec"},
		{240, "MemoryMin CPUQuotaPerSecUSec"},
		{242, "MemoryMin CPUQuotaPerSecUSec CPUQuotaPeriodUSec"},
		{244, "AllowedCPUs MemoryMin CPUQuotaPerSecUSec CPUQuotaPeriodUSec"},
		{252, "CPUWeight AllowedCPUs MemoryMin CPUQuotaPerSecUSec CPUQuotaPeriodUSec"},
		{253, "CPUWeight AllowedCPUs MemoryMin OOMPolicy CPUQuotaPerSecUSec CPUQuotaPeriodUSec"},
	}
	for _, test := range tests {
		got, _ := convert(t, cgroups.V2, r, Host{Version: test.version})
		for i := range got {
			got[i], _, _ = strings.Cut(got[i], " ")
		}
		if strings.Join(got, " ") != test.has {
			t.Errorf("%d: %q, want %s", test.version, got, test.has)
		}
	}
	update, _ := convert(t, cgroups.V2, r, Host{Update: true})
	if slices.ContainsFunc(update, func(p string) bool { return strings.HasPrefix(p, "OOMPolicy") }) {
		t.Errorf("an update sets what only a new unit takes: %q", update)
	}
}

// CGC-09: the quota in the file is the one that systemd will write there.
func TestConvertQuota(t *testing.T) {
	cpu := func(c specs.LinuxCPU) *specs.LinuxResources { return &specs.LinuxResources{CPU: &c} }
	unified := func(value string) *specs.LinuxResources {
		return &specs.LinuxResources{Unified: map[string]string{"cpu.max": value}}
	}
	const max = "18446744073709551615"
	tests := []struct {
		name          string
		mode          cgroups.Mode
		r             *specs.LinuxResources
		now           string // cpu.max, or v1's quota and period
		second, about string // the properties
		written       string
	}{
		{"exact", cgroups.V2, cpu(specs.LinuxCPU{Quota: ptr(int64(50000)), Period: ptr(uint64(100000))}), "", "500000", "100000", "50000 100000"},
		{"rounded up", cgroups.V2, cpu(specs.LinuxCPU{Quota: ptr(int64(12345)), Period: ptr(uint64(100000))}), "", "130000", "100000", "13000 100000"},
		{"short period", cgroups.V2, cpu(specs.LinuxCPU{Quota: ptr(int64(1001)), Period: ptr(uint64(1000))}), "", "1010000", "1000", "1010 1000"},
		{"default period", cgroups.V2, cpu(specs.LinuxCPU{Quota: ptr(int64(200000))}), "", "2000000", "100000", "200000 100000"},
		{"present period", cgroups.V2, cpu(specs.LinuxCPU{Quota: ptr(int64(25000))}), "max 50000\n", "500000", "50000", "25000 50000"},
		{"no quota", cgroups.V2, cpu(specs.LinuxCPU{Quota: ptr(int64(-1))}), "", max, "100000", "max 100000"},
		{"period alone", cgroups.V2, cpu(specs.LinuxCPU{Period: ptr(uint64(200000))}), "", max, "200000", "max 200000"},
		{"present quota", cgroups.V2, cpu(specs.LinuxCPU{Period: ptr(uint64(70000))}), "50000 100000\n", "720000", "70000", "50400 70000"},
		{"unified", cgroups.V2, unified("12345 100000"), "", "130000", "100000", "13000 100000"},
		{"unified max", cgroups.V2, unified("max"), "", max, "100000", "max 100000"},
		{"unified after a period", cgroups.V2, &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(10000)), Period: ptr(uint64(50000))},
			Unified: map[string]string{"cpu.max": "20000"}}, "max 100000\n", "400000", "50000", "20000 50000"},
		{"huge", cgroups.V2, unified("18446744073709551 1"), "", max, "1", "18446744073709551 1"},
		{"v1", cgroups.V1, cpu(specs.LinuxCPU{Quota: ptr(int64(12345)), Period: ptr(uint64(100000))}), "", "130000", "100000", "13000"},
		{"v1 quota", cgroups.V1, cpu(specs.LinuxCPU{Quota: ptr(int64(12345))}), "-1 50000", "250000", "50000", "12500"},
		{"v1 no quota", cgroups.V1, cpu(specs.LinuxCPU{Quota: ptr(int64(-1))}), "", max, "100000", "-1"},
		{"v1 period", cgroups.V1, cpu(specs.LinuxCPU{Period: ptr(uint64(50000))}), "25000 100000", "500000", "50000", ""},
	}
	for _, test := range tests {
		read := func(_, file string) string {
			first, second, _ := strings.Cut(test.now, " ")
			switch file {
			case "cpu.cfs_quota_us":
				return first
			case "cpu.cfs_period_us":
				return second
			}
			return test.now
		}
		got, writes := convert(t, test.mode, test.r, Host{Read: read})
		if want := []string{"CPUQuotaPerSecUSec @t " + test.second, "CPUQuotaPeriodUSec @t " + test.about}; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", test.name, got, want)
		}
		written := ""
		for _, w := range writes {
			if w.File == "cpu.max" || w.File == "cpu.cfs_quota_us" {
				written = w.Value
			}
			if w.Keep {
				t.Errorf("%s: the quota is still to be looked up", test.name)
			}
		}
		if written != test.written {
			t.Errorf("%s: writes %q, want %q", test.name, written, test.written)
		}
	}
}

// The properties do not change when the quota is not asked for, and the caller's writes never.
func TestConvertLeavesWrites(t *testing.T) {
	writes, _, err := cgroups.Compile(cgroups.V2, &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(12345))}})
	if err != nil {
		t.Fatal(err)
	}
	before := slices.Clone(writes)
	Convert(writes, Host{Version: newest, Read: nothing, Drivers: Drivers})
	if !reflect.DeepEqual(writes, before) {
		t.Errorf("the writes of the caller are %+v now", writes)
	}
	if props, _ := Convert(nil, Host{Read: nothing, Drivers: Drivers}); len(props) > 0 {
		t.Errorf("without settings: %v", props)
	}
}
