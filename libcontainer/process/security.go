package process

import (
	"errors"

	"github.com/opencontainers/runtime-spec/specs-go"

	"skep/nsenter/plan"
)

// Labelled reports whether a security module is to be told of the process, for which the slot Procfs must hold a
// private procfs.
func Labelled(p *specs.Process) bool {
	return p != nil && (p.ApparmorProfile != "" || p.SelinuxLabel != "")
}

// Check refuses what the host cannot give.
func Check(p *specs.Process, h Host) error {
	switch {
	case p.ApparmorProfile != "" && !h.AppArmor:
		return errors.New("process.apparmorProfile: AppArmor is not enabled on this host")
	case p.SelinuxLabel != "" && !h.SELinux:
		return errors.New("process.selinuxLabel: SELinux is not enabled on this host")
	case h.KeepGroups && len(p.User.AdditionalGids) > 0:
		return errors.New("process.user.additionalGids: the user namespace denies setgroups")
	}
	return nil
}

// security gives the process its labels and its keyring. What is written takes effect at execve. It comes before the
// user changes: the files of /proc belong to root then, and the keyring to whom later processes enter as.
func security(p *specs.Process, h Host) []plan.Step {
	var steps []plan.Step
	if p.ApparmorProfile != "" {
		steps = append(steps, plan.For{Item: "process.apparmorProfile", Step: plan.SetLabel{
			Module: "apparmor", Attribute: "exec", Value: "exec " + p.ApparmorProfile,
		}})
	}
	if p.SelinuxLabel != "" {
		label := func(attribute string) plan.Step {
			return plan.For{Item: "process.selinuxLabel", Step: plan.SetLabel{Attribute: attribute, Value: p.SelinuxLabel}}
		}
		steps = append(steps, label("exec"))
		if h.Keyring != "" {
			steps = append(steps, label("keycreate")) // until execve
		}
	}
	if h.Keyring != "" {
		steps = append(steps, plan.SessionKeyring{Name: h.Keyring})
	}
	if Labelled(p) {
		steps = append(steps, plan.Close{Slots: []plan.Slot{plan.Procfs}})
	}
	return steps
}
