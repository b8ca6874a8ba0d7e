package tests

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// limit is one value of linux.resources, and the file of each cgroup version
// that shows it.
type limit struct {
	name       string
	set        func(*specs.LinuxResources)
	controller string
	v1, v2     []string // file and value in turn
}

var limits = []limit{
	{"CGM-01 limit", func(r *specs.LinuxResources) { memory(r).Limit = ptr(int64(64 << 20)) }, "memory",
		[]string{"memory.limit_in_bytes", "67108864"}, []string{"memory.max", "67108864"}},
	{"CGM-01 unlimited", func(r *specs.LinuxResources) { memory(r).Limit = ptr(int64(-1)) }, "memory",
		[]string{"memory.limit_in_bytes", "9223372036854771712"}, []string{"memory.max", "max"}},
	{"CGM-11 zero is unset", func(r *specs.LinuxResources) { memory(r).Limit = ptr(int64(0)) }, "memory",
		[]string{"memory.limit_in_bytes", "9223372036854771712"}, []string{"memory.max", "max"}},
	{"CGM-02", func(r *specs.LinuxResources) { memory(r).Reservation = ptr(int64(32 << 20)) }, "memory",
		[]string{"memory.soft_limit_in_bytes", "33554432"}, []string{"memory.low", "33554432"}},
	{"CGM-03", func(r *specs.LinuxResources) {
		memory(r).Limit, memory(r).Swap = ptr(int64(64<<20)), ptr(int64(96<<20))
	}, "memory",
		[]string{"memory.limit_in_bytes", "67108864", "memory.memsw.limit_in_bytes", "100663296"},
		[]string{"memory.max", "67108864", "memory.swap.max", "33554432"}},
	{"CGM-08", func(r *specs.LinuxResources) { memory(r).UseHierarchy = ptr(true) }, "memory", []string{"memory.use_hierarchy", "1"}, nil},
	{"CGM-04 no swap", func(r *specs.LinuxResources) {
		memory(r).Limit, memory(r).Swap = ptr(int64(64<<20)), ptr(int64(64<<20))
	}, "memory",
		[]string{"memory.memsw.limit_in_bytes", "67108864"}, []string{"memory.swap.max", "0"}},
	{"CGM-04 all of it", func(r *specs.LinuxResources) {
		memory(r).Limit, memory(r).Swap = ptr(int64(64<<20)), ptr(int64(-1))
	}, "memory",
		[]string{"memory.limit_in_bytes", "67108864", "memory.memsw.limit_in_bytes", "9223372036854771712"},
		[]string{"memory.max", "67108864", "memory.swap.max", "max"}},
	{"CGI-01", func(r *specs.LinuxResources) { r.Pids = &specs.LinuxPids{Limit: ptr(int64(41))} }, "pids",
		[]string{"pids.max", "41"}, []string{"pids.max", "41"}},
	{"CGI-01 unlimited", func(r *specs.LinuxResources) { r.Pids = &specs.LinuxPids{Limit: ptr(int64(-1))} }, "pids",
		[]string{"pids.max", "max"}, []string{"pids.max", "max"}},
	{"CGI-02", func(r *specs.LinuxResources) { r.Pids = &specs.LinuxPids{Limit: ptr(int64(0))} }, "pids",
		[]string{"pids.max", "0"}, []string{"pids.max", "1"}},
	{"CGC-07", func(r *specs.LinuxResources) { cpu(r).Idle = ptr(int64(1)) }, "cpu", []string{"cpu.idle", "1"}, []string{"cpu.idle", "1"}},
	{"CGC-01", func(r *specs.LinuxResources) { cpu(r).Shares = ptr(uint64(512)) }, "cpu",
		[]string{"cpu.shares", "512"}, []string{"cpu.weight", "59"}},
	{"CGC-01 default", func(r *specs.LinuxResources) { cpu(r).Shares = ptr(uint64(1024)) }, "cpu",
		[]string{"cpu.shares", "1024"}, []string{"cpu.weight", "100"}},
	{"CGC-01 least", func(r *specs.LinuxResources) { cpu(r).Shares = ptr(uint64(2)) }, "cpu",
		[]string{"cpu.shares", "2"}, []string{"cpu.weight", "1"}},
	{"CGC-01 most", func(r *specs.LinuxResources) { cpu(r).Shares = ptr(uint64(262144)) }, "cpu",
		[]string{"cpu.shares", "262144"}, []string{"cpu.weight", "10000"}},
	{"CGC-02", func(r *specs.LinuxResources) { cpu(r).Quota, cpu(r).Period = ptr(int64(50000)), ptr(uint64(200000)) }, "cpu",
		[]string{"cpu.cfs_quota_us", "50000", "cpu.cfs_period_us", "200000"}, []string{"cpu.max", "50000 200000"}},
	{"CGC-02 quota alone", func(r *specs.LinuxResources) { cpu(r).Quota = ptr(int64(50000)) }, "cpu",
		[]string{"cpu.cfs_quota_us", "50000"}, []string{"cpu.max", "50000 100000"}},
	{"CGC-04", func(r *specs.LinuxResources) { cpu(r).Quota, cpu(r).Burst = ptr(int64(50000)), ptr(uint64(20000)) }, "cpu",
		[]string{"cpu.cfs_quota_us", "50000", "cpu.cfs_burst_us", "20000"}, []string{"cpu.max", "50000 100000", "cpu.max.burst", "20000"}},
	{"CGC-06", func(r *specs.LinuxResources) { cpu(r).Cpus, cpu(r).Mems = "0", "0" }, "cpuset",
		[]string{"cpuset.cpus", "0", "cpuset.mems", "0"}, []string{"cpuset.cpus", "0", "cpuset.mems", "0"}},
	{"CGH-02 CGH-03", func(r *specs.LinuxResources) {
		r.HugepageLimits = []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}}
	}, "hugetlb",
		[]string{"hugetlb.2MB.limit_in_bytes", "4194304", "hugetlb.2MB.rsvd.limit_in_bytes", "4194304"},
		[]string{"hugetlb.2MB.max", "4194304", "hugetlb.2MB.rsvd.max", "4194304"}},
}

