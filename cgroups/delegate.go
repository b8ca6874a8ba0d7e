package cgroups

import (
	"fmt"
	"path"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// delegateFile lists the files of a v2 cgroup that its owner may have
// (Linux 4.15).
const delegateFile = "/sys/kernel/cgroup/delegate"

// Delegate gives the container's cgroup to the user of its process, if the
// configuration mounts it for writing (config-linux.md, cgroup ownership): the
// directory, and those of its files with which one manages cgroups below it.
// The limits stay the host's.
//
// Only on v2 and with a cgroup namespace of its own, which hide what is above.
// An unprivileged runtime, root in a user namespace included, may not be able to
// give anything away; that is no error.
func (g *Group) Delegate(s *specs.Spec) error {
	uid, ok := owner(s)
	if !ok || g.Mode() != V2 {
		return nil
	}
	return delegate(g.V2Dir(), delegateFile, int(uid), g.rootless)
}

func delegate(dir, list string, uid int, rootless bool) error {
	files := []string{"cgroup.procs", "cgroup.subtree_control", "cgroup.threads"}
	text, err := readFile(list)
	switch {
	case err == nil:
		files = strings.Fields(text)
	case !isGone(err):
		return err
	}
	for _, file := range append([]string{"."}, files...) {
		err := unix.Lchown(dir+"/"+file, uid, -1)
		switch {
		case err == nil, err == unix.ENOENT && file != ".":
			// The list is the kernel's; the cgroup has those of its controllers.
		case err == unix.EPERM && rootless:
			return nil
		default:
			return fmt.Errorf("give cgroup %s to uid %d: %s: %w", dir, uid, file, err)
		}
	}
	return nil
}

// owner returns the host's uid of the container's process, if the process is to
// own the cgroup.
func owner(s *specs.Spec) (uid uint32, ok bool) {
	if s.Process == nil || s.Linux == nil || !mountsCgroup(s.Mounts) {
		return 0, false
	}
	isNew := func(kind specs.LinuxNamespaceType) bool {
		return slices.ContainsFunc(s.Linux.Namespaces, func(ns specs.LinuxNamespace) bool {
			return ns.Type == kind && ns.Path == ""
		})
	}
	if !isNew(specs.CgroupNamespace) {
		return 0, false
	}
	if !slices.ContainsFunc(s.Linux.Namespaces, func(ns specs.LinuxNamespace) bool { return ns.Type == specs.UserNamespace }) {
		return s.Process.User.UID, true
	}
	for _, m := range s.Linux.UIDMappings {
		if n := s.Process.User.UID - m.ContainerID; s.Process.User.UID >= m.ContainerID && n < m.Size {
			return m.HostID + n, true
		}
	}
	return 0, false
}

// mountsCgroup tells whether the container can write to its cgroup.
func mountsCgroup(mounts []specs.Mount) bool {
	return slices.ContainsFunc(mounts, func(m specs.Mount) bool {
		return m.Source == "cgroup" && path.Join("/", m.Destination) == "/sys/fs/cgroup" && !slices.Contains(m.Options, "ro")
	})
}
