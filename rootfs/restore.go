package rootfs

import (
	"path"
	"path/filepath"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"skep/nsenter/plan"
	"skep/spec"
)

// External is a mount of a container whose source is outside: when it is checkpointed its content stays, and when
// it is restored it is bound again.
type External struct {
	Destination string // in the container, clean
	Source      string // on the host, absolute
	Bind        bool   // one of mounts; of the others some are not the host's, such as what masks a directory
}

// Externals returns the mounts that may be external, in the order of the configuration: bind mounts, masked files,
// and device nodes that had to be bound.
func Externals(s *specs.Spec, h Host) []External {
	var all []External
	for i := range s.Mounts {
		m := &s.Mounts[i]
		o, err := spec.ParseMountOptions(m.Options)
		if err != nil || !o.Bind {
			continue
		}
		all = append(all, External{path.Clean("/" + m.Destination), h.source(m), true})
	}
	if s.Linux == nil {
		return all
	}
	for _, p := range s.Linux.MaskedPaths {
		all = append(all, External{path.Clean("/" + p), "/dev/null", false})
	}
	if spec.FindNamespace(s.Linux, specs.UserNamespace) != nil {
		for i := range s.Linux.Devices {
			name := path.Clean("/" + s.Linux.Devices[i].Path)
			all = append(all, External{name, name, false})
		}
	}
	return all
}

func (h *Host) source(m *specs.Mount) string {
	if filepath.IsAbs(m.Source) {
		return m.Source
	}
	return filepath.Join(h.Bundle, m.Source)
}

// CompileRestore compiles the phase in which a process in a mount namespace of its own prepares for criu, which
// mounts everything anew: the root is mounted at its path, and what the other mounts go onto is there.
func CompileRestore(s *specs.Spec, h Host) (*plan.Phase, error) {
	c := &compiler{spec: s, linux: s.Linux, host: h, phase: &plan.Phase{Name: "root"}}
	if c.linux == nil {
		c.linux = &specs.Linux{}
	}
	c.phase.Add(plan.Umask{}, plan.Enslave{})
	c.attachRoot(h.Root)
	var above []string // what is below a mount comes with it
	for i := range s.Mounts {
		m := mount{Mount: &s.Mounts[i]}
		m.item = at("mounts", i, m.Destination)
		name := path.Clean("/" + m.Destination)
		if below(name, above) {
			continue
		}
		above = append(above, name)
		var step plan.Step = plan.Mkdirs{At: c.place(name)}
		if o, err := spec.ParseMountOptions(m.Options); err == nil && o.Bind {
			dir, err := h.IsDir(h.source(m.Mount))
			if err != nil {
				return nil, err
			}
			if !dir {
				step = plan.Touch{At: c.place(name)}
			}
		}
		c.add(m.item, step)
	}
	return c.phase, nil
}

// below tells whether a path is one of these, or below it.
func below(name string, paths []string) bool {
	for _, p := range paths {
		if name == p || strings.HasPrefix(name, strings.TrimSuffix(p, "/")+"/") {
			return true
		}
	}
	return false
}