func memory(r *specs.LinuxResources) *specs.LinuxMemory {
	if r.Memory == nil {
		r.Memory = new(specs.LinuxMemory)
	}
	return r.Memory
}

func cpu(r *specs.LinuxResources) *specs.LinuxCPU {
	if r.CPU == nil {
		r.CPU = new(specs.LinuxCPU)
	}
	return r.CPU
}

// CGP-03 CGP-08 OPC-05 and the rows that the table names.
func TestLimits(t *testing.T) {
	for _, l := range limits {
		t.Run(l.name, func(t *testing.T) {
			r := newRuntime(t)
			c := r.create(newBundle(t, resources(l.set)))
			want := l.v2
			if onV1(l.controller) {
				want = l.v1
			}
			for pair := range slices.Chunk(want, 2) {
				path := filepath.Join(cgroupDir(t, l.controller, c.bundle.cgroup), pair[0])
				if got := strings.TrimSpace(readFile(t, path)); got != pair[1] {
					t.Errorf("%s holds %s, want %s", path, got, pair[1])
				}
			}
			c.start()
			c.stop()
			c.delete()
		})
	}
}

// CGI-01: the limit counts.
func TestPidsLimitHolds(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/sh", "-c", "for i in 1 2 3 4 5 6; do sleep 1000 & done; echo all"), resources(func(res *specs.LinuxResources) {
		res.Pids = &specs.LinuxPids{Limit: ptr(int64(4))}
	}))
	if res := r.run(b); strings.Contains(res.stdout, "all") || !strings.Contains(res.stderr, "fork") {
		t.Errorf("exit %d, %q %q", res.code, res.stdout, res.stderr)
	}
}

// CGM-01: the limit ends a program that wants more, in its own cgroup.
func TestMemoryLimitHolds(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/sh", "-c", "tail -c 200m /dev/zero; echo survived"), resources(func(res *specs.LinuxResources) {
		res.Memory = &specs.LinuxMemory{Limit: ptr(int64(16 << 20)), Swap: ptr(int64(16 << 20))}
	}))
	if res := r.run(b); !strings.Contains(res.stdout, "survived") || !strings.Contains(res.stderr, "Killed") {
		t.Errorf("exit %d, %q %q", res.code, res.stdout, res.stderr)
	}
}

