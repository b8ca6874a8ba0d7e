package spec

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// paths checks rootfsPropagation, maskedPaths and readonlyPaths.
func (v *validator) paths() {
	l := v.linux
	if p := l.RootfsPropagation; p != "" {
		if !Propagations.Has(p) {
			v.problem("linux.rootfsPropagation", "unknown propagation %q", p)
		} else if v.opt.NoPivot && (p == "private" || p == "rprivate") {
			v.problem("linux.rootfsPropagation", "%q cannot be had without pivot_root (--no-pivot)", p)
		}
	}
	for _, list := range []struct {
		path  string
		paths []string
	}{{"linux.maskedPaths", l.MaskedPaths}, {"linux.readonlyPaths", l.ReadonlyPaths}} {
		if len(list.paths) > 0 && !v.has(specs.MountNamespace) {
			v.problem(list.path, "without a mount namespace this would change the host")
		}
		for i, name := range list.paths {
			if name == "" || name[0] != '/' {
				v.problem(at(list.path, i), "%q is not an absolute path", name)
			} else {
				v.text(at(list.path, i), name)
			}
		}
	}
	v.text("linux.mountLabel", l.MountLabel)
}

func (v *validator) personality(p *specs.LinuxPersonality) {
	if p == nil {
		return
	}
	if p.Domain == "" {
		v.problem("linux.personality.domain", "required but missing")
	} else if !Personalities.Has(p.Domain) {
		v.problem("linux.personality.domain", "unknown domain %q", p.Domain)
	}
	if len(p.Flags) > 0 {
		v.problem("linux.personality.flags", "the specification has no flags yet, but %q is given", p.Flags[0])
	}
}

func (v *validator) seccomp(s *specs.LinuxSeccomp) {
	if s == nil {
		return
	}
	const where = "linux.seccomp"
	v.action(where, "defaultAction", "defaultErrnoRet", s.DefaultAction, s.DefaultErrnoRet)
	for i, arch := range s.Architectures {
		if !SeccompArchs.Has(arch) {
			v.problem(at(where+".architectures", i), "unknown architecture %q", arch)
		}
	}
	for i, flag := range s.Flags {
		if !SeccompFlags.Has(flag) {
			v.problem(at(where+".flags", i), "unknown flag %q", flag)
		}
	}
	for i := range s.Syscalls {
		v.syscall(at(where+".syscalls", i), &s.Syscalls[i])
	}
	v.listener(s)
}

func (v *validator) listener(s *specs.LinuxSeccomp) {
	notify := s.DefaultAction == specs.ActNotify ||
		slices.ContainsFunc(s.Syscalls, func(c specs.LinuxSyscall) bool { return c.Action == specs.ActNotify })
	switch {
	case s.ListenerPath == "" && notify:
		v.problem("linux.seccomp.listenerPath", "%s needs somebody to notify", specs.ActNotify)
	case s.ListenerPath == "" && s.ListenerMetadata != "":
		v.problem("linux.seccomp.listenerMetadata", "useless without listenerPath")
	case notify:
		v.absolute("linux.seccomp.listenerPath", s.ListenerPath)
	}
}

func (v *validator) syscall(where string, c *specs.LinuxSyscall) {
	if len(c.Names) == 0 {
		v.problem(where+".names", "at least one name is required")
	}
	for i, name := range c.Names {
		if name == "" {
			v.problem(at(where+".names", i), "a name cannot be empty")
		}
	}
	v.action(where, "action", "errnoRet", c.Action, c.ErrnoRet)
	for i, arg := range c.Args {
		switch {
		case arg.Op == "":
			v.problem(at(where+".args", i)+".op", "required but missing")
		case !SeccompOperators.Has(arg.Op):
			v.problem(at(where+".args", i)+".op", "unknown operator %q", arg.Op)
		}
		if arg.Index > 5 {
			v.problem(at(where+".args", i)+".index", "%d is not between 0 and 5", arg.Index)
		}
	}
}

// action checks an action and the value that goes with it.
func (v *validator) action(where, name, retName string, action specs.LinuxSeccompAction, ret *uint) {
	switch {
	case action == "":
		v.problem(member(where, name), "required but missing")
		return
	case !SeccompActions.Has(action):
		v.problem(member(where, name), "unknown action %q", action)
		return
	case ret == nil:
		return
	}
	// The kernel takes 16 bits, of which an errno uses 12.
	limit := uint(4095)
	if action == specs.ActTrace {
		limit = 65535
	}
	if !SeccompTakesErrno(action) {
		v.problem(member(where, retName), "%s does not return a value", action)
	} else if *ret > limit {
		v.problem(member(where, retName), "%d is above %d", *ret, limit)
	}
}
