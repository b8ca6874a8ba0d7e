package rootfs

import (
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// onlyV2 tells whether the host has the v2 hierarchy and no other.
func (h *Host) onlyV2() bool {
	_, v2 := h.Cgroups[""]
	return v2 && len(h.Cgroups) == 1
}

// cgroup mounts the container's cgroups. In a cgroup namespace the kernel shows no more than those; without one the
// container's own directories are bound, never the root of a hierarchy.
func (c *compiler) cgroup(m *mount) error {
	switch {
	case c.host.onlyV2() && c.has(specs.CgroupNamespace):
		c.add(m.item, plan.Filesystem{Type: "cgroup2", Source: m.Source, Params: m.opt.Data, Attr: m.opt.AttrSet, Into: plan.Mount})
		c.add(m.item, plan.Attach{Mount: plan.Mount, At: m.at, Make: plan.Directory})
	case c.host.onlyV2():
		c.bindCgroup(m, c.host.Cgroups[""], m.at, m.opt.AttrSet)
	default:
		c.cgroupV1(m)
	}
	return nil
}

// bindCgroup binds one directory of the container.
func (c *compiler) bindCgroup(m *mount, dir string, to plan.Path, attr uint64) {
	slot := c.clone(Tree{Item: m.item, Path: dir, Changes: []plan.SetAttr{{Set: attr, Propagation: unix.MS_PRIVATE}}})
	c.add(m.item, plan.Attach{Mount: slot, At: to, Make: plan.Directory})
}

// cgroupV1 mounts a tmpfs with a directory for each hierarchy, and for hierarchies of several controllers links by
// their names. Without any hierarchy it is empty and hides the host's, where a container without cgroups could see
// others (CVE-2023-25809).
func (c *compiler) cgroupV1(m *mount) {
	const readonly = unix.MOUNT_ATTR_RDONLY
	attr := m.opt.AttrSet | hardened
	if len(c.host.Cgroups) == 0 {
		attr |= readonly
	}
	c.add(m.item,
		plan.Filesystem{Type: "tmpfs", Source: "tmpfs", Params: append([]string{"mode=755"}, c.context("tmpfs")...), Attr: attr &^ readonly, Into: plan.Mount},
		plan.Attach{Mount: plan.Mount, At: m.at, Make: plan.Directory})
	for _, hierarchy := range slices.Sorted(maps.Keys(c.host.Cgroups)) {
		if hierarchy == "" { // of a hybrid host, without controllers
			continue
		}
		c.hierarchy(m, hierarchy, attr)
	}
	if attr&readonly != 0 {
		c.add(m.item, plan.Find{At: m.at, Into: plan.Mount}, plan.SetAttr{Mount: plan.Mount, Set: readonly},
			plan.Close{Slots: []plan.Slot{plan.Mount}})
	}
}

// hierarchy mounts one v1 hierarchy below the destination.
func (c *compiler) hierarchy(m *mount, hierarchy string, attr uint64) {
	name, named := strings.CutPrefix(hierarchy, "name=")
	controllers := strings.Split(hierarchy, ",")
	to := m.at.Below(name)
	if c.has(specs.CgroupNamespace) {
		params := controllers
		if named {
			params = []string{"none", hierarchy}
		}
		c.add(m.item, plan.Filesystem{Type: "cgroup", Source: "cgroup", Params: params, Attr: attr, Into: plan.Mount},
			plan.Attach{Mount: plan.Mount, At: to, Make: plan.Directory})
	} else {
		c.bindCgroup(m, c.host.Cgroups[hierarchy], to, attr)
	}
	if len(controllers) == 1 {
		return
	}
	for _, controller := range controllers {
		c.add(m.item, plan.Symlink{Target: name, At: m.at.Below(controller)})
	}
}