// Small limits leave room for the runtime's own part in the container.
func TestSmallLimits(t *testing.T) {
	r := newRuntime(t)
	r.output(newBundle(t, args("/bin/true"), resources(func(res *specs.LinuxResources) {
		res.Pids = &specs.LinuxPids{Limit: ptr(int64(1))}
		res.Memory = &specs.LinuxMemory{Limit: ptr(int64(1 << 20))}
	})))
}

// CGP-03 CGP-04 CGP-05 CGP-06: where the cgroup is, wherever the caller is. CGP-09 CGP-21: it is at the same path in
// every hierarchy, also in those of controllers without a limit.
func TestCgroupsPath(t *testing.T) {
	r := newCgroupfsRuntime(t)
	caller := "/skep-test/" + suite.mark + "/caller"
	enter := ""
	for _, root := range suite.cgroups {
		dir := filepath.Join(root.dir, caller)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(dir) // what stays, the leak check sees
		if slices.Contains(root.controllers, "cpuset") {
			copyCpuset(t, filepath.Dir(filepath.Dir(dir)))
			copyCpuset(t, filepath.Dir(dir))
			copyCpuset(t, dir)
		}
		enter += "echo $$ >" + dir + "/cgroup.procs; "
	}
	for path, want := range map[string]string{
		"/skep-test/" + suite.mark + "/a/b/c":    "/skep-test/" + suite.mark + "/a/b/c",
		"/../../skep-test/" + suite.mark + "/up": "/skep-test/" + suite.mark + "/up",
		"relative-" + suite.mark + "/x":          "/skep/relative-" + suite.mark + "/x",
		"":                                       "",
	} {
		b := newBundle(t, linux(func(l *specs.Linux) { l.CgroupsPath = path }))
		c := r.make(b, call{args: []string{"create"}, wrap: []string{"/bin/sh", "-c", enter + `exec "$@"`, "sh"}})
		if path == "" {
			want = "/skep/" + c.id
		}
		for line := range strings.Lines(readFile(t, procPath(c.pid, "cgroup"))) {
			fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
			if fields[2] != want {
				t.Errorf("cgroupsPath %q: %s, want %s", path, fields, want)
			}
		}
		c.delete()
	}
	removeCgroups("/skep-test/" + suite.mark + "/a/b")
	removeCgroups("/skep/relative-" + suite.mark)
}

// CGP-07: what cannot be a cgroup is told so, and nothing is left of the way to it.
func TestCgroupsPathRefused(t *testing.T) {
	r := newCgroupfsRuntime(t)
	parent := "/skep-test/" + suite.mark + "/odd"
	for path, want := range map[string]string{
		"/": "linux.cgroupsPath", "..": "linux.cgroupsPath", parent + "/a\nb": "linux.cgroupsPath", parent + "/a\x00b": "linux.cgroupsPath",
		parent + "/cgroup.procs":                 "cgroup.procs is not a directory",
		parent + "/cgroup.procs/a":               "not a directory",
		parent + "/" + strings.Repeat("a", 4096): "name too long",
	} {
		b := newBundle(t, linux(func(l *specs.Linux) { l.CgroupsPath = path }))
		r.fails(want, "create", "--bundle", b.dir, r.id())
		for _, root := range suite.cgroups {
			if _, err := os.Stat(filepath.Join(root.dir, parent)); err == nil {
				t.Errorf("%q: left in %s", path, root.dir)
			}
		}
	}
}

// copyCpuset fills a new v1 cpuset from its parent: without it no process can
// enter.
func copyCpuset(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		value := readFile(t, filepath.Join(filepath.Dir(dir), name))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
}

