package spec

import (
	"math"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// maxGroups is NGROUPS_MAX of the kernel.
const maxGroups = 65536

// noID is -1, which setuid(2) and its kin take for "leave as it is".
const noID = math.MaxUint32

func (v *validator) process(p *specs.Process) {
	switch {
	case p.Cwd == "":
		v.problem("process.cwd", "required but missing")
	case !path.IsAbs(p.Cwd):
		v.problem("process.cwd", "%q is not an absolute path", p.Cwd)
	default:
		v.text("process.cwd", p.Cwd)
	}
	v.args(p.Args)
	v.env("process.env", p.Env)
	v.user(&p.User)
	v.rlimits(p.Rlimits)
	v.capabilities(p.Capabilities)
	if adj := p.OOMScoreAdj; adj != nil && (*adj < -1000 || *adj > 1000) {
		v.problem("process.oomScoreAdj", "%d is not between -1000 and 1000", *adj)
	}
	if size := p.ConsoleSize; p.Terminal && size != nil && (size.Height > math.MaxUint16 || size.Width > math.MaxUint16) {
		v.problem("process.consoleSize", "%d by %d is larger than a terminal can be (65535)", size.Height, size.Width)
	}
	v.text("process.apparmorProfile", p.ApparmorProfile)
	v.text("process.selinuxLabel", p.SelinuxLabel)
	v.scheduler(p.Scheduler)
	v.ioPriority(p.IOPriority)
	if a := p.ExecCPUAffinity; a != nil {
		v.list("process.execCPUAffinity.initial", a.Initial)
		v.list("process.execCPUAffinity.final", a.Final)
	}
}

// console compares the terminal with where it is to go.
func (v *validator) console(p *specs.Process) {
	switch {
	case v.opt.ConsoleSocket && !p.Terminal:
		v.problem("process.terminal", "a console socket was given but the process has no terminal")
	case v.opt.Detached && p.Terminal && !v.opt.ConsoleSocket:
		v.problem("process.terminal", "the terminal of a detached container needs a console socket (--console-socket)")
	}
}

func (v *validator) args(args []string) {
	switch {
	case len(args) == 0:
		v.problem("process.args", "at least one entry is required")
	case args[0] == "":
		v.problem("process.args[0]", "the name of the program is empty")
	}
	for i, arg := range args {
		if strings.IndexByte(arg, 0) >= 0 {
			v.problem(at("process.args", i), "%q has a NUL byte", arg)
		}
	}
}

// env never prints a value: it may be a secret.
func (v *validator) env(where string, env []string) {
	for i, entry := range env {
		name, _, ok := strings.Cut(entry, "=")
		switch {
		case !ok:
			v.problem(at(where, i), "not of the form NAME=value")
		case name == "":
			v.problem(at(where, i), "the name before = is empty")
		case strings.IndexByte(name, 0) >= 0:
			v.problem(at(where, i), "the name has a NUL byte")
		case strings.IndexByte(entry, 0) >= 0:
			v.problem(at(where, i), "the value of %s has a NUL byte", name)
		}
	}
}

func (v *validator) user(u *specs.User) {
	v.id("process.user.uid", u.UID, v.linux.UIDMappings)
	v.id("process.user.gid", u.GID, v.linux.GIDMappings)
	if n := len(u.AdditionalGids); n > maxGroups {
		v.problem("process.user.additionalGids", "%d groups are more than the kernel takes (%d)", n, maxGroups)
	}
	for i, gid := range u.AdditionalGids {
		v.id(at("process.user.additionalGids", i), gid, v.linux.GIDMappings)
	}
	if u.Umask != nil && *u.Umask > 0o777 {
		v.problem("process.user.umask", "%d is larger than 511 (octal 0777)", *u.Umask)
	}
	// One own id is mapped without the setuid helpers, and then the kernel
	// wants setgroups(2) denied first (user_namespaces(7)).
	if m := v.linux.GIDMappings; v.opt.Rootless && len(m) == 1 && m[0].Size == 1 && len(u.AdditionalGids) > 0 {
		v.problem("process.user.additionalGids", "a rootless container with a single group mapped cannot have more groups")
	}
}

// id checks an id inside the container against the container's mappings.
func (v *validator) id(path string, id uint32, mappings []specs.LinuxIDMapping) {
	if id == noID {
		v.problem(path, "%d (-1) is not an id", id)
	} else if !mapped(id, mappings) {
		v.problem(path, "%d is not mapped in the container's user namespace", id)
	}
}

// mapped reports whether the id exists inside; without mappings all do.
func mapped(id uint32, mappings []specs.LinuxIDMapping) bool {
	for _, m := range mappings {
		if id >= m.ContainerID && id-m.ContainerID < m.Size {
			return true
		}
	}
	return len(mappings) == 0
}

func (v *validator) rlimits(rlimits []specs.POSIXRlimit) {
	for i, r := range rlimits {
		where := at("process.rlimits", i)
		switch {
		case r.Type == "":
			v.problem(where+".type", "required but missing")
		case !Rlimits.Has(r.Type):
			v.problem(where+".type", "unknown limit %q", r.Type)
		case slices.ContainsFunc(rlimits[:i], func(o specs.POSIXRlimit) bool { return o.Type == r.Type }):
			v.problem(where+".type", "%s is given twice", r.Type)
		}
		if r.Soft > r.Hard {
			v.problem(where+".soft", "%d is above the hard limit %d", r.Soft, r.Hard)
		}
	}
}

// capabilities only warns: the specification wants the container to start
// even when a capability cannot be granted.
func (v *validator) capabilities(c *specs.LinuxCapabilities) {
	if c == nil {
		return
	}
	var unknown []string
	for _, set := range [][]string{c.Bounding, c.Effective, c.Inheritable, c.Permitted, c.Ambient} {
		for _, name := range set {
			if !Capabilities.Has(name) && !slices.Contains(unknown, name) {
				unknown = append(unknown, name)
			}
		}
	}
	if len(unknown) > 0 {
		v.warn("process.capabilities", "ignoring unknown capabilities: %q", unknown)
	}
	var idle []string
	for _, name := range c.Ambient {
		if Capabilities.Has(name) && !(slices.Contains(c.Permitted, name) && slices.Contains(c.Inheritable, name)) {
			idle = append(idle, name)
		}
	}
	if len(idle) > 0 {
		v.warn("process.capabilities.ambient", "not both permitted and inheritable, so not ambient: %s", strings.Join(idle, " "))
	}
}
