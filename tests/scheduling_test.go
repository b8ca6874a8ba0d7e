package tests

import (
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// SCHED-01 SCHED-02 SCHED-04 IOP-01 IOP-02 IOP-03: of the program, and of what it starts.
func TestScheduling(t *testing.T) {
	r := newRuntime(t)
	own := scheduledOf(t, 0).nice // the idle policy has none to set
	for name, c := range map[string]struct {
		scheduler       specs.Scheduler
		io              specs.LinuxIOPriority
		want, wantChild scheduled
	}{
		"batch": {specs.Scheduler{Policy: specs.SchedBatch, Nice: 4}, specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 6},
			scheduled{unix.SCHED_BATCH, 4, 2<<13 | 6}, scheduled{unix.SCHED_BATCH, 4, 2<<13 | 6}},
		"idle": {specs.Scheduler{Policy: specs.SchedIdle}, specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_IDLE},
			scheduled{unix.SCHED_IDLE, own, 3 << 13}, scheduled{unix.SCHED_IDLE, own, 3 << 13}},
		"not for children": {
			specs.Scheduler{Policy: specs.SchedBatch, Nice: -5, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}},
			specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_RT, Priority: 2},
			scheduled{unix.SCHED_BATCH, -5, 1<<13 | 2}, scheduled{unix.SCHED_BATCH, 0, 1<<13 | 2}},
	} {
		b := newBundle(t, user(1000, 1000), args("/bin/sh", "-c", "sleep 100 & wait"),
			proc(func(p *specs.Process) { p.Scheduler, p.IOPriority = &c.scheduler, &c.io }))
		ctr := r.runDetached(b)
		pid, children := strconv.Itoa(ctr.pid), ""
		eventually(t, "a child", func() bool {
			children = strings.TrimSpace(readFile(t, procPath(ctr.pid, "task/"+pid+"/children")))
			return children != ""
		})
		child, err := strconv.Atoi(children)
		if err != nil {
			t.Fatal(err)
		}
		if got := scheduledOf(t, ctr.pid); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		if got := scheduledOf(t, child); got != c.wantChild {
			t.Errorf("%s: a child is %+v, want %+v", name, got, c.wantChild)
		}
		ctr.stop()
		ctr.delete()
	}
}

// SCHED-01 SCHED-03 SCHED-05: the real-time policies, where the host grants them to the container's cgroup.
func TestRealtimeScheduling(t *testing.T) {
	r := newRuntime(t)
	for policy, c := range map[uint32]struct {
		in   specs.Scheduler
		want unix.SchedAttr
	}{
		unix.SCHED_FIFO: {specs.Scheduler{Policy: specs.SchedFIFO, Priority: 10}, unix.SchedAttr{Priority: 10}},
		unix.SCHED_RR:   {specs.Scheduler{Policy: specs.SchedRR, Priority: 99}, unix.SchedAttr{Priority: 99}},
		unix.SCHED_DEADLINE: {specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 1e6, Deadline: 1e7, Period: 2e7},
			unix.SchedAttr{Runtime: 1e6, Deadline: 1e7, Period: 2e7}},
	} {
		b := newBundle(t, proc(func(p *specs.Process) { p.Scheduler = &c.in }))
		id := r.id()
		if res := r.do("create", "--bundle", b.dir, id); res.code != 0 {
			checkError(t, "create", res.stderr, "process.scheduler: schedule as "+string(c.in.Policy), "sched_setattr: ")
			t.Logf("%s: %s", c.in.Policy, res.stderr)
			continue
		}
		r.live = append(r.live, id)
		got, err := unix.SchedGetAttr(r.state(id).Pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		c.want.Size, c.want.Policy = got.Size, policy
		if got.Flags, got.Nice = 0, 0; *got != c.want {
			t.Errorf("%s: %+v, want %+v", c.in.Policy, *got, c.want)
		}
	}
}

// scheduled is how a process gets CPU time and I/O.
type scheduled struct {
	policy uint32
	nice   int32
	io     int
}

func scheduledOf(t *testing.T, pid int) scheduled {
	t.Helper()
	attr, err := unix.SchedGetAttr(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	const process = 1
	io, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, process, uintptr(pid), 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	return scheduled{attr.Policy, attr.Nice, int(io)}
}

// SCHED-06 IOP-01: in a user namespace nobody has the capability, and the error says so.
func TestSchedulingRefused(t *testing.T) {
	r := newRuntime(t)
	for want, change := range map[string]func(*specs.Process){
		"process.scheduler: schedule as SCHED_FIFO priority 10": func(p *specs.Process) {
			p.Scheduler = &specs.Scheduler{Policy: specs.SchedFIFO, Priority: 10}
		},
		"excludes cpuset limits": func(p *specs.Process) {
			p.Scheduler = &specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 1e6, Deadline: 1e7, Period: 1e7}
		},
		"a lower nice value": func(p *specs.Process) { p.Scheduler = &specs.Scheduler{Policy: specs.SchedOther, Nice: -3} },
		"process.ioPriority: ": func(p *specs.Process) {
			p.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_RT}
		},
	} {
		b := newBundle(t, userNamespace(), proc(change))
		r.refuse(call{args: r.runLine(b)}, want, "operation not permitted", "CAP_SYS_NICE")
	}
}

// MPOL-01 MPOL-02 MPOL-03 MPOL-04
func TestMemoryPolicy(t *testing.T) {
	r := newRuntime(t)
	policy := func(mode specs.MemoryPolicyModeType, nodes string, flags ...specs.MemoryPolicyFlagType) edit {
		return linux(func(l *specs.Linux) {
			l.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: mode, Nodes: nodes, Flags: flags}
		})
	}
	for want, e := range map[string]edit{
		"default":         policy(specs.MpolDefault, ""),
		"bind:0":          policy(specs.MpolBind, "0"),
		"bind=static:0":   policy(specs.MpolBind, "0", specs.MpolFStaticNodes),
		"interleave:0":    policy(specs.MpolInterleave, "0-0"),
		"prefer:0":        policy(specs.MpolPreferred, "0"),
		"local":           policy(specs.MpolLocal, ""),
		"prefer (many):0": policy(specs.MpolPreferredMany, "0"),
	} {
		line, _, _ := strings.Cut(r.sh("cat /proc/1/numa_maps", e), "\n")
		if _, got, _ := strings.Cut(line, " "); !strings.HasPrefix(got, want+" ") {
			t.Errorf("%q, want %s", line, want)
		}
	}
	r.fails("linux.memoryPolicy: take memory by MPOL_BIND from nodes 900", r.runLine(newBundle(t, policy(specs.MpolBind, "900")))...)
}
