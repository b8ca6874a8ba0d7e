package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Limits as the kernel enforces them: what a program can and cannot do. That the right numbers stand in the right
// files is TestLimits'.

// apart gives the container a cgroup namespace. Without one runc's mount of cgroup v2 takes the options nsdelegate and
// memory_recursiveprot off the host's, and peers are asked here, too.
func apart(s *specs.Spec) { namespace(specs.CgroupNamespace, "")(s) }

// counter returns a number of a file "key number" in the container's cgroup.
func (c *container) counter(controller, file, key string) int {
	c.t.Helper()
	text := readFile(c.t, filepath.Join(cgroupDir(c.t, controller, c.bundle.cgroup), file))
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, key+" "); ok {
			n, err := strconv.Atoi(strings.TrimSpace(value))
			if err != nil {
				c.t.Fatal(err)
			}
			return n
		}
	}
	c.t.Fatalf("no %s in %s:\n%s", key, file, text)
	return 0
}

// CGM-01: whom the limit has ended is counted in the container's cgroup.
func TestMemoryKillIsCounted(t *testing.T) { memoryKillIsCounted(t, newRuntime(t)) }

func memoryKillIsCounted(t *testing.T, r *ociRuntime) {
	t.Helper()
	c := r.runDetached(newBundle(t, apart, args("/bin/sh", "-c", "exec 2>/dev/null; tail -c 200m /dev/zero; sleep 1000"), resources(func(r *specs.LinuxResources) {
		memory(r).Limit, memory(r).Swap = ptr(int64(16<<20)), ptr(int64(16<<20))
	})))
	file := "memory.events"
	if onV1("memory") {
		file = "memory.oom_control"
	}
	eventually(t, "a process is killed", func() bool { return c.counter("memory", file, "oom_kill") == 1 })
	if got := c.status(); got != "running" {
		t.Errorf("the container is %s", got)
	}
}

// cpuTime is what the container has used of processors.
func (c *container) cpuTime() time.Duration {
	c.t.Helper()
	if onV1("cpuacct") {
		text := readFile(c.t, filepath.Join(cgroupDir(c.t, "cpuacct", c.bundle.cgroup), "cpuacct.usage"))
		ns, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			c.t.Fatal(err)
		}
		return time.Duration(ns)
	}
	return time.Duration(c.counter("cpu", "cpu.stat", "usage_usec")) * time.Microsecond
}

// CGC-02: programs that want two processors get about the quota, a tenth of one; more than half of one is too much.
// The kernel counts the periods, so that the speed of the machine does not matter; what a period is overdrawn by comes
// off the next ones, which is why the average is waited for. All counters only grow: what is to be less is read first.
func TestCPUQuotaHolds(t *testing.T) { cpuQuotaHolds(t, newRuntime(t)) }

func cpuQuotaHolds(t *testing.T, r *ociRuntime) {
	t.Helper()
	const quota, period, many = 10 * time.Millisecond, 100 * time.Millisecond, 20
	c := r.runDetached(newBundle(t, apart, args("/bin/sh", "-c", "while :; do :; done & while :; do :; done"), resources(func(r *specs.LinuxResources) {
		cpu(r).Quota, cpu(r).Period = ptr(quota.Microseconds()), ptr(uint64(period.Microseconds()))
	})))
	count := func(key string) int { return c.counter("cpu", "cpu.stat", key) }
	eventually(t, "it is throttled in many periods", func() bool { return count("nr_throttled") >= many })
	if used, least := c.cpuTime(), many*quota/4; used < least {
		t.Errorf("used %v in %d periods that took the quota, less than %v", used, many, least)
	}
	eventually(t, "half a processor is more than it gets", func() bool {
		used := c.cpuTime()
		return used < time.Duration(count("nr_periods"))*period/2
	})
}

// CGC-06: the program, and what it starts, stays on the processors of the set.
func TestCpusetPins(t *testing.T) { cpusetPins(t, newRuntime(t)) }

