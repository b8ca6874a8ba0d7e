package cgroups

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const mib = int64(1 << 20)

func testLimitsV1(t *testing.T, l Layout) {
	g := newGroup(t, l, testRoot+"/a")
	writes := compile(t, g, specs.LinuxResources{
		Memory: &specs.LinuxMemory{
			Limit: ptr(64 * mib), Reservation: ptr(32 * mib), Swap: ptr(128 * mib),
			Swappiness: ptr[uint64](10), DisableOOMKiller: ptr(true), UseHierarchy: ptr(true),
		},
		CPU: &specs.LinuxCPU{
			Shares: ptr[uint64](512), Quota: ptr[int64](20000), Period: ptr[uint64](50000), Burst: ptr[uint64](10000),
			Cpus: "0", Mems: "0",
		},
		Pids: &specs.LinuxPids{Limit: ptr[int64](41)},
		BlockIO: &specs.LinuxBlockIO{ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{
			{LinuxBlockIODevice: disk(t), Rate: 1 << 30},
		}},
	})
	if err := planAndCreate(g, writes); err != nil {
		t.Fatal(err)
	}
	if err := g.Apply(writes); err != nil {
		t.Fatal(err)
	}
	dev := disk(t)
	expectFiles(t, g, map[string]string{
		"memory/memory.limit_in_bytes":          itoa(64 * mib), // CGM-01
		"memory/memory.soft_limit_in_bytes":     itoa(32 * mib), // CGM-02
		"memory/memory.memsw.limit_in_bytes":    itoa(128 * mib),
		"memory/memory.swappiness":              "10", // CGM-06
		"cpu/cpu.shares":                        "512",
		"cpu/cpu.cfs_quota_us":                  "20000",
		"cpu/cpu.cfs_period_us":                 "50000",
		"cpu/cpu.cfs_burst_us":                  "10000", // CGC-04
		"cpuset/cpuset.cpus":                    "0",     // CGC-06
		"cpuset/cpuset.mems":                    "0",
		"pids/pids.max":                         "41",                                                    // CGI-01
		"blkio/blkio.throttle.read_bps_device":  itoa(dev.Major) + ":" + itoa(dev.Minor) + " 1073741824", // CGB-04
		"blkio/blkio.throttle.write_bps_device": "",
	})
	oom, err := readFile(g.Paths()["memory"] + "/memory.oom_control")
	if err != nil || !strings.HasPrefix(oom, "oom_kill_disable 1\n") { // CGM-07
		t.Errorf("memory.oom_control: %q, %v", oom, err)
	}
	if err := g.Apply(compile(t, g, specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](0)}})); err != nil {
		t.Error(err)
	}
	expectFiles(t, g, map[string]string{"pids/pids.max": "0"}) // CGI-02
	// CGB-01: the file is there with the scheduler.
	err = g.Apply(compile(t, g, specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: ptr[uint16](300)}}))
	if exists(g.Paths()["blkio"] + "/blkio.bfq.weight") {
		expectFiles(t, g, map[string]string{"blkio/blkio.bfq.weight": "300"})
	} else if !errors.Is(err, unix.ENOENT) {
		t.Errorf("a weight without BFQ: %v", err)
	}
	end(t, g)
}

// disk is a disk of this host.
func disk(t *testing.T) (dev specs.LinuxBlockIODevice) {
	t.Helper()
	disks, err := filepath.Glob("/sys/block/*/device") // what has none is a loop or the like
	if err != nil || len(disks) == 0 {
		t.Fatalf("this host has no disk, %v", err)
	}
	number := mustRead(t, filepath.Dir(disks[0])+"/dev")
	if _, err := fmt.Sscanf(number, "%d:%d", &dev.Major, &dev.Minor); err != nil {
		t.Fatal(err)
	}
	return dev
}

// CGM-12 CGC-04: which of two values goes first depends on the present ones.
func testUpdateV1(t *testing.T, l Layout) {
	g := create(t, l, "/a")
	for _, step := range []struct {
		memory, swap, quota, burst int64
	}{
		{64 * mib, 64 * mib, 50000, 50000},
		{128 * mib, 256 * mib, 80000, 80000},
		{16 * mib, 32 * mib, 10000, 10000},
		{-1, 0, -1, 0},
		{32 * mib, 32 * mib, 20000, 0},
	} {
		swap := ptr(step.swap)
		if step.swap == 0 {
			swap = nil
		}
		err := g.Apply(compile(t, g, specs.LinuxResources{
			Memory: &specs.LinuxMemory{Limit: &step.memory, Swap: swap},
			CPU:    &specs.LinuxCPU{Quota: &step.quota, Burst: ptr(uint64(step.burst))},
		}))
		if err != nil {
			t.Errorf("%+v: %v", step, err)
			continue
		}
		memory, memsw := itoa(step.memory), itoa(step.swap)
		if step.memory == -1 { // CGM-04
			memory = "9223372036854771712"
			memsw = memory
		}
		expectFiles(t, g, map[string]string{
			"memory/memory.limit_in_bytes":       memory,
			"memory/memory.memsw.limit_in_bytes": memsw,
			"cpu/cpu.cfs_quota_us":               itoa(step.quota),
			"cpu/cpu.cfs_burst_us":               itoa(step.burst),
			"cpu/cpu.cfs_period_us":              "100000", // CGC-08
		})
	}
	end(t, g)
}

