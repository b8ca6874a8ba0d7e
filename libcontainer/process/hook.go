package process

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// Confine compiles what a hook loses whose program is the image's: it gets no capability that root in the container
// could not have, no new privileges where the process gets none, and the process's filter, if there is one. The steps
// come last before exec, and need all capabilities.
func Confine(p *specs.Process, h Host, f *Filter) []plan.Step {
	caps, _ := capabilities(p.Capabilities, h)
	steps := h.clearSecurebits()
	if drop := h.known() &^ caps.bounding; drop != 0 {
		steps = append(steps, plan.DropBounding{Drop: drop})
	}
	if p.NoNewPrivileges {
		steps = append(steps, plan.NoNewPrivs{})
	}
	if f != nil { // no agent listens for a hook: what would be left to it fails with ENOSYS
		quiet := &Filter{BPF: f.BPF, Flags: f.Flags &^ unix.SECCOMP_FILTER_FLAG_NEW_LISTENER}
		steps = append(steps, quiet.step())
	}
	return steps
}
