package tests

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// event is a line of events, with every key that go-runc knows, and no other
// but pressure.
type event struct {
	Type string
	ID   string
	Data *stats
}

func (e event) isOOM() bool { return e.Type == "oom" && e.ID != "" && e.Data == nil }

type stats struct {
	CPU struct {
		Usage struct {
			Total, Kernel, User uint64
			Percpu              []uint64
			PercpuKernel        []uint64 `json:"percpu_kernel"`
			PercpuUser          []uint64 `json:"percpu_user"`
		}
		Throttling struct{ Periods, ThrottledPeriods, ThrottledTime uint64 }
		PSI        any
	}
	CPUSet struct {
		CPUs, Mems            []uint16
		CPUExclusive          uint64 `json:"cpu_exclusive"`
		MemHardwall           uint64 `json:"mem_hardwall"`
		MemExclusive          uint64 `json:"mem_exclusive"`
		MemoryMigrate         uint64 `json:"memory_migrate"`
		MemorySpreadPage      uint64 `json:"memory_spread_page"`
		MemorySpreadSlab      uint64 `json:"memory_spread_slab"`
		MemoryPressure        uint64 `json:"memory_pressure"`
		SchedLoadBalance      uint64 `json:"sched_load_balance"`
		SchedRelaxDomainLevel int64  `json:"sched_relax_domain_level"`
	}
	Memory struct {
		Cache                          uint64
		Usage, Swap, Kernel, KernelTCP struct{ Limit, Usage, Max, Failcnt uint64 }
		Raw                            map[string]uint64
		PSI                            any
	}
	Pids  struct{ Current, Limit uint64 }
	Blkio struct {
		IoServiceBytesRecursive, IoServicedRecursive, IoServiceTimeRecursive, IoWaitTimeRecursive,
		IoMergedRecursive, IoTimeRecursive, SectorsRecursive []blkioEntry
		IoQueuedRecursive []blkioEntry `json:"ioQueueRecursive"`
		PSI               any
	}
	Hugetlb           map[string]struct{ Usage, Max, Failcnt uint64 }
	IntelRdt          any              `json:"intel_rdt"`
	NetworkInterfaces []map[string]any `json:"network_interfaces"`
}

type blkioEntry struct {
	Major, Minor, Value uint64
	Op                  string
}

// parseEvents reads the lines that are complete.
func parseEvents(t *testing.T, text string) (all []event) {
	t.Helper()
	for line := range strings.Lines(text) {
		if !strings.HasSuffix(line, "\n") {
			break
		}
		var e event
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&e); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		all = append(all, e)
	}
	return all
}

// stats returns what events --stats prints.
func (c *container) stats() stats {
	c.t.Helper()
	all := parseEvents(c.t, c.ok("events", "--stats", c.id).stdout)
	if len(all) != 1 || all[0].Type != "stats" || all[0].ID != c.id || all[0].Data == nil {
		c.t.Fatalf("%+v", all)
	}
	return *all[0].Data
}

// CLI-16: the numbers are those of the kernel's files.
func TestStats(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t, args("/bin/sh", "-c", "sleep 1001 & sleep 1002 & cat /bin/busybox >/tmp/copy; echo copied; wait"),
		resources(func(r *specs.LinuxResources) {
			memory(r).Limit, memory(r).Swap = ptr(int64(64<<20)), ptr(int64(96<<20))
			cpu(r).Cpus, cpu(r).Mems = "0", "0"
			r.Pids = &specs.LinuxPids{Limit: ptr(int64(41))}
			r.HugepageLimits = []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}}
		})))
	eventually(t, "a copied file", func() bool { return c.made.later(t) == "copied\n" && c.stats().Memory.Cache > 0 })
	r.ok("pause", c.id) // so that the numbers stay
	var got, want map[string]uint64
	eventually(t, "they are those of the files", func() bool {
		got, want = c.stats().numbers(), c.numbers()
		return maps.Equal(got, want)
	})
	for key, least := range map[string]uint64{"pids": 3, "limit of pids": 41, "limit of memory": 64 << 20, "limit with swap": 96 << 20,
		"cpu": 1, "memory": 1, "raw pgfault": 1} {
		if want[key] < least {
			t.Errorf("%s is %d of %v", key, want[key], want)
		}
	}
	s := c.stats()
	if !slices.Equal(s.CPUSet.CPUs, []uint16{0}) || !slices.Equal(s.CPUSet.Mems, []uint16{0}) {
		t.Errorf("cpuset: %+v", s.CPUSet)
	}
	if h, ok := s.Hugetlb["2MB"]; !ok || h.Usage != 0 {
		t.Errorf("hugetlb: %+v", s.Hugetlb)
	}
	c.stop()
	r.fails("container not running", "events", "--stats", c.id)
	r.fails("container not running", "events", c.id)
}