// CGP-11 CGP-22: limits of an existing cgroup stay as they are, and so do cgroups that somebody else made below it, be
// it after a create that failed.
func TestCgroupWithoutResources(t *testing.T) {
	r := newCgroupfsRuntime(t)
	b := newBundle(t, onCgroupfs, linux(func(l *specs.Linux) { l.Resources = nil }))
	dir := makeCgroup(t, "pids", b.cgroup)
	if err := os.WriteFile(filepath.Join(dir, "pids.max"), []byte("33"), 0); err != nil {
		t.Fatal(err)
	}
	theirs, own := filepath.Join(dir, "theirs"), filepath.Join(dir, "own")
	if err := os.Mkdir(theirs, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(theirs)
	failing := b
	addHooks(failing, hookLists()[1], shHook("exit 3"))
	r.fails("hooks.", "create", "--bundle", failing.dir, r.id())
	wantLines(t, readFile(t, filepath.Join(dir, "pids.max")), "33")
	b.spec.Hooks = nil
	b.save()
	r.create(b)
	wantLines(t, readFile(t, filepath.Join(dir, "pids.max")), "33")
	if err := os.Mkdir(own, 0o755); err != nil {
		t.Fatal(err)
	}
	r.ok("delete", "--force", r.live[0])
	if _, err := os.Stat(theirs); err != nil {
		t.Errorf("a cgroup that was there before is gone: %v", err)
	}
	if _, err := os.Stat(own); err == nil {
		t.Error("a cgroup that was made below the container's is left")
	}
}

// CGD-01 CGD-03 CGD-04 CGD-05 CGD-07 CGP-22 DEV-09
func TestDeviceRules(t *testing.T) {
	r := newRuntime(t)
	// /dev/kmsg, which no default rule allows.
	kmsg := func(allow bool, access string) specs.LinuxDeviceCgroup {
		return specs.LinuxDeviceCgroup{Allow: allow, Type: "c", Major: ptr(int64(1)), Minor: ptr(int64(11)), Access: access}
	}
	deny := specs.LinuxDeviceCgroup{Allow: false, Access: "rwm"}
	some := kmsg(true, "r")
	some.Minor = nil
	blocks := specs.LinuxDeviceCgroup{Allow: true, Type: "b"}
	// There is no such disk, and maybe no tun: an open that the rules let pass says so.
	const show = `mknod /tmp/kmsg c 1 11; mknod /tmp/disk b 240 0; mknod /tmp/tun c 10 200
		for m in '<' '>' '<>'; do sh -c ": $m /tmp/kmsg" 2>/dev/null && echo "open $m"; done
		for d in disk tun; do sh -c ": </tmp/$d" 2>&1 | grep -q 'not permitted' || echo $d; done; : </dev/zero && echo zero`
	for _, rules := range []struct {
		list []specs.LinuxDeviceCgroup
		want string
	}{
		{nil, "tun zero"},
		{[]specs.LinuxDeviceCgroup{deny}, "tun zero"},
		{[]specs.LinuxDeviceCgroup{deny, blocks}, "disk tun zero"},
		{[]specs.LinuxDeviceCgroup{deny, {Allow: true}}, "open < open > open <> disk tun zero"},
		{[]specs.LinuxDeviceCgroup{deny, kmsg(true, "r")}, "open < tun zero"},
		{[]specs.LinuxDeviceCgroup{deny, kmsg(true, "rw")}, "open < open > open <> tun zero"},
		{[]specs.LinuxDeviceCgroup{deny, kmsg(true, "")}, "open < open > open <> tun zero"},
		{[]specs.LinuxDeviceCgroup{deny, some, kmsg(true, "w")}, "open < open > open <> tun zero"},
		{[]specs.LinuxDeviceCgroup{deny, kmsg(true, "w"), some}, "open < open > open <> tun zero"},
		{[]specs.LinuxDeviceCgroup{deny, kmsg(true, "rwm"), kmsg(false, "w")}, "open < tun zero"},
		{[]specs.LinuxDeviceCgroup{deny, kmsg(true, "rw"), deny}, "tun zero"},
	} {
		out := r.sh(show, capabilities("CAP_MKNOD", "CAP_SYSLOG"), resources(func(res *specs.LinuxResources) { res.Devices = rules.list }))
		if got := strings.Join(strings.Fields(out), " "); got != rules.want {
			t.Errorf("%s: %s, want %s", asJSON(t, rules.list), got, rules.want)
		}
	}
}
