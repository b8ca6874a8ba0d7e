package process

import (
	"github.com/opencontainers/runtime-spec/specs-go"

	"skep/nsenter/plan"
)

// Confine compiles what a hook inside the container loses before its program, which is the image's, runs: it gets no
// capability that root in the container could not have, and no new privileges where the process gets none.
func Confine(p *specs.Process, h Host) []plan.Step {
	caps, _ := capabilities(p.Capabilities, h)
	var steps []plan.Step
	if drop := h.known() &^ caps.bounding; drop != 0 {
		steps = append(steps, plan.DropBounding{Drop: drop})
	}
	if p.NoNewPrivileges {
		steps = append(steps, plan.NoNewPrivs{})
	}
	return steps
}