// numbers are what both versions of cgroups count, and what the kernel itself calls raw.
func (s stats) numbers() map[string]uint64 {
	all := map[string]uint64{"cpu": s.CPU.Usage.Total, "memory": s.Memory.Usage.Usage, "limit of memory": s.Memory.Usage.Limit,
		"limit with swap": s.Memory.Swap.Limit, "pids": s.Pids.Current, "limit of pids": s.Pids.Limit}
	for i, n := range s.CPU.Usage.Percpu {
		all["cpu "+strconv.Itoa(i)] = n
	}
	for key, n := range s.Memory.Raw {
		all["raw "+key] = n
	}
	return all
}

// numbers are the same, from the kernel's files.
func (c *container) numbers() map[string]uint64 {
	c.t.Helper()
	words := func(controller, file string) []string {
		return strings.Fields(readFile(c.t, filepath.Join(cgroupDir(c.t, controller, c.bundle.cgroup), file)))
	}
	all := map[string]uint64{}
	set := func(key, word string) {
		n, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			c.t.Fatal(err)
		}
		all[key] = n
	}
	set("pids", words("pids", "pids.current")[0])
	set("limit of pids", words("pids", "pids.max")[0])
	if onV1("memory") {
		set("cpu", words("cpuacct", "cpuacct.usage")[0])
		for i, word := range words("cpuacct", "cpuacct.usage_percpu") {
			set("cpu "+strconv.Itoa(i), word)
		}
		set("memory", words("memory", "memory.usage_in_bytes")[0])
		set("limit of memory", words("memory", "memory.limit_in_bytes")[0])
		set("limit with swap", words("memory", "memory.memsw.limit_in_bytes")[0])
	} else {
		set("cpu", words("cpu", "cpu.stat")[1]+"000") // of µs
		set("memory", words("memory", "memory.current")[0])
		set("limit of memory", words("memory", "memory.max")[0])
		set("limit with swap", words("memory", "memory.swap.max")[0])
		all["limit with swap"] += all["limit of memory"]
	}
	for pair := range slices.Chunk(words("memory", "memory.stat"), 2) {
		set("raw "+pair[0], pair[1])
	}
	return all
}

// CLI-16: a quota shows in what is counted.
func TestStatsThrottling(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t, args("/bin/sh", "-c", "while :; do :; done"), resources(func(r *specs.LinuxResources) {
		cpu(r).Quota, cpu(r).Period = ptr(int64(1000)), ptr(uint64(10000))
	})))
	eventually(t, "the processor is taken away", func() bool { return c.stats().CPU.Throttling.ThrottledTime > 0 })
	s := c.stats()
	if th := s.CPU.Throttling; th.ThrottledPeriods == 0 || th.Periods < th.ThrottledPeriods || s.CPU.Usage.Total == 0 {
		t.Errorf("%+v", s.CPU)
	}
}

