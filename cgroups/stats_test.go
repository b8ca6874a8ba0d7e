package cgroups

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// fixture is a group whose directories, by hierarchy, hold the files.
func fixture(t *testing.T, files map[string]string) *Group {
	t.Helper()
	g := new(Group)
	root := t.TempDir()
	made := map[string]bool{}
	for name, text := range files {
		hierarchy, file := filepath.Split(name)
		hierarchy = strings.TrimSuffix(hierarchy, "/")
		dirPath := filepath.Join(root, "tree", hierarchy)
		if !made[hierarchy] {
			made[hierarchy] = true
			if err := os.MkdirAll(dirPath, 0o755); err != nil {
				t.Fatal(err)
			}
			g.dirs = append(g.dirs, dir{Hierarchy{Name: hierarchy}, dirPath})
		}
		if err := os.WriteFile(filepath.Join(dirPath, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// CLI-16: what each version's files say, in the names of runc's events.
func TestStatsFiles(t *testing.T) {
	const psi = "some avg10=1.50 avg60=0.25 avg300=0.00 total=77\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"
	wantPSI := &Pressure{Some: PressureLevel{Avg10: 1.5, Avg60: 0.25, Total: 77}, Full: PressureLevel{Total: 7}}
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  Stats
	}{
		{"cpu on v1", map[string]string{
			"cpu/cpu.stat":                 "nr_periods 10\nnr_throttled 3\nthrottled_time 12345\nwait_sum 7\nnr_bursts 2\nburst_time 9\n",
			"cpuacct/cpuacct.usage":        "555\n",
			"cpuacct/cpuacct.usage_percpu": "500 55 \n",
			"cpuacct/cpuacct.usage_all":    "cpu user system\n0 400 100\n1 50 5\n",
			"cpuacct/cpuacct.stat":         "user 12\nsystem 3\n",
		}, Stats{CPU: CPUStats{
			Usage: CPUUsage{Total: 555, Percpu: []uint64{500, 55}, PercpuUser: []uint64{400, 50}, PercpuKernel: []uint64{100, 5},
				User: 120_000_000, Kernel: 30_000_000},
			Throttling: Throttling{Periods: 10, ThrottledPeriods: 3, ThrottledTime: 12345},
		}}},
		{"cpu on v2", map[string]string{
			"/cpu.stat": "usage_usec 555\nuser_usec 500\nsystem_usec 55\ncore_sched.force_idle_usec 0\n" +
				"nr_periods 10\nnr_throttled 3\nthrottled_usec 12\nnr_bursts 2\nburst_usec 9\n",
			"/cpu.pressure": psi,
		}, Stats{CPU: CPUStats{
			Usage:      CPUUsage{Total: 555000, User: 500000, Kernel: 55000},
			Throttling: Throttling{Periods: 10, ThrottledPeriods: 3, ThrottledTime: 12000},
			PSI:        wantPSI,
		}}},
		{"cpuset on v1", map[string]string{
			"cpuset/cpuset.cpus": "0-2,7\n", "cpuset/cpuset.mems": "0\n", "cpuset/cpuset.cpu_exclusive": "1\n",
			"cpuset/cpuset.sched_relax_domain_level": "-1\n", "cpuset/cpuset.sched_load_balance": "1\n",
		}, Stats{CPUSet: CPUSetStats{CPUs: []uint16{0, 1, 2, 7}, Mems: []uint16{0}, CPUExclusive: 1, SchedLoadBalance: 1, SchedRelaxDomainLevel: -1}}},
		{"cpuset on v2", map[string]string{
			"/cpuset.cpus": "\n", "/cpuset.cpus.effective": "1,3-4\n", "/cpuset.mems.effective": "0-1\n",
		}, Stats{CPUSet: CPUSetStats{CPUs: []uint16{1, 3, 4}, Mems: []uint16{0, 1}}}},
		{"memory on v1", map[string]string{
			"memory/memory.stat":           "cache 4096\nrss 8192\n",
			"memory/memory.usage_in_bytes": "12288\n", "memory/memory.limit_in_bytes": "9223372036854771712\n",
			"memory/memory.max_usage_in_bytes": "16384\n", "memory/memory.failcnt": "5\n",
			"memory/memory.memsw.usage_in_bytes": "20480\n", "memory/memory.memsw.limit_in_bytes": "40960\n",
			"memory/memory.kmem.usage_in_bytes": "100\n", "memory/memory.kmem.tcp.failcnt": "2\n",
		}, Stats{Memory: MemoryStats{
			Cache: 4096, Raw: map[string]uint64{"cache": 4096, "rss": 8192},
			Usage: MemoryCounter{Limit: 9223372036854771712, Usage: 12288, Max: 16384, Failcnt: 5},
			Swap:  MemoryCounter{Limit: 40960, Usage: 20480}, Kernel: MemoryCounter{Usage: 100}, KernelTCP: MemoryCounter{Failcnt: 2},
		}}},
		{"memory on v2", map[string]string{
			"/memory.stat": "anon 8192\nfile 4096\n", "/memory.current": "12288\n", "/memory.max": "65536\n", "/memory.peak": "16384\n",
			"/memory.swap.current": "1000\n", "/memory.swap.max": "32768\n", "/memory.swap.peak": "2000\n", "/memory.pressure": psi,
		}, Stats{Memory: MemoryStats{
			Cache: 4096, Raw: map[string]uint64{"anon": 8192, "file": 4096},
			Usage: MemoryCounter{Limit: 65536, Usage: 12288, Max: 16384}, Swap: MemoryCounter{Limit: 98304, Usage: 13288},
			PSI: wantPSI,
		}}},
		{"no limit and no swap on v2", map[string]string{"/memory.current": "1\n", "/memory.max": "max\n", "/memory.swap.max": "max\n"},
			Stats{Memory: MemoryStats{
				Usage: MemoryCounter{Limit: math.MaxUint64, Usage: 1}, Swap: MemoryCounter{Limit: math.MaxUint64, Usage: 1},
			}}},
		{"pids", map[string]string{"pids/pids.current": "3\n", "pids/pids.max": "41\n"}, Stats{Pids: PidsStats{3, 41}}},
		{"pids without limit", map[string]string{"/pids.current": "3\n", "/pids.max": "max\n"}, Stats{Pids: PidsStats{Current: 3}}},
		{"hugetlb on v1", map[string]string{
			"hugetlb/hugetlb.2MB.usage_in_bytes": "1\n", "hugetlb/hugetlb.2MB.rsvd.usage_in_bytes": "2097152\n",
			"hugetlb/hugetlb.2MB.rsvd.max_usage_in_bytes": "4194304\n", "hugetlb/hugetlb.2MB.rsvd.failcnt": "6\n",
			"hugetlb/hugetlb.1GB.usage_in_bytes": "7\n",
		}, Stats{Hugetlb: map[string]HugetlbStats{"2MB": {2097152, 4194304, 6}, "1GB": {Usage: 7}}}},
		{"hugetlb of a hybrid host", map[string]string{
			"memory/memory.usage_in_bytes": "0\n", "/hugetlb.2MB.current": "2097152\n", "/hugetlb.2MB.events": "max 3\n",
		}, Stats{Hugetlb: map[string]HugetlbStats{"2MB": {Usage: 2097152, Failcnt: 3}}}},
	} {
		t.Run(tt.name, func(t *testing.T) { expectStats(t, tt.files, tt.want) })
	}
}

// expectStats compares what is read, but for maps that are empty.
func expectStats(t *testing.T, files map[string]string, want Stats) {
	t.Helper()
	got, err := fixture(t, files).Stats()
	if err != nil {
		t.Fatal(err)
	}
	if want.Hugetlb == nil {
		want.Hugetlb = map[string]HugetlbStats{}
	}
	if len(got.Memory.Raw) == 0 {
		got.Memory.Raw = nil
	}
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got:\n%+v\nwant:\n%+v", *got, want)
	}
}

func TestStatsOfDisks(t *testing.T) {
	read := func(v uint64) BlkioEntry { return BlkioEntry{8, 16, "Read", v} }
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  BlkioStats
	}{
		{"the throttle's", map[string]string{
			"blkio/blkio.bfq.io_serviced_recursive": "Total 0\n", "blkio/blkio.throttle.io_serviced": "8:16 Read 1\n",
			"blkio/blkio.throttle.io_serviced_recursive":      "8:16 Read 2\n8:16 Total 2\nTotal 2\n",
			"blkio/blkio.throttle.io_service_bytes_recursive": "8:16 Read 4096\n",
		}, BlkioStats{IoServicedRecursive: []BlkioEntry{read(2), {8, 16, "Total", 2}}, IoServiceBytesRecursive: []BlkioEntry{read(4096)}}},
		{"BFQ's", map[string]string{
			"blkio/blkio.bfq.io_serviced_recursive": "8:16 Read 3\n", "blkio/blkio.throttle.io_serviced_recursive": "8:16 Read 2\n",
			"blkio/blkio.bfq.sectors_recursive": "8:16 128\n", "blkio/blkio.bfq.io_queued_recursive": "8:16 Read 1\n",
		}, BlkioStats{IoServicedRecursive: []BlkioEntry{read(3)}, SectorsRecursive: []BlkioEntry{{8, 16, "", 128}}, IoQueuedRecursive: []BlkioEntry{read(1)}}},
		{"v2's", map[string]string{
			"/io.stat": "8:16 rbytes=4096 wbytes=512 rios=1 wios=2 dbytes=0 dios=0 cost.usage=9\n",
		}, BlkioStats{
			IoServiceBytesRecursive: []BlkioEntry{read(4096), {8, 16, "Write", 512}, {8, 16, "Discard", 0}},
			IoServicedRecursive:     []BlkioEntry{read(1), {8, 16, "Write", 2}, {8, 16, "Discard", 0}},
		}},
		{"v2's without line ends", map[string]string{"/io.stat": "7:1 7:0 8:16 rbytes=4096\n253:0 \n"},
			BlkioStats{IoServiceBytesRecursive: []BlkioEntry{read(4096)}}},
	} {
		t.Run(tt.name, func(t *testing.T) { expectStats(t, tt.files, Stats{Blkio: tt.want}) })
	}
}

// Whatever the kernel writes, it is read without an error, and becomes JSON.
func TestStatsOfAnyText(t *testing.T) {
	names := strings.Fields(`cpu.stat cpu.pressure memory.stat memory.current memory.max memory.swap.max memory.pressure io.stat io.pressure
		pids.current pids.max cpuset.cpus.effective hugetlb.2MB.current hugetlb.2MB.events hugetlb..current rdma.current rdma.max misc.current
		misc.max misc.events cpuset.cpus cpuset.sched_relax_domain_level cpuacct.stat cpuacct.usage_all cpuacct.usage_percpu
		blkio.throttle.io_serviced_recursive memory.usage_in_bytes`)
	for _, text := range []string{
		"", "\n", " \n\t\n", "some", "full avg10 total=", "some avg10=NaN avg60=Inf avg300=1e400 total=-1", "8:0", ":", "8: Read 1", "a:b rbytes=1",
		"99999999999999999999", "-1", "1-", "-", "5-1", "0-65536", ",,,", "max max", "x=max", "=", "\x00\xff", "1 2 3 4 5", "8:0 rbytes rios=", "Total",
	} {
		for _, tree := range []string{"", "cpu,cpuacct,memory,cpuset,blkio,pids,hugetlb,rdma,misc"} {
			files := map[string]string{}
			for _, name := range names {
				files[tree+"/"+name] = text
			}
			s, err := fixture(t, files).Stats()
			if err != nil {
				t.Errorf("%q: %v", text, err)
				continue
			}
			if _, err := json.Marshal(s); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
	}
}

// A group that is gone has nothing to count; a file that cannot be read is an
// error.
func TestStatsErrors(t *testing.T) {
	g := Open(Facts{Paths: map[string]string{"": filepath.Join(t.TempDir(), "gone")}})
	if s, err := g.Stats(); err != nil || s.Pids.Current != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	g = fixture(t, map[string]string{"pids/other": ""})
	if err := os.Mkdir(g.dirs[0].path+"/pids.current", 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Stats(); err == nil || !strings.Contains(err.Error(), "pids.current") {
		t.Error(err)
	}
}
