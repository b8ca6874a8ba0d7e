package process

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// SCHED-01 SCHED-02 SCHED-03 SCHED-04 SCHED-05: what the specification calls things reaches the kernel's structure.
func TestScheduler(t *testing.T) {
	everyFlag := []specs.LinuxSchedulerFlag{
		specs.SchedFlagResetOnFork, specs.SchedFlagReclaim, specs.SchedFlagDLOverrun, specs.SchedFlagKeepPolicy,
		specs.SchedFlagKeepParams, specs.SchedFlagUtilClampMin, specs.SchedFlagUtilClampMax,
	}
	for _, c := range []struct {
		in   specs.Scheduler
		want plan.Scheduler
	}{
		{specs.Scheduler{Policy: "SCHED_OTHER", Nice: -20}, plan.Scheduler{Policy: 0, Nice: -20}},
		{specs.Scheduler{Policy: "SCHED_FIFO", Priority: 99}, plan.Scheduler{Policy: 1, Priority: 99}},
		{specs.Scheduler{Policy: "SCHED_RR", Priority: 1, Flags: everyFlag[:1]}, plan.Scheduler{Policy: 2, Priority: 1, Flags: 1}},
		{specs.Scheduler{Policy: "SCHED_BATCH", Nice: 19}, plan.Scheduler{Policy: 3, Nice: 19}},
		{specs.Scheduler{Policy: "SCHED_IDLE", Flags: everyFlag}, plan.Scheduler{Policy: 5, Flags: 0x7f}},
		{specs.Scheduler{Policy: "SCHED_DEADLINE", Runtime: 1, Deadline: 2, Period: 3, Flags: everyFlag[1:3]},
			plan.Scheduler{Policy: 6, Runtime: 1, Deadline: 2, Period: 3, Flags: 6}},
	} {
		c.want.Name = string(c.in.Policy)
		steps := scheduling(example(func(p *specs.Process) { p.Scheduler = &c.in }))
		if len(steps) != 1 || steps[0] != plan.Step(plan.For{Item: "process.scheduler", Step: c.want}) {
			t.Errorf("%+v becomes %+v, want %+v", c.in, steps, c.want)
		}
	}
}

// SCHED-01 SCHED-02 SCHED-04: what every machine grants, as the kernel has it while init waits.
func TestPlayScheduler(t *testing.T) {
	own, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		in   specs.Scheduler
		want unix.SchedAttr
	}{
		"nice":  {specs.Scheduler{Policy: specs.SchedOther, Nice: 7}, unix.SchedAttr{Policy: unix.SCHED_NORMAL, Nice: 7}},
		"batch": {specs.Scheduler{Policy: specs.SchedBatch, Nice: 3}, unix.SchedAttr{Policy: unix.SCHED_BATCH, Nice: 3}},
		"idle, reset": {specs.Scheduler{Policy: specs.SchedIdle, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}},
			unix.SchedAttr{Policy: unix.SCHED_IDLE, Nice: own.Nice, Flags: unix.SCHED_FLAG_RESET_ON_FORK}}, // it has no nice value to set
	} {
		init := launch(t, 0)
		init.atGate(example(at("/"), user(1000, 1000), func(p *specs.Process) { p.Scheduler = &c.in }), nil)
		got, err := unix.SchedGetAttr(init.Pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got.Policy != c.want.Policy || got.Nice != c.want.Nice || got.Flags != c.want.Flags {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// SCHED-06: in a user namespace nobody has CAP_SYS_NICE on the host.
func TestPlaySchedulerRefused(t *testing.T) {
	c := launchMapped(t, unix.CLONE_NEWUSER)
	phase, _, err := Settle(example(func(p *specs.Process) {
		p.Scheduler = &specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 1e6, Deadline: 1e7, Period: 1e7}
	}), c.host, false)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Run(phase)
	const want = "process.scheduler: schedule as SCHED_DEADLINE runtime 1000000 deadline 10000000 period 10000000: " +
		"sched_setattr: operation not permitted"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// IOP-01 IOP-02 IOP-03: a child of the program has it, too.
func TestPlayIOPriority(t *testing.T) {
	for _, c := range []struct {
		in   specs.LinuxIOPriority
		want int
	}{
		{specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_RT, Priority: 1}, 1<<13 | 1},
		{specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 7}, 2<<13 | 7},
		{specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_IDLE}, 3 << 13},
	} {
		init := launch(t, 0)
		init.play(&plan.Phase{Name: "group", Steps: []plan.Step{plan.Setsid{}}})
		init.atGate(example(at("/"), func(p *specs.Process) { p.IOPriority = &c.in }), nil)
		const process = 1
		got, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, process, uintptr(init.Pid), 0)
		if errno != 0 || int(got) != c.want {
			t.Errorf("%+v: %#x (%v), want %#x", c.in, got, errno, c.want)
		}
	}
}

// MPOL-01 MPOL-02 MPOL-03 MPOL-04
func TestPlayMemoryPolicy(t *testing.T) {
	for _, c := range []struct {
		in   specs.LinuxMemoryPolicy
		want string // in /proc/PID/numa_maps
	}{
		{specs.LinuxMemoryPolicy{Mode: specs.MpolDefault}, "default"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0"}, "bind:0"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0-0, 0", Flags: []specs.MemoryPolicyFlagType{specs.MpolFStaticNodes}}, "bind=static:0"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolInterleave, Nodes: "0", Flags: []specs.MemoryPolicyFlagType{specs.MpolFRelativeNodes}}, "interleave=relative:0"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolPreferred, Nodes: "0"}, "prefer:0"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolPreferred}, "local"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolLocal}, "local"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolPreferredMany, Nodes: "0"}, "prefer (many):0"},
	} {
		init := launch(t, 0)
		init.play(&plan.Phase{Name: "policy", Steps: []plan.Step{MemoryPolicy(&c.in)}})
		maps, err := os.ReadFile("/proc/" + strconv.Itoa(init.Pid) + "/numa_maps")
		if err != nil {
			t.Fatal(err)
		}
		if _, got, _ := strings.Cut(string(maps), " "); !strings.HasPrefix(got, c.want+" ") {
			t.Errorf("%+v: %q, want %s", c.in, got, c.want)
		}
	}
}

// MPOL-01: no machine has this node, and the list reaches beyond one word.
func TestPlayMemoryPolicyRefused(t *testing.T) {
	c := launch(t, 0)
	step := MemoryPolicy(&specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "1100-1102,1105"})
	_, err := c.Run(&plan.Phase{Name: "policy", Steps: []plan.Step{step}})
	const want = "linux.memoryPolicy: take memory by MPOL_BIND from nodes 1100,1101,1102,1105: set_mempolicy: invalid argument"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
