package cgroups

import (
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func ptr[T any](v T) *T { return &v }

// show prints writes as the tables below expect them: "file=value", with the
// flags behind it.
func show(writes []Write) []string {
	var lines []string
	for _, w := range writes {
		line := w.File + "=" + w.Value
		if w.Optional {
			line += " optional"
		}
		if w.Else {
			line += " else"
		}
		if w.Keep {
			line += " keep"
		}
		if w.Last {
			line += " last"
		}
		if w.NotBelow != "" {
			line += " notbelow " + w.NotBelow
		}
		lines = append(lines, line)
	}
	return lines
}

type compileTest struct {
	name  string
	mode  Mode
	r     specs.LinuxResources
	want  []string // the writes
	warns []string // beginnings of the warnings
	errs  []string // parts of the error; no other problem may be in it
}

func (tt compileTest) run(t *testing.T) {
	writes, warnings, err := Compile(tt.mode, &tt.r)
	if got := show(writes); !slices.Equal(got, tt.want) {
		t.Errorf("writes:\n  %q\nwant:\n  %q", got, tt.want)
	}
	for _, w := range writes {
		if w.Controller == "" || !strings.HasPrefix(w.Field, "linux.resources.") {
			t.Errorf("%s: controller %q, field %q", w.File, w.Controller, w.Field)
		}
	}
	if !slices.EqualFunc(warnings, tt.warns, strings.HasPrefix) {
		t.Errorf("warnings %q, want %q", warnings, tt.warns)
	}
	var problems []string
	if err != nil {
		problems = strings.Split(err.Error(), "\n")
	}
	if !slices.EqualFunc(problems, tt.errs, strings.Contains) {
		t.Errorf("errors %q, want %q", problems, tt.errs)
	}
}

func runCompile(t *testing.T, tests []compileTest) {
	for _, tt := range tests {
		t.Run(tt.mode.String()+" "+tt.name, tt.run)
	}
}

// CGP-22: without resources nothing is changed, not even the device rules.
func TestCompileNil(t *testing.T) {
	for _, mode := range []Mode{None, V1, Hybrid, V2} {
		writes, warnings, err := Compile(mode, nil)
		if len(writes)+len(warnings) != 0 || err != nil {
			t.Errorf("%s: %v, %q, %v", mode, writes, warnings, err)
		}
		compileTest{mode: mode}.run(t) // the same for {}
	}
}

func memory(m specs.LinuxMemory) specs.LinuxResources { return specs.LinuxResources{Memory: &m} }

func TestCompileMemoryV1(t *testing.T) {
	runCompile(t, []compileTest{
		{name: "all", mode: V1, r: memory(specs.LinuxMemory{ // CGM-01 CGM-02 CGM-03 CGM-06 CGM-07 CGM-08
			Limit: ptr[int64](512), Reservation: ptr[int64](256), Swap: ptr[int64](1024),
			Swappiness: ptr[uint64](60), DisableOOMKiller: ptr(true), UseHierarchy: ptr(true),
			CheckBeforeUpdate: ptr(true),
		}), want: []string{
			"memory.limit_in_bytes=512", "memory.memsw.limit_in_bytes=1024", // CGM-12
			"memory.soft_limit_in_bytes=256", "memory.use_hierarchy=1",
			"memory.swappiness=60", "memory.oom_control=1",
		}},
		{name: "zeros are unset", mode: Hybrid, r: memory(specs.LinuxMemory{ // CGM-11
			//lint:ignore SA1019 it is still accepted
			Limit: ptr[int64](0), Reservation: ptr[int64](0), Swap: ptr[int64](0), Kernel: ptr[int64](0),
			DisableOOMKiller: ptr(false), UseHierarchy: ptr(false), Swappiness: ptr[uint64](0),
		}), want: []string{"memory.use_hierarchy=0", "memory.swappiness=0", "memory.oom_control=0 optional"}},
		{name: "unlimited", mode: V1, r: memory(specs.LinuxMemory{Limit: ptr[int64](-1)}), // CGM-04
			want: []string{"memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=-1 optional"}},
		{name: "limit with unlimited swap", mode: V1,
			r:    memory(specs.LinuxMemory{Limit: ptr[int64](5), Swap: ptr[int64](-1), Reservation: ptr[int64](-1)}),
			want: []string{"memory.limit_in_bytes=5", "memory.memsw.limit_in_bytes=-1", "memory.soft_limit_in_bytes=-1"}},
		{name: "swap equals limit", mode: V1, r: memory(specs.LinuxMemory{Limit: ptr[int64](5), Swap: ptr[int64](5)}),
			want: []string{"memory.limit_in_bytes=5", "memory.memsw.limit_in_bytes=5"}},
		{name: "swap alone", mode: V1, r: memory(specs.LinuxMemory{Swap: ptr[int64](5)}),
			want: []string{"memory.memsw.limit_in_bytes=5"}},
		//lint:ignore SA1019 it is still accepted
		{name: "kernel memory", mode: V1, r: memory(specs.LinuxMemory{Kernel: ptr[int64](7), KernelTCP: ptr[int64](-1)})}, // CGM-05
	})
}

func TestCompileMemoryV2(t *testing.T) {
	runCompile(t, []compileTest{
		{name: "all", mode: V2, r: memory(specs.LinuxMemory{ // CGM-01 CGM-02 CGM-03 CGM-08
			Limit: ptr[int64](512), Reservation: ptr[int64](256), Swap: ptr[int64](1024),
			DisableOOMKiller: ptr(false), UseHierarchy: ptr(true),
		}), want: []string{"memory.max=512", "memory.low=256", "memory.swap.max=512"}},
		{name: "zeros are unset", mode: V2, r: memory(specs.LinuxMemory{
			Limit: ptr[int64](0), Reservation: ptr[int64](0), Swap: ptr[int64](0),
		})},
		{name: "unlimited", mode: V2, r: memory(specs.LinuxMemory{Limit: ptr[int64](-1), Reservation: ptr[int64](-1)}), // CGM-04
			want: []string{"memory.max=max", "memory.low=max", "memory.swap.max=max optional"}},
		{name: "unlimited swap", mode: V2, r: memory(specs.LinuxMemory{Limit: ptr[int64](7), Swap: ptr[int64](-1)}),
			want: []string{"memory.max=7", "memory.swap.max=max optional"}},
		{name: "unlimited swap alone", mode: V2, r: memory(specs.LinuxMemory{Swap: ptr[int64](-1)}),
			want: []string{"memory.swap.max=max optional"}},
		{name: "no swap", mode: V2, r: memory(specs.LinuxMemory{Limit: ptr[int64](7), Swap: ptr[int64](7)}), // CGM-04
			want: []string{"memory.max=7", "memory.swap.max=0 optional"}},
		{name: "limit without swap", mode: V2, r: memory(specs.LinuxMemory{Limit: ptr[int64](7)}),
			want: []string{"memory.max=7"}},
		{name: "check", mode: V2, r: memory(specs.LinuxMemory{Limit: ptr[int64](7), CheckBeforeUpdate: ptr(true)}), // CGM-09
			want: []string{"memory.max=7 notbelow memory.current"}},
		{name: "check of unlimited", mode: V2, r: memory(specs.LinuxMemory{Limit: ptr[int64](-1), CheckBeforeUpdate: ptr(true)}),
			want: []string{"memory.max=max", "memory.swap.max=max optional"}},
		{name: "swap alone", mode: V2, r: memory(specs.LinuxMemory{Swap: ptr[int64](8)}), // CGM-03
			errs: []string{"linux.resources.memory.swap: 8 includes memory"}},
		{name: "v1 only", mode: V2, r: memory(specs.LinuxMemory{ // CGM-06 CGM-07 CGM-08
			Swappiness: ptr[uint64](0), DisableOOMKiller: ptr(true), UseHierarchy: ptr(false),
		}), errs: []string{
			"linux.resources.memory.swappiness: cannot", "linux.resources.memory.disableOOMKiller: cannot",
			"linux.resources.memory.useHierarchy: false cannot",
		}},
	})
}

func cpu(c specs.LinuxCPU) specs.LinuxResources { return specs.LinuxResources{CPU: &c} }

func TestCompileCPU(t *testing.T) {
	runCompile(t, []compileTest{
		{name: "all", mode: V1, r: cpu(specs.LinuxCPU{ // CGC-01 CGC-02 CGC-04 CGC-05 CGC-06
			Shares: ptr[uint64](512), Quota: ptr[int64](20000), Period: ptr[uint64](50000), Burst: ptr[uint64](20000),
			RealtimeRuntime: ptr[int64](-1), RealtimePeriod: ptr[uint64](90), Cpus: "0-3,7", Mems: "0",
		}), want: []string{
			"cpu.shares=512", "cpu.cfs_period_us=50000", "cpu.cfs_quota_us=20000", "cpu.cfs_burst_us=20000",
			"cpu.rt_period_us=90", "cpu.rt_runtime_us=-1", "cpuset.cpus=0-3,7", "cpuset.mems=0",
		}},
		{name: "all", mode: V2, r: cpu(specs.LinuxCPU{
			Shares: ptr[uint64](512), Quota: ptr[int64](20000), Period: ptr[uint64](50000), Burst: ptr[uint64](20000),
			Idle: ptr[int64](0), RealtimeRuntime: ptr[int64](0), RealtimePeriod: ptr[uint64](0), Cpus: "1", Mems: "0-1",
		}), want: []string{
			"cpu.idle=0 optional", "cpu.weight=59", "cpu.max=20000 50000", "cpu.max.burst=20000", "cpuset.cpus=1", "cpuset.mems=0-1",
		}},
		{name: "zeros are unset", mode: V1, r: cpu(zeroCPU()), want: []string{"cpu.cfs_burst_us=0 optional"}},
		{name: "zeros are unset", mode: V2, r: cpu(zeroCPU()), want: []string{"cpu.max.burst=0 optional"}},
		{name: "no quota", mode: V1, r: cpu(specs.LinuxCPU{Quota: ptr[int64](-5)}), want: []string{"cpu.cfs_quota_us=-1"}},
		{name: "no quota", mode: V2, r: cpu(specs.LinuxCPU{Quota: ptr[int64](-5)}), want: []string{"cpu.max=max"}}, // CGC-02
		{name: "no quota with period", mode: V2, r: cpu(specs.LinuxCPU{Quota: ptr[int64](-1), Period: ptr[uint64](9)}),
			want: []string{"cpu.max=max 9"}},
		{name: "quota alone", mode: V2, r: cpu(specs.LinuxCPU{Quota: ptr[int64](9)}), want: []string{"cpu.max=9"}}, // CGC-08
		{name: "period alone", mode: V2, r: cpu(specs.LinuxCPU{Period: ptr[uint64](9)}), want: []string{"cpu.max=9 keep"}},
		{name: "idle", mode: V2, r: cpu(specs.LinuxCPU{Idle: ptr[int64](1), Shares: ptr[uint64](2)}), // CGC-07
			want: []string{"cpu.idle=1"}, warns: []string{"linux.resources.cpu.shares: ignored"}},
		{name: "idle", mode: V1, r: cpu(specs.LinuxCPU{Idle: ptr[int64](1), Shares: ptr[uint64](2)}),
			want: []string{"cpu.idle=1"}, warns: []string{"linux.resources.cpu.shares: ignored"}},
		{name: "not idle", mode: V1, r: cpu(specs.LinuxCPU{Idle: ptr[int64](0), Shares: ptr[uint64](2)}),
			want: []string{"cpu.idle=0 optional", "cpu.shares=2"}},
		{name: "burst without quota", mode: V2, r: cpu(specs.LinuxCPU{Quota: ptr[int64](-1), Burst: ptr[uint64](10)}),
			want: []string{"cpu.max=max", "cpu.max.burst=10"}},
		{name: "realtime", mode: V2, r: cpu(specs.LinuxCPU{RealtimeRuntime: ptr[int64](1), RealtimePeriod: ptr[uint64](1)}), // CGC-05
			errs: []string{"linux.resources.cpu.realtimeRuntime: cannot", "linux.resources.cpu.realtimePeriod: cannot"}},
		{name: "blanks in lists", mode: V1, r: cpu(specs.LinuxCPU{Cpus: " 0 - 1, 3\n", Mems: " "}), want: []string{"cpuset.cpus=0-1,3"}}, // CGC-06
	})
}

func zeroCPU() specs.LinuxCPU {
	return specs.LinuxCPU{
		Shares: ptr[uint64](0), Quota: ptr[int64](0), Period: ptr[uint64](0), Burst: ptr[uint64](0),
		RealtimeRuntime: ptr[int64](0), RealtimePeriod: ptr[uint64](0),
	}
}

// CGC-01
func TestCPUWeight(t *testing.T) {
	for _, tt := range []struct{ shares, weight uint64 }{
		{1, 1}, {2, 1}, {3, 2}, {512, 59}, {1024, 100}, {2048, 174}, {262143, 10000}, {262144, 10000}, {1 << 40, 10000},
	} {
		if got := cpuWeight(tt.shares); got != tt.weight {
			t.Errorf("shares %d: weight %d, want %d", tt.shares, got, tt.weight)
		}
	}
}

func TestCompilePids(t *testing.T) {
	pids := func(limit *int64) specs.LinuxResources {
		return specs.LinuxResources{Pids: &specs.LinuxPids{Limit: limit}}
	}
	for mode, zero := range map[Mode]string{V1: "0", Hybrid: "0", V2: "1"} {
		runCompile(t, []compileTest{
			{name: "unset", mode: mode, r: pids(nil)}, // CGI-01
			{name: "limit", mode: mode, r: pids(ptr[int64](41)), want: []string{"pids.max=41"}},
			{name: "unlimited", mode: mode, r: pids(ptr[int64](-1)), want: []string{"pids.max=max"}},
			{name: "zero", mode: mode, r: pids(ptr[int64](0)), want: []string{"pids.max=" + zero}}, // CGI-02
		})
	}
}

func TestCompileBlkio(t *testing.T) {
	blkio := func(b specs.LinuxBlockIO) specs.LinuxResources { return specs.LinuxResources{BlockIO: &b} }
	dev := specs.LinuxBlockIODevice{Major: 8, Minor: 16}
	rate := func(n uint64) []specs.LinuxThrottleDevice {
		return []specs.LinuxThrottleDevice{{LinuxBlockIODevice: dev, Rate: n}}
	}
	runCompile(t, []compileTest{
		{name: "all", mode: V1, r: blkio(specs.LinuxBlockIO{ // CGB-01 CGB-02 CGB-03 CGB-04 CGB-05
			Weight: ptr[uint16](10), LeafWeight: ptr[uint16](1000),
			WeightDevice: []specs.LinuxWeightDevice{
				{LinuxBlockIODevice: dev, Weight: ptr[uint16](500), LeafWeight: ptr[uint16](300)},
				{LinuxBlockIODevice: dev, Weight: ptr[uint16](0)}, // CGB-06
			},
			ThrottleReadBpsDevice: rate(1), ThrottleWriteBpsDevice: rate(2),
			ThrottleReadIOPSDevice: rate(3), ThrottleWriteIOPSDevice: rate(0),
		}), want: []string{
			"blkio.weight=10", "blkio.bfq.weight=10 else", "blkio.leaf_weight=1000",
			"blkio.weight_device=8:16 500", "blkio.bfq.weight_device=8:16 500 else", "blkio.leaf_weight_device=8:16 300",
			"blkio.weight_device=8:16 default", "blkio.bfq.weight_device=8:16 default else",
			"blkio.throttle.read_bps_device=8:16 1", "blkio.throttle.write_bps_device=8:16 2",
			"blkio.throttle.read_iops_device=8:16 3", "blkio.throttle.write_iops_device=8:16 0",
		}},
		{name: "zero is unset", mode: V1, r: blkio(specs.LinuxBlockIO{Weight: ptr[uint16](0), LeafWeight: ptr[uint16](0)})},
		{name: "zero is unset", mode: V2, r: blkio(specs.LinuxBlockIO{Weight: ptr[uint16](0), LeafWeight: ptr[uint16](0)})},
	})
}

// Docker always sends these; without cgroups they must not stop a container.
func TestCompileNone(t *testing.T) {
	harmless := specs.LinuxResources{
		Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}},
		Memory:  &specs.LinuxMemory{DisableOOMKiller: ptr(false)},
		CPU:     &specs.LinuxCPU{Shares: ptr[uint64](0)},
		BlockIO: &specs.LinuxBlockIO{Weight: ptr[uint16](0)},
	}
	limits := specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr[int64](9)}, Pids: &specs.LinuxPids{Limit: ptr[int64](9)},
	}
	runCompile(t, []compileTest{
		{name: "no limits", mode: None, r: harmless,
			warns: []string{"linux.resources.devices: rules are not enforced without cgroups"}},
		{name: "limits", mode: None, r: limits, errs: []string{
			"linux.resources.memory.limit: no cgroup hierarchy is mounted",
			"linux.resources.pids.limit: no cgroup hierarchy is mounted",
		}},
	})
}
