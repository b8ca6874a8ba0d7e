package cgroups

import (
	"errors"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// pageSize is a size of huge pages that all test hosts have.
const pageSize = "2MB"

func hugepages(size string, limit uint64) specs.LinuxResources {
	return specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: size, Limit: limit}}}
}

// CGH-01 CGH-02 CGH-03
func testHugetlb(t *testing.T, l Layout) {
	g := newGroup(t, l, testRoot+"/a")
	writes := compile(t, g, hugepages(pageSize, 4<<20))
	if err := planAndCreate(g, writes); err != nil {
		t.Fatal(err)
	}
	if err := g.Apply(writes); err != nil {
		t.Fatal(err)
	}
	suffix := "max"
	if _, v1 := g.Paths()["hugetlb"]; v1 {
		suffix = "limit_in_bytes"
	}
	expectFiles(t, g, map[string]string{
		"hugetlb/hugetlb.2MB." + suffix:      "4194304",
		"hugetlb/hugetlb.2MB.rsvd." + suffix: "4194304",
	})
	err := g.Apply(compile(t, g, hugepages("3MB", 1)))
	if !errors.Is(err, unix.ENOENT) || !strings.HasPrefix(err.Error(), "linux.resources.hugepageLimits[0]: ") ||
		!strings.Contains(err.Error(), "no huge pages of that size") {
		t.Errorf("3MB: %v", err)
	}
	end(t, g)
}

// CGR-01 CGN-01 CGN-02: a controller that is nowhere is named.
func testAbsentController(t *testing.T, l Layout) {
	for _, tt := range []struct {
		controller, field string
		r                 specs.LinuxResources
	}{
		{"rdma", `linux.resources.rdma["mlx5_0"]`, specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{"mlx5_0": {HcaHandles: ptr[uint32](1)}}}},
		{"net_cls", "linux.resources.network.classID", specs.LinuxResources{Network: &specs.LinuxNetwork{ClassID: ptr[uint32](1)}}},
		{"net_prio", "linux.resources.network.priorities[0]", specs.LinuxResources{Network: &specs.LinuxNetwork{
			Priorities: []specs.LinuxInterfacePriority{{Name: "lo", Priority: 1}}}}},
	} {
		g := newGroup(t, l, testRoot+"/a")
		if mounted(l, tt.controller) {
			continue // testNetworkV1 and testRdma have it
		}
		err := planAndCreate(g, compile(t, g, tt.r))
		if err == nil || !strings.HasPrefix(err.Error(), tt.field+": ") || !strings.Contains(err.Error(), tt.controller+" ") {
			t.Errorf("%s: %v", tt.controller, err)
		}
	}
}

func mounted(l Layout, controller string) bool {
	for _, h := range l {
		if h.has(controller) {
			return true
		}
		if available, err := readFile(h.Mount + "/cgroup.controllers"); err == nil && strings.Contains(available, controller) {
			return true
		}
	}
	return false
}

// CGN-01 CGN-02
func testNetworkV1(t *testing.T, l Layout) {
	g := create(t, l, "/a")
	lo := specs.LinuxResources{Network: &specs.LinuxNetwork{
		ClassID: ptr[uint32](0x100001), Priorities: []specs.LinuxInterfacePriority{{Name: "lo", Priority: 5}},
	}}
	if err := g.Apply(compile(t, g, lo)); err != nil {
		t.Fatal(err)
	}
	expectFiles(t, g, map[string]string{"net_cls/net_cls.classid": "1048577"})
	dir, err := g.dirOf("net_prio")
	if err != nil {
		t.Fatal(err)
	}
	if text := mustRead(t, dir+"/net_prio.ifpriomap"); !strings.Contains(text, "lo 5\n") {
		t.Errorf("net_prio.ifpriomap: %q", text)
	}
	lo.Network.Priorities[0].Name = "nonesuch0"
	err = g.Apply(compile(t, g, lo))
	if !errors.Is(err, unix.ENODEV) || !strings.Contains(err.Error(), "no such network interface") {
		t.Errorf("an interface that is not there: %v", err)
	}
	end(t, g)
}

// CGC-05: runtime and period bound each other, and the parent both.
func testRealtimeV1(t *testing.T, l Layout) {
	g := create(t, l, "") // below the root, which has all of it
	for _, step := range [][2]int64{{10000, 500000}, {5000, 250000}, {400000, 500000}, {1000, 2000}} {
		err := g.Apply(compile(t, g, cpu(specs.LinuxCPU{RealtimeRuntime: &step[0], RealtimePeriod: ptr(uint64(step[1]))})))
		if err != nil {
			t.Error(err)
		}
		expectFiles(t, g, map[string]string{"cpu/cpu.rt_runtime_us": itoa(step[0]), "cpu/cpu.rt_period_us": itoa(step[1])})
	}
	below := create(t, l, "/a")
	err := below.Apply(compile(t, below, cpu(specs.LinuxCPU{RealtimeRuntime: ptr[int64](900000)})))
	if !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "the parent cgroup has no such realtime budget") {
		t.Errorf("more than the parent has: %v", err)
	}
	end(t, below)
	end(t, g)
}

