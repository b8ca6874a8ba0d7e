package cgroups

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Beside returns the group for another process of the container. It is this group, but that on v2 the process goes
// where the container's init, pid, is by now, if that is further down: an init that manages cgroups of its own has
// moved itself out of the way, because a directory whose controllers are enabled for others takes no processes (EBUSY).
func (g *Group) Beside(pid int) (*Group, error) {
	own := g.V2Dir()
	if own == "" {
		return g, nil
	}
	file := "/proc/" + strconv.Itoa(pid) + "/cgroup"
	text, err := readFile(file)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(text) {
		now, ok := parseHierarchy(line)
		if !ok || !now.isV2() || strings.HasSuffix(own, now.Own) {
			continue
		}
		layout, err := Detect() // only now, for where the tree is mounted
		if err != nil {
			return nil, err
		}
		v2, _ := layout.find("")
		if dir := path.Join(v2.Mount, now.Own); strings.HasPrefix(dir, own+"/") {
			return g.atV2(dir), nil
		}
	}
	return g, nil
}

// atV2 returns the group with another directory in the v2 tree.
func (g *Group) atV2(dir string) *Group {
	moved := &Group{dirs: slices.Clone(g.dirs)}
	for i := range moved.dirs {
		if moved.dirs[i].isV2() {
			moved.dirs[i].path = dir
		}
	}
	return moved
}

// Below returns the group of existing directories below the container's. The paths are given for a v1 controller, or
// by the empty name for all hierarchies.
func (g *Group) Below(paths map[string]string) (*Group, error) {
	if len(g.dirs) == 0 && len(paths) > 0 {
		return nil, fmt.Errorf("%w: the container has none", ErrUnavailable)
	}
	below := &Group{dirs: slices.Clone(g.dirs)}
	for _, controller := range slices.Sorted(maps.Keys(paths)) {
		found := false
		for i, d := range g.dirs {
			if controller != "" && !d.has(controller) {
				continue
			}
			found = true
			p := path.Join(d.path, paths[controller])
			if p != d.path && !strings.HasPrefix(p, d.path+"/") {
				return nil, fmt.Errorf("cgroup %s is not below the container's", paths[controller])
			}
			below.dirs[i].path = p
		}
		if !found {
			return nil, fmt.Errorf("the container has no cgroup of its own for the controller %s", controller)
		}
	}
	return below, nil
}