// CLI-16: each interface but lo is listed, with capital letters.
func TestStatsNetwork(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t, capabilities("CAP_NET_ADMIN", "CAP_NET_RAW"), args("/bin/sh", "-c",
		`
		ip link add dev0 type veth && ip link set dev0 up && ip link set veth0 up && ip addr add 10.9.8.7/24 dev dev0
		ping -c 1 -W 1 10.9.8.9 >/dev/null 2>&1; echo done; sleep 1000`)))
	eventually(t, "the interface has been used", func() bool { return c.made.later(t) == "done\n" })
	list := c.stats().NetworkInterfaces
	slices.SortFunc(list, func(a, b map[string]any) int { return strings.Compare(a["Name"].(string), b["Name"].(string)) })
	if len(list) != 2 || list[0]["Name"] != "dev0" || list[0]["TxPackets"] == 0.0 || list[0]["TxBytes"] == 0.0 || list[1]["RxPackets"] == 0.0 {
		t.Fatalf("%v", list)
	}
	for _, key := range []string{"RxBytes", "RxPackets", "RxErrors", "RxDropped", "TxBytes", "TxErrors", "TxDropped"} {
		if _, ok := list[0][key]; !ok || len(list[0]) != 9 {
			t.Errorf("%v: no %s", list[0], key)
		}
	}
	host := r.runDetached(newBundle(t, without(specs.NetworkNamespace)))
	if list := host.stats().NetworkInterfaces; list != nil {
		t.Errorf("the host's interfaces count as the container's: %v", list)
	}
}

// CLI-16: a stream of both kinds, which ends with the container.
func TestEvents(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/sh", "-c", `while [ ! -e /go ]; do sleep 0.01; done; tail -c 200m /dev/zero; sleep 1000`),
		resources(func(r *specs.LinuxResources) {
			memory(r).Limit, memory(r).Swap = ptr(int64(16<<20)), ptr(int64(16<<20))
		}))
	c := r.runDetached(b)
	follow := r.follow("events", "--interval", "20ms", c.id)
	follow.await("statistics come", func(all []event) bool { return len(all) > 2 })
	for _, e := range follow.events() {
		if e.Type != "stats" || e.ID != c.id || e.Data.Memory.Usage.Limit != 16<<20 {
			t.Fatalf("%+v", e)
		}
	}
	b.write("go", "", 0o644)
	follow.await("the kernel is heard", func(all []event) bool { return slices.ContainsFunc(all, event.isOOM) })
	n := len(follow.events())
	follow.await("statistics go on", func(all []event) bool { return len(all) > n && all[len(all)-1].Type == "stats" })
	c.stop()
	if res := follow.end(); res.code != 0 || res.stderr != "" {
		t.Errorf("exit %d, %s", res.code, res.stderr)
	}
	c.delete()
}

// CLI-16: one lack of memory is one event, also where the kernel ends all processes for it.
// Systemd would remove the cgroup with its last process, maybe before the kernel is heard.
func TestEventsOnce(t *testing.T) {
	r := newCgroupfsRuntime(t)
	b := newBundle(t, onCgroupfs, args("/bin/sh", "-c", `sleep 1001 & sleep 1002 & sleep 1003 & while [ ! -e /go ]; do sleep 0.01; done; sh -c "exec tail -c 200m /dev/zero"; sleep 1000`),
		resources(func(r *specs.LinuxResources) {
			memory(r).Limit, memory(r).Swap = ptr(int64(16<<20)), ptr(int64(16<<20))
			if !onV1("memory") {
				r.Unified = map[string]string{"memory.oom.group": "1"}
			}
		}))
	c := r.runDetached(b)
	follow := r.follow("events", "--interval", "20ms", c.id)
	follow.await("statistics come", func(all []event) bool { return len(all) > 0 })
	b.write("go", "", 0o644)
	follow.await("the kernel is heard", func(all []event) bool { return slices.ContainsFunc(all, event.isOOM) })
	if onV1("memory") { // where the others live on
		n := len(follow.events())
		follow.await("statistics go on", func(all []event) bool { return len(all) > n+5 })
		c.stop()
	}
	if res := follow.end(); res.code != 0 || res.stderr != "" {
		t.Errorf("exit %d, %s", res.code, res.stderr)
	}
	if all := slices.DeleteFunc(follow.events(), func(e event) bool { return !e.isOOM() }); len(all) != 1 {
		t.Errorf("%d times out of memory", len(all))
	}
	c.awaitStatus("stopped")
	c.delete()
}