// CGR-01
func testRdma(t *testing.T, l Layout) {
	r := specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{"nonesuch0": {HcaHandles: ptr[uint32](1)}}}
	g := newGroup(t, l, testRoot+"/a")
	writes := compile(t, g, r)
	if err := planAndCreate(g, writes); err != nil {
		t.Fatal(err)
	}
	err := g.Apply(writes)
	if !errors.Is(err, unix.ENODEV) || !strings.Contains(err.Error(), "no such RDMA device") {
		t.Errorf("a device that is not there: %v", err)
	}
	end(t, g)
}

// CGB-01 CGB-03 CGB-04 CGB-05 CGB-06
func testIOV2(t *testing.T, l Layout) {
	dev := disk(t)
	rate := func(n uint64) []specs.LinuxThrottleDevice {
		return []specs.LinuxThrottleDevice{{LinuxBlockIODevice: dev, Rate: n}}
	}
	r := specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{
		Weight: ptr[uint16](500), ThrottleReadBpsDevice: rate(1 << 20), ThrottleWriteIOPSDevice: rate(300),
	}}
	g := newGroup(t, l, testRoot+"/a")
	writes := compile(t, g, r)
	if err := planAndCreate(g, writes); err != nil {
		t.Fatal(err)
	}
	err := g.Apply(writes)
	switch {
	case exists(g.V2Dir() + "/io.bfq.weight"):
		expectFiles(t, g, map[string]string{"io/io.bfq.weight": "default 500"})
	case exists(g.V2Dir() + "/io.weight"):
		expectFiles(t, g, map[string]string{"io/io.weight": "default 4950"})
	default:
		if !errors.Is(err, unix.ENOENT) {
			t.Errorf("a weight without a file for it: %v", err)
		}
		r.BlockIO.Weight = nil
		err = g.Apply(compile(t, g, r))
	}
	if err != nil {
		t.Fatal(err)
	}
	number := itoa(dev.Major) + ":" + itoa(dev.Minor)
	expectFiles(t, g, map[string]string{"io/io.max": number + " rbps=1048576 wbps=max riops=max wiops=300"})
	err = g.Apply(compile(t, g, specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{
		ThrottleReadBpsDevice: rate(0), ThrottleReadIOPSDevice: rate(7),
	}}))
	if err != nil {
		t.Fatal(err)
	}
	expectFiles(t, g, map[string]string{"io/io.max": number + " rbps=max wbps=max riops=7 wiops=300"})
	dev.Minor = 255
	err = g.Apply(compile(t, g, specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{ThrottleWriteBpsDevice: rate(1)}}))
	if !errors.Is(err, unix.ENODEV) || !strings.Contains(err.Error(), itoa(dev.Major)+":255 wbps=1") {
		t.Errorf("a disk that is not there: %v", err)
	}
	end(t, g)
}

// UNI-01 UNI-02 UNI-03 UNI-04 UNI-06 UNI-07
func testUnifiedV2(t *testing.T, l Layout) {
	dev := disk(t)
	number := itoa(dev.Major) + ":" + itoa(dev.Minor)
	r := specs.LinuxResources{
		Pids: &specs.LinuxPids{Limit: ptr[int64](41)},
		Unified: map[string]string{
			"pids.max": "43", "memory.high": "64M", "memory.oom.group": "1", "cgroup.max.depth": "3",
			"io.max": number + " rbps=4096\n" + number + " wbps=8192\n", "hugetlb.2MB.max": "0", "cpuset.cpus": "",
		},
	}
	g := newGroup(t, l, testRoot+"/a")
	writes := compile(t, g, r)
	if err := planAndCreate(g, writes); err != nil {
		t.Fatal(err)
	}
	if err := g.Apply(writes); err != nil {
		t.Fatal(err)
	}
	expectFiles(t, g, map[string]string{
		"pids/pids.max": "43", "memory/memory.high": "67108864", "memory/memory.oom.group": "1", "cgroup/cgroup.max.depth": "3",
		"io/io.max": number + " rbps=4096 wbps=8192 riops=max wiops=max", "hugetlb/hugetlb.2MB.max": "0",
	})
	// An empty value resets what takes it.
	set := specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0"}, Unified: map[string]string{"cpuset.cpus": ""}}
	if err := g.Apply(compile(t, g, set)); err != nil {
		t.Error(err)
	}
	expectFiles(t, g, map[string]string{"cpuset/cpuset.cpus": ""})
	// The converted quota is tried twice, being below the present burst at first.
	for _, r := range []specs.LinuxResources{
		cpu(specs.LinuxCPU{Quota: ptr[int64](30000), Burst: ptr[uint64](10000)}),
		{CPU: &specs.LinuxCPU{Quota: ptr[int64](5000), Burst: ptr[uint64](5000)}, Unified: map[string]string{"cpu.max": "7000"}},
	} {
		if err := g.Apply(compile(t, g, r)); err != nil {
			t.Error(err)
		}
	}
	expectFiles(t, g, map[string]string{"cpu/cpu.max": "7000 100000"})
	end(t, g)

	for file, want := range map[string]string{
		"foo.max":    `linux.resources.unified["foo.max"]: the foo controller is not available in /`,
		"memory.foo": `linux.resources.unified["memory.foo"]: open /`,
	} {
		g := newGroup(t, l, testRoot+"/b")
		writes := compile(t, g, specs.LinuxResources{Unified: map[string]string{file: "1"}})
		err := planAndCreate(g, writes)
		if err == nil {
			err = g.Apply(writes)
			end(t, g)
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", file, err)
		}
	}
}
