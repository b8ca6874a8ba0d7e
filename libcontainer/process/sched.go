package process

import (
	"github.com/opencontainers/runtime-spec/specs-go"

	"skep/nsenter/plan"
	"skep/spec"
)

// scheduling sets process.scheduler and process.ioPriority.
func scheduling(p *specs.Process) []plan.Step {
	var steps []plan.Step
	if s := p.Scheduler; s != nil {
		policy, _ := spec.SchedulerPolicies.Lookup(s.Policy)
		step := plan.Scheduler{
			Policy: policy, Name: string(s.Policy), Nice: s.Nice, Priority: s.Priority,
			Runtime: s.Runtime, Deadline: s.Deadline, Period: s.Period,
		}
		for _, name := range s.Flags {
			flag, _ := spec.SchedulerFlags.Lookup(name)
			step.Flags |= flag
		}
		steps = append(steps, plan.For{Item: "process.scheduler", Step: step})
	}
	if io := p.IOPriority; io != nil {
		class, _ := spec.IOPriorityClasses.Lookup(io.Class)
		step := plan.IOPriority{Class: class, Priority: io.Priority, Name: string(io.Class)}
		steps = append(steps, plan.For{Item: "process.ioPriority", Step: step})
	}
	return steps
}

// Affinity returns the step that sets process.execCPUAffinity.initial or final, the item, to a list of CPUs.
func Affinity(item, list string) plan.Step {
	cpus, _ := spec.ParseList(list)
	step := plan.Affinity{List: list}
	for _, r := range cpus {
		for n := r.First; n <= r.Last; n++ {
			for uint(len(step.CPUs)) <= n/8 {
				step.CPUs = append(step.CPUs, 0)
			}
			step.CPUs[n/8] |= 1 << (n % 8)
		}
	}
	return plan.For{Item: item, Step: step}
}

// MemoryPolicy returns the step that sets linux.memoryPolicy, for init as for every later process of the container.
func MemoryPolicy(m *specs.LinuxMemoryPolicy) plan.Step {
	mode, _ := spec.MemoryPolicyModes.Lookup(m.Mode)
	step := plan.MemoryPolicy{Mode: mode, Name: string(m.Mode)}
	for _, name := range m.Flags {
		flag, _ := spec.MemoryPolicyFlags.Lookup(name)
		step.Mode |= flag
	}
	nodes, _ := spec.ParseList(m.Nodes)
	for _, r := range nodes {
		for n := r.First; n <= r.Last; n++ {
			for uint(len(step.Nodes)) <= n/64 {
				step.Nodes = append(step.Nodes, 0)
			}
			step.Nodes[n/64] |= 1 << (n % 64)
		}
	}
	return plan.For{Item: "linux.memoryPolicy", Step: step}
}