func cpusetPins(t *testing.T, r *ociRuntime) {
	t.Helper()
	for cpu := range min(2, runtime.NumCPU()) {
		set := strconv.Itoa(cpu)
		// Asking for more is no error; the kernel gives what the set allows.
		out := r.sh("grep Cpus_allowed_list /proc/$$/status; taskset -p ff $$ >/dev/null; grep Cpus_allowed_list /proc/$$/status",
			apart, resources(func(r *specs.LinuxResources) { r.CPU = &specs.LinuxCPU{Cpus: set} }))
		wantLines(t, out, "Cpus_allowed_list:\t"+set, "Cpus_allowed_list:\t"+set)
	}
}

// ST-04: a paused program gets no processor time, however much others use meanwhile.
func TestPausedUsesNoTime(t *testing.T) { pausedUsesNoTime(t, newRuntime(t)) }

func pausedUsesNoTime(t *testing.T, r *ociRuntime) {
	t.Helper()
	c := r.runDetached(newBundle(t, apart, args("/bin/sh", "-c", "while :; do :; done")))
	eventually(t, "it runs", func() bool { return c.cpuTime() > 0 })
	ticks := func() string { return strings.Fields(readFile(t, procPath(c.pid, "stat")))[13] } // utime
	r.ok("pause", c.id)
	before := ticks()
	for start := ownTime(t); ownTime(t) < start+300*time.Millisecond; { // a tick is 10 ms
	}
	if after := ticks(); after != before {
		t.Errorf("utime went from %s to %s", before, after)
	}
	r.ok("resume", c.id)
	eventually(t, "it goes on", func() bool { return ticks() != before })
}

// ownTime is the processor time of the tests themselves.
func ownTime(t *testing.T) time.Duration {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &now); err != nil {
		t.Fatal(err)
	}
	return time.Duration(now.Nano())
}

// scratchDisk is the disk that the tests' directory is on, by number; 0 without one, or without a kernel that throttles
// disks. Partitions have no limits of their own.
func scratchDisk() (major, minor int64) {
	var st unix.Stat_t
	if err := unix.Stat(os.TempDir(), &st); err != nil {
		return 0, 0
	}
	major, minor = int64(unix.Major(st.Dev)), int64(unix.Minor(st.Dev))
	if _, err := os.Stat(fmt.Sprintf("/sys/dev/block/%d:%d/queue", major, minor)); err != nil {
		return 0, 0
	}
	for _, root := range suite.cgroups {
		for _, file := range []string{"blkio.throttle.write_bps_device", "init.scope/io.max", "system.slice/io.max"} {
			if _, err := os.Stat(filepath.Join(root.dir, file)); err == nil {
				return major, minor
			}
		}
	}
	return 0, 0
}

// CGB-04: writing takes at least as long as the limit wants, while no disk takes that long for so little.
func TestIOLimitHolds(t *testing.T) { ioLimitHolds(t, newRuntime(t)) }

func ioLimitHolds(t *testing.T, r *ociRuntime) {
	t.Helper()
	const rate, size, block = 256 << 10, 512 << 10, 16 << 10 // bytes per second, bytes
	b := newBundle(t, apart, mounts(bind(tempDir(t), "/disk")), args("dd", "if=/dev/zero", "of=/disk/file", "bs="+strconv.Itoa(block),
		"count="+strconv.Itoa(size/block), "oflag=direct"), resources(func(r *specs.LinuxResources) {
		device := specs.LinuxThrottleDevice{Rate: rate}
		device.Major, device.Minor = scratchDisk()
		r.BlockIO = &specs.LinuxBlockIO{ThrottleWriteBpsDevice: []specs.LinuxThrottleDevice{device}}
	}))
	start := time.Now()
	if res := r.run(b); res.code != 0 {
		t.Fatalf("exit %d, %s", res.code, res.stderr)
	}
	// The kernel lets a first slice of 100 ms through at once.
	if took, least := time.Since(start), time.Second*size/rate/2; took < least {
		t.Errorf("%d bytes at %d per second took %v", size, rate, took)
	}
}
