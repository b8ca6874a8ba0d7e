package process

import (
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
	"skep/spec"
)

// limits returns the steps that set process.rlimits. 18446744073709551615 is the kernel's RLIM_INFINITY already.
func limits(rlimits []specs.POSIXRlimit) []plan.Step {
	steps := make([]plan.Step, 0, len(rlimits))
	for i, r := range rlimits {
		resource, _ := spec.Rlimits.Lookup(r.Type)
		steps = append(steps, plan.For{
			Item: "process.rlimits[" + strconv.Itoa(i) + "]",
			Step: plan.Rlimit{Resource: resource, Soft: r.Soft, Hard: r.Hard, Name: r.Type},
		})
	}
	return steps
}

// RaiseLimits returns the hard limits that the process is to have and init does not inherit. Raising takes
// CAP_SYS_RESOURCE in the host's user namespace: the parent does it by prlimit(2) on the child, with the soft limits
// as they are. Release sets the exact values.
func RaiseLimits(p *specs.Process) []plan.Rlimit {
	var raise []plan.Rlimit
	for _, r := range p.Rlimits {
		resource, _ := spec.Rlimits.Lookup(r.Type)
		var now unix.Rlimit
		if unix.Prlimit(0, resource, nil, &now) == nil && r.Hard > now.Max {
			raise = append(raise, plan.Rlimit{Resource: resource, Soft: now.Cur, Hard: r.Hard, Name: r.Type})
		}
	}
	return raise
}
