package cgroups

import (
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestCompileIO(t *testing.T) {
	io := func(b specs.LinuxBlockIO) specs.LinuxResources { return specs.LinuxResources{BlockIO: &b} }
	dev := specs.LinuxBlockIODevice{Major: 8, Minor: 16}
	rate := func(n uint64) []specs.LinuxThrottleDevice {
		return []specs.LinuxThrottleDevice{{LinuxBlockIODevice: dev, Rate: n}}
	}
	runCompile(t, []compileTest{
		{name: "all", mode: V2, r: io(specs.LinuxBlockIO{ // CGB-01 CGB-03 CGB-04 CGB-05 CGB-06 UNI-08
			Weight: ptr[uint16](500),
			WeightDevice: []specs.LinuxWeightDevice{
				{LinuxBlockIODevice: dev, Weight: ptr[uint16](1000), LeafWeight: ptr[uint16](0)},
				{LinuxBlockIODevice: dev, Weight: ptr[uint16](0)},
			},
			ThrottleReadBpsDevice: rate(1), ThrottleWriteBpsDevice: rate(1 << 40),
			ThrottleReadIOPSDevice: rate(3), ThrottleWriteIOPSDevice: rate(0),
		}), want: []string{
			"io.bfq.weight=500", "io.weight=4950 else",
			"io.bfq.weight=8:16 1000", "io.weight=8:16 10000 else",
			"io.bfq.weight=8:16 default", "io.weight=8:16 default else",
			"io.max=8:16 rbps=1", "io.max=8:16 wbps=1099511627776", "io.max=8:16 riops=3", "io.max=8:16 wiops=max",
		}},
		{name: "least weight", mode: V2, r: io(specs.LinuxBlockIO{Weight: ptr[uint16](10)}),
			want: []string{"io.bfq.weight=10", "io.weight=1 else"}},
		{name: "v1 only", mode: V2, r: io(specs.LinuxBlockIO{
			LeafWeight: ptr[uint16](10), WeightDevice: []specs.LinuxWeightDevice{{LinuxBlockIODevice: dev, LeafWeight: ptr[uint16](10)}}, // CGB-02
		}), errs: []string{
			"linux.resources.blockIO.leafWeight: cannot be expressed", "linux.resources.blockIO.weightDevice[0].leafWeight: cannot be expressed",
		}},
	})
}

func TestCompileHugetlb(t *testing.T) {
	pages := func(size string, limit uint64) specs.LinuxResources {
		return specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: size, Limit: limit}}}
	}
	onV1 := []string{ // CGH-02 CGH-03; a hybrid host may have it on v2
		"hugetlb.2MB.limit_in_bytes=4096", "hugetlb.2MB.max=4096 else",
		"hugetlb.2MB.rsvd.limit_in_bytes=4096 optional", "hugetlb.2MB.rsvd.max=4096 optional",
	}
	runCompile(t, []compileTest{
		{name: "limit", mode: V1, r: pages("2MB", 4096), want: onV1},
		{name: "limit", mode: Hybrid, r: pages("2MB", 4096), want: onV1},
		{name: "limit", mode: V2, r: pages("64KB", 4096), want: []string{"hugetlb.64KB.max=4096", "hugetlb.64KB.rsvd.max=4096 optional"}},
		{name: "zero", mode: V2, r: pages("1GB", 0), want: []string{"hugetlb.1GB.max=0", "hugetlb.1GB.rsvd.max=0 optional"}},
	})
}

