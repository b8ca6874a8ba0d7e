package process

import (
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"skep/nsenter/plan"
	"skep/spec"
)

// capSets are capability sets as masks: bit n is capability number n.
type capSets struct{ bounding, effective, inheritable, permitted, ambient uint64 }

// known is the mask of all capabilities that the kernel has.
func (h Host) known() uint64 { return 1<<(h.LastCap+1) - 1 }

// capabilities returns the sets that the process gets: what is configured, as far as the kernel will grant it. The
// rest is warned about and never an error (config.md#linux-process). Unknown names, and ambient capabilities that
// are not also permitted and inheritable, are the validation's to warn about.
func capabilities(c *specs.LinuxCapabilities, h Host) (capSets, []string) {
	if c == nil {
		return capSets{}, nil
	}
	want := capSets{mask(c.Bounding), mask(c.Effective), mask(c.Inheritable), mask(c.Permitted), mask(c.Ambient)}
	all := h.Grantable & h.known()
	got := capSets{bounding: want.bounding & all, permitted: want.permitted & all}
	got.effective = want.effective & got.permitted
	// capset(2) refuses to make inheritable what is not in the bounding set.
	got.inheritable = want.inheritable & got.bounding
	got.ambient = want.ambient & got.permitted & got.inheritable

	var warnings []string
	warn := func(lost uint64, text string) {
		if lost != 0 {
			warnings = append(warnings, text+names(lost))
		}
	}
	asked := want.bounding | want.effective | want.inheritable | want.permitted | want.ambient
	warn(asked&^all, "process.capabilities: cannot be granted here: ")
	warn(want.effective&^want.permitted&all, "process.capabilities.effective: not permitted, so not effective: ")
	warn(want.inheritable&^want.bounding&all, "process.capabilities.inheritable: not in the bounding set, so not inheritable: ")
	return got, warnings
}

// clearSecurebits comes while there is CAP_SETPCAP.
func (h Host) clearSecurebits() []plan.Step {
	if h.Securebits == 0 {
		return nil
	}
	return []plan.Step{plan.For{Item: "process.capabilities", Step: plan.ClearSecurebits{Inherited: h.Securebits}}}
}

func (s capSets) set() plan.Step {
	return plan.SetCaps{Effective: s.effective, Permitted: s.permitted, Inheritable: s.inheritable, Ambient: s.ambient}
}

// mask turns names into a mask, without those that are unknown.
func mask(set []string) uint64 {
	var m uint64
	for _, name := range set {
		if c, ok := spec.Capabilities.Lookup(name); ok {
			m |= 1 << c
		}
	}
	return m
}

// names lists a mask in the order of the numbers.
func names(m uint64) string {
	var list []string
	for _, c := range spec.Capabilities {
		if m>>c.Value&1 != 0 {
			list = append(list, c.Name)
		}
	}
	return strings.Join(list, " ")
}