func testErrorsV1(t *testing.T, l Layout) {
	g := create(t, l, "/a")
	nodev := []specs.LinuxThrottleDevice{{LinuxBlockIODevice: specs.LinuxBlockIODevice{Major: 511, Minor: 7}, Rate: 1}}
	for _, tt := range []struct {
		r     specs.LinuxResources
		errno unix.Errno
		want  []string
	}{
		{specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{ThrottleWriteIOPSDevice: nodev}}, unix.ENODEV, []string{
			"linux.resources.blockIO.throttleWriteIOPSDevice[0]: write 511:7 1 to /",
			"/blkio.throttle.write_iops_device: no such device (there is no such block device)",
		}},
		{cpu(specs.LinuxCPU{Cpus: "1000"}), 0, []string{ // EINVAL or ERANGE
			"linux.resources.cpu.cpus: write 1000 to /", "/cpuset.cpus: ", "(the parent cgroup or this host does not",
		}},
		{cpu(specs.LinuxCPU{Quota: ptr[int64](7)}), unix.EINVAL, []string{"linux.resources.cpu.quota: write 7 to", "out of range"}},
		{memory(specs.LinuxMemory{Swap: ptr(mib)}), unix.EINVAL, []string{
			"linux.resources.memory.swap: ", "it must not be below the memory limit",
		}},
		{memory(specs.LinuxMemory{UseHierarchy: ptr(false)}), unix.EINVAL, []string{"linux.resources.memory.useHierarchy: "}}, // CGM-08
		{specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{LeafWeight: ptr[uint16](10)}}, unix.ENOENT, []string{
			"linux.resources.blockIO.leafWeight: open", "not known to this kernel",
		}},
	} {
		err := g.Apply(compile(t, g, tt.r))
		if err == nil || tt.errno != 0 && !errors.Is(err, tt.errno) {
			t.Errorf("%v, want %v: %q", err, tt.errno, tt.want)
			continue
		}
		for _, part := range tt.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v lacks %q", err, part)
			}
		}
	}
	end(t, g)
}

// CGD-01 CGD-05 CGD-07 CGD-09
func testDevicesV1(t *testing.T, l Layout) {
	g := create(t, l, "/a")
	expectFiles(t, g, map[string]string{"devices/devices.list": "a *:* rwm"})
	err := g.Apply(compile(t, g, specs.LinuxResources{Devices: rules(
		"deny", "allow c 1:11 rw", "allow c 1:10 rw", "deny c 1:11 w",
	)}))
	if err != nil {
		t.Fatal(err)
	}
	want := "c 1:11 r\nc 1:10 rw\n" + strings.ReplaceAll(strings.Join(defaults, "\n"), "allow ", "")
	// The order of the rules in the list is the kernel's.
	expectLines(t, g.Paths()["devices"]+"/devices.list", want)
	if err := g.Apply(compile(t, g, specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](9)}})); err != nil {
		t.Error(err)
	}
	expectLines(t, g.Paths()["devices"]+"/devices.list", want)
	c := join(t, g, `
		(: < /dev/null) && (: > /dev/null) && echo "null open"
		(: < /dev/kmsg) 2>/dev/null && echo "kmsg read"
		(: > /dev/kmsg) 2>/dev/null || echo "kmsg not written"
		(: < /dev/vda) 2>/dev/null || echo "vda not read"`)
	for _, want := range []string{"null open", "kmsg read", "kmsg not written", "vda not read"} {
		if line := c.line(t); line != want {
			t.Errorf("the child said %q, want %q", line, want)
		}
	}
	end(t, g)
}

func expectLines(t *testing.T, file, want string) {
	t.Helper()
	text, err := readFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(want + "\n") {
		if !strings.Contains(text, line) {
			t.Errorf("%s lacks %q", file, line)
		}
	}
	if len(text) != len(want)+1 {
		t.Errorf("%s: %q, want %q", file, text, want)
	}
}