func TestCompileNetwork(t *testing.T) {
	network := func(n specs.LinuxNetwork) specs.LinuxResources { return specs.LinuxResources{Network: &n} }
	both := network(specs.LinuxNetwork{ClassID: ptr[uint32](1048577), Priorities: []specs.LinuxInterfacePriority{
		{Name: "eth0", Priority: 500}, {Name: "lo", Priority: 0},
	}})
	runCompile(t, []compileTest{
		{name: "nothing", mode: V1, r: network(specs.LinuxNetwork{})},
		{name: "both", mode: V1, r: both, want: []string{ // CGN-01 CGN-02
			"net_cls.classid=1048577", "net_prio.ifpriomap=eth0 500", "net_prio.ifpriomap=lo 0",
		}},
		{name: "no class", mode: Hybrid, r: network(specs.LinuxNetwork{ClassID: ptr[uint32](0)}), want: []string{"net_cls.classid=0 optional"}},
		{name: "no class", mode: V2, r: network(specs.LinuxNetwork{ClassID: ptr[uint32](0)})},
		{name: "both", mode: V2, r: both, errs: []string{ // UNI-09
			"linux.resources.network.classID: cannot be expressed on cgroup v2",
			"linux.resources.network.priorities: cannot be expressed on cgroup v2",
		}},
	})
}

func TestCompileRdma(t *testing.T) { // CGR-01
	for _, mode := range []Mode{V1, V2} {
		runCompile(t, []compileTest{
			{name: "limits", mode: mode, r: specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{
				"mlx5_1": {HcaHandles: ptr[uint32](3), HcaObjects: ptr[uint32](10000)},
				"mlx4_0": {HcaObjects: ptr[uint32](0)}, "mlx4_1": {HcaHandles: ptr[uint32](7)},
			}}, want: []string{
				"rdma.max=mlx4_0 hca_object=0", "rdma.max=mlx4_1 hca_handle=7", "rdma.max=mlx5_1 hca_handle=3 hca_object=10000",
			}},
		})
	}
}

func TestCompileUnified(t *testing.T) {
	unified := func(pairs ...string) specs.LinuxResources {
		m := make(map[string]string)
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return specs.LinuxResources{Unified: m}
	}
	last := unified("pids.max", "9", "memory.oom.group", "1")
	last.Pids = &specs.LinuxPids{Limit: ptr[int64](7)}
	runCompile(t, []compileTest{
		{name: "unknown files too", mode: V2, r: unified("misc.max", "sev 3", "cgroup.max.depth", "2"), // UNI-01 UNI-03
			want: []string{"cgroup.max.depth=2 last", "misc.max=sev 3 last"}},
		{name: "after what is converted", mode: V2, r: last, // UNI-07
			want: []string{"pids.max=7", "memory.oom.group=1 last", "pids.max=9 last"}},
		{name: "lines", mode: V2, r: unified("io.max", "8:0 rbps=1\n\n8:16 wbps=2\n"), // UNI-06
			want: []string{"io.max=8:0 rbps=1 last", "io.max=8:16 wbps=2 last"}},
		{name: "empty", mode: V2, r: unified("cpuset.cpus", ""), want: []string{"cpuset.cpus= last"}},
		{name: "driven", mode: V2, r: unified("cgroup.freeze", "1", "cgroup.procs", "1"), errs: []string{
			`linux.resources.unified["cgroup.freeze"]: the runtime`, `linux.resources.unified["cgroup.procs"]: the runtime`,
		}},
		{name: "v1", mode: V1, r: unified("pids.max", "1"), errs: []string{"linux.resources.unified: needs a host with"}},
		{name: "hybrid", mode: Hybrid, r: unified("pids.max", "1"), errs: []string{"linux.resources.unified: needs a host with"}},
		{name: "none", mode: None, r: unified("pids.max", "1"), errs: []string{"linux.resources.unified: needs a host with"}},
	})
}

// UNI-02 UNI-04: an entry tells which controller its file needs.
func TestUnifiedController(t *testing.T) {
	writes, _, err := Compile(V2, &specs.LinuxResources{Unified: map[string]string{"hugetlb.2MB.rsvd.max": "0"}})
	if err != nil || len(writes) != 1 || writes[0].Controller != "hugetlb" {
		t.Errorf("%v, %v", writes, err)
	}
}