// CLI-16: the last thing to happen is told too: init itself is killed. Systemd may remove a unit's cgroup before anybody
// has read in it what for.
func TestEventsOfTheEnd(t *testing.T) {
	r := newCgroupfsRuntime(t)
	b := newBundle(t, onCgroupfs, args("/bin/sh", "-c", `while [ ! -e /go ]; do sleep 0.01; done; exec tail -c 200m /dev/zero`),
		resources(func(r *specs.LinuxResources) {
			memory(r).Limit, memory(r).Swap = ptr(int64(16<<20)), ptr(int64(16<<20))
		}))
	c := r.runDetached(b)
	follow := r.follow("events", "--interval", "2ms", c.id)
	follow.await("statistics come", func(all []event) bool { return len(all) > 0 })
	b.write("go", "", 0o644)
	if res := follow.end(); res.code != 0 || res.stderr != "" {
		t.Errorf("exit %d, %s", res.code, res.stderr)
	}
	if all := follow.events(); !slices.ContainsFunc(all, event.isOOM) {
		t.Errorf("no oom in %+v", all)
	}
	c.awaitStatus("stopped")
	c.delete()
}

// A container that is paused and deleted meanwhile is an end like any other.
func TestEventsOfDelete(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t))
	follow := r.follow("events", "--interval", "5ms", c.id)
	follow.await("statistics come", func(all []event) bool { return len(all) > 0 })
	r.ok("pause", c.id)
	n := len(follow.events())
	follow.await("a paused container has statistics", func(all []event) bool { return len(all) > n })
	c.delete("--force")
	if res := follow.end(); res.code != 0 || res.stderr != "" {
		t.Errorf("exit %d, %s", res.code, res.stderr)
	}
}

func TestEventsRefusals(t *testing.T) {
	r := newRuntime(t)
	r.fails("events: ID is missing", "events")
	r.fails("does not exist", "events", r.id())
	r.fails("does not exist", "events", "--stats", r.id())
	for _, interval := range []string{"0", "-1s", "x"} {
		r.fails("interval", "events", "--interval", interval, r.id())
	}
}

// follower is an events command at work.
type follower struct {
	*ociRuntime
	out   string
	ended chan struct{} // closed when it has ended
	res   result
	err   error
}

func (r *ociRuntime) follow(args ...string) *follower {
	r.t.Helper()
	f := &follower{ociRuntime: r, out: filepath.Join(tempDir(r.t), "events"), ended: make(chan struct{})}
	writeFile(r.t, f.out, "")
	if err := os.Chmod(f.out, 0o666); err != nil { // the runtime may be another user's
		r.t.Fatal(err)
	}
	wait := r.start(call{wrap: []string{"/bin/sh", "-c", `out=$1; shift; exec "$@" >"$out"`, "sh", f.out}, args: args})
	go func() {
		defer close(f.ended)
		f.res, f.err = wait()
	}()
	return f
}

func (f *follower) events() []event {
	f.t.Helper()
	return parseEvents(f.t, readFile(f.t, f.out))
}

func (f *follower) await(what string, ok func([]event) bool) {
	f.t.Helper()
	eventually(f.t, what, func() bool {
		select {
		case <-f.ended: // and nothing more will come
			if !ok(f.events()) {
				f.t.Fatalf("did not happen before the end, exit %d (%v): %s\n%s", f.res.code, f.err, what, f.res.stderr)
			}
			return true
		default:
			return ok(f.events())
		}
	})
}

// end waits for the command to end by itself.
func (f *follower) end() result {
	f.t.Helper()
	<-f.ended
	if f.err != nil {
		f.t.Fatal(f.err)
	}
	return f.res
}
