package spec

import "github.com/opencontainers/runtime-spec/specs-go"

func (v *validator) scheduler(s *specs.Scheduler) {
	if s == nil {
		return
	}
	const where = "process.scheduler"
	switch {
	case s.Policy == "":
		v.problem(where+".policy", "required but missing")
		return
	case !SchedulerPolicies.Has(s.Policy):
		v.problem(where+".policy", "unknown policy %q", s.Policy)
		return
	case s.Policy == specs.SchedISO:
		v.problem(where+".policy", "no Linux kernel implements SCHED_ISO")
	}
	for i, flag := range s.Flags {
		if !SchedulerFlags.Has(flag) {
			v.problem(at(where+".flags", i), "unknown flag %q", flag)
		}
	}
	switch s.Policy {
	case specs.SchedOther, specs.SchedBatch:
		if s.Nice < -20 || s.Nice > 19 {
			v.problem(where+".nice", "%d is not between -20 and 19", s.Nice)
		}
	case specs.SchedFIFO, specs.SchedRR:
		if s.Priority < 1 || s.Priority > 99 {
			v.problem(where+".priority", "%d is not between 1 and 99, as %s wants it", s.Priority, s.Policy)
		}
	}
	if s.Priority != 0 && s.Policy != specs.SchedFIFO && s.Policy != specs.SchedRR {
		v.problem(where+".priority", "%d is for SCHED_FIFO and SCHED_RR only, not for %s", s.Priority, s.Policy)
	}
	v.deadline(s)
}

// deadline checks the times of SCHED_DEADLINE, which nothing else has.
func (v *validator) deadline(s *specs.Scheduler) {
	const where = "process.scheduler"
	if s.Policy != specs.SchedDeadline {
		for _, t := range []struct {
			name  string
			value uint64
		}{{"runtime", s.Runtime}, {"deadline", s.Deadline}, {"period", s.Period}} {
			if t.value != 0 {
				v.problem(member(where, t.name), "%d is for SCHED_DEADLINE only, not for %s", t.value, s.Policy)
			}
		}
		return
	}
	if s.Runtime == 0 {
		v.problem(where+".runtime", "SCHED_DEADLINE needs a runtime in nanoseconds")
	}
	if s.Runtime > s.Deadline {
		v.problem(where+".runtime", "%d ns is above the deadline of %d ns", s.Runtime, s.Deadline)
	}
	if s.Period != 0 && s.Deadline > s.Period { // 0: the kernel takes the deadline
		v.problem(where+".deadline", "%d ns is above the period of %d ns", s.Deadline, s.Period)
	}
}

func (v *validator) ioPriority(p *specs.LinuxIOPriority) {
	if p == nil {
		return
	}
	if p.Class == "" {
		v.problem("process.ioPriority.class", "required but missing")
	} else if !IOPriorityClasses.Has(p.Class) {
		v.problem("process.ioPriority.class", "unknown class %q", p.Class)
	}
	if p.Priority < 0 || p.Priority > 7 {
		v.problem("process.ioPriority.priority", "%d is not between 0 and 7", p.Priority)
	}
}

func (v *validator) memoryPolicy(p *specs.LinuxMemoryPolicy) {
	if p == nil {
		return
	}
	const where = "linux.memoryPolicy"
	nodes := v.list(where+".nodes", p.Nodes)
	switch p.Mode {
	case "":
		v.problem(where+".mode", "required but missing")
	case specs.MpolDefault, specs.MpolLocal:
		if len(nodes) > 0 {
			v.problem(where+".nodes", "%s takes no nodes", p.Mode)
		}
	case specs.MpolPreferred: // any number; none means the local node
	default:
		if !MemoryPolicyModes.Has(p.Mode) {
			v.problem(where+".mode", "unknown mode %q", p.Mode)
		} else if p.Nodes == "" {
			v.problem(where+".nodes", "%s needs at least one node", p.Mode)
		}
	}
	var static, relative bool
	for i, flag := range p.Flags {
		if !MemoryPolicyFlags.Has(flag) {
			v.problem(at(where+".flags", i), "unknown flag %q", flag)
		}
		static = static || flag == specs.MpolFStaticNodes
		relative = relative || flag == specs.MpolFRelativeNodes
	}
	if static && relative {
		v.problem(where+".flags", "%s and %s exclude each other", specs.MpolFStaticNodes, specs.MpolFRelativeNodes)
	}
}
