// Package process compiles the process of a configuration (config.md#process) into the last phases that a
// container's init plays: it takes on the process's identity, its program is looked up with that identity, and it
// waits at the gate. Everything here is pure, but for Home, which reads a file of the container, and RaiseLimits,
// which asks for this process's own limits. Configurations are taken to have passed spec.Validate.
package process

import (
	"errors"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// defaultUmask is that of the peers; the specification leaves it open.
const defaultUmask = 0o022

// Host is what the compiler must know about the host and the container around the process.
type Host struct {
	// Grantable is the mask of the capabilities that the process can be given: those both permitted and bounding
	// for the runtime, or all of them in a new user namespace.
	Grantable uint64
	// LastCap is the highest capability number that the kernel knows.
	LastCap int
	// Securebits are the runtime's (capabilities(7)), which the process is not to inherit: they change what execve and
	// setuid do to capabilities. A new user namespace begins with none.
	Securebits int
	// KeepGroups says that the user namespace denies setgroups.
	KeepGroups bool
	// OwnStreams tells which of the standard streams are given to the process's user: pipes, sockets and terminals,
	// never files or devices of the host.
	OwnStreams [3]bool
	// NullStreams tells which of them are the host's /dev/null; the process gets the container's.
	NullStreams [3]bool
	// AppArmor and SELinux tell which security modules are enabled.
	AppArmor, SELinux bool
	// Keyring is the name of the session keyring that the process joins; empty leaves it the caller's.
	Keyring string
	// Preserve are the descriptors that the program finds open from number 3 on.
	Preserve []plan.Source
}

// Filter is a compiled seccomp filter.
type Filter struct {
	BPF    []byte // struct sock_filter[]
	Flags  uint   // SECCOMP_FILTER_FLAG_*
	Notify bool   // it has a listener, which an agent has to get before the program runs
}

// Settle compiles the phase after the pivot, in which init becomes the process's user and enters its working
// directory. The phase ends with the first questions about the executable; Choose reads their answers. Where
// filtered is set, a seccomp filter will be loaded by Release. The warnings name capabilities that are not granted.
func Settle(p *specs.Process, h Host, filtered bool) (*plan.Phase, []string, error) {
	if err := Check(p, h); err != nil {
		return nil, nil, err
	}
	if filtered && !p.NoNewPrivileges && h.Grantable&(1<<unix.CAP_SYS_ADMIN) == 0 {
		return nil, nil, errors.New("linux.seccomp: without process.noNewPrivileges it takes CAP_SYS_ADMIN to load a filter, which cannot be granted here")
	}
	caps, warnings := capabilities(p.Capabilities, h)
	phase := &plan.Phase{Name: "process"}
	phase.Add(streams(p, h)...)
	phase.Add(scheduling(p)...)
	phase.Add(security(p, h)...)
	umask := uint32(defaultUmask)
	if p.User.Umask != nil {
		umask = *p.User.Umask
	}
	phase.Add(plan.Umask{Mask: umask})
	phase.Add(h.clearSecurebits()...)
	if drop := h.known() &^ caps.bounding; drop != 0 {
		phase.Add(plan.For{Item: "process.capabilities.bounding", Step: plan.DropBounding{Drop: drop}})
	}
	phase.Add(plan.For{Item: "process.user", Step: plan.SetIDs{
		UID: p.User.UID, GID: p.User.GID, Groups: p.User.AdditionalGids, KeepGroups: h.KeepGroups,
	}})
	if p.User.UID != 0 {
		// The change of ids has emptied the effective set. The next steps need it: only root may reach the working
		// directory, and a filter without no_new_privs takes CAP_SYS_ADMIN.
		phase.Add(plan.RaiseCaps{Permitted: h.Grantable})
	}
	phase.Add(plan.For{Item: "process.cwd", Step: plan.Chdir{At: plan.In(p.Cwd)}})
	phase.Add(probes(p)[0]...)
	return phase, warnings, nil
}

// streams gives the process its standard streams. It takes CAP_CHOWN, and therefore comes before the user changes.
func streams(p *specs.Process, h Host) []plan.Step {
	if p.Terminal { // all three are one file
		return []plan.Step{plan.UseTerminal{}, plan.OwnStream{FD: 0, UID: p.User.UID}, plan.Close{Slots: []plan.Slot{plan.PtySlave}}}
	}
	var steps []plan.Step
	for fd := range 3 {
		switch {
		case h.OwnStreams[fd]:
			steps = append(steps, plan.OwnStream{FD: fd, UID: p.User.UID})
		case h.NullStreams[fd]:
			steps = append(steps, plan.ReopenNull{FD: fd})
		}
	}
	return steps
}

// Release compiles the last phase: init drops what only it needed, waits for start, and becomes the program at path
// with the environment env. Before it, the slots Gate and Verdict must hold the fifos of start. f is nil where there
// is no filter.
func Release(p *specs.Process, path string, env []string, h Host, f *Filter) *plan.Phase {
	caps, _ := capabilities(p.Capabilities, h)
	phase := &plan.Phase{Name: "release"}
	if len(h.Preserve) > 0 {
		phase.Add(preserve(phase, h.Preserve))
	}
	// Before a filter could forbid it.
	phase.Add(plan.CloseOnExec{First: 3 + len(h.Preserve)})
	if f != nil && !p.NoNewPrivileges { // while there is CAP_SYS_ADMIN
		phase.Add(f.step())
	}
	phase.Add(plan.For{Item: "process.capabilities", Step: caps.set()})
	if p.NoNewPrivileges {
		phase.Add(plan.NoNewPrivs{})
	}
	phase.Add(limits(p.Rlimits)...)
	switch {
	case f == nil || !p.NoNewPrivileges:
		phase.Add(plan.AwaitStart{})
	case f.Notify: // already now: an agent that cannot be reached is to fail create, not start
		phase.Add(f.step(), plan.AwaitStart{Filtered: true})
	default: // as late as possible: the filter need not allow what init does before
		phase.Add(plan.AwaitStart{}, f.step())
	}
	phase.Add(plan.Exec{Path: path, Args: p.Args, Env: env})
	return phase
}

// preserve puts the descriptors where the program expects them: now, before a filter could forbid it and a limit of
// descriptors stand in the way.
func preserve(phase *plan.Phase, sources []plan.Source) plan.Step {
	step := plan.PreserveFDs{Away: []plan.Slot{plan.Control, plan.Gate, plan.Verdict}}
	for _, s := range sources {
		step.From = append(step.From, phase.Take(s))
	}
	return step
}

func (f *Filter) step() plan.Step {
	return plan.For{Item: "linux.seccomp", Step: plan.Seccomp{Filter: f.BPF, Flags: f.Flags}}
}
