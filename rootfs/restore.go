package rootfs

import (
	"maps"
	"path"
	"path/filepath"
	"slices"
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
	Certain     bool   // the others may turn out not to be the host's, such as what masks a directory
}

// Externals returns the mounts that may be external, in the order of the configuration: bind mounts, cgroups without
// a namespace of their own, masked files, and device nodes that had to be bound. Of the host it needs the bundle and
// the cgroups.
func Externals(s *specs.Spec, h Host) []External {
	var all []External
	for i := range s.Mounts {
		m := &s.Mounts[i]
		name := path.Clean("/" + m.Destination)
		o, err := spec.ParseMountOptions(m.Options)
		switch {
		case err != nil:
		case o.Bind:
			all = append(all, External{name, h.source(m), true})
		case (m.Type == "cgroup" || m.Type == "cgroup2") && spec.FindNamespace(s.Linux, specs.CgroupNamespace) == nil:
			all = append(all, h.cgroups(name)...)
		}
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

// cgroups are the container's, as they are bound to a destination: one for each v1 hierarchy, or v2's.
func (h *Host) cgroups(destination string) []External {
	if h.onlyV2() {
		return []External{{destination, h.Cgroups[""], true}}
	}
	var all []External
	for _, hierarchy := range slices.Sorted(maps.Keys(h.Cgroups)) {
		if hierarchy != "" {
			name := strings.TrimPrefix(hierarchy, "name=")
			all = append(all, External{path.Join(destination, name), h.Cgroups[hierarchy], true})
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
