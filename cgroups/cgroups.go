// Package cgroups places a container into control groups and limits it there.
//
// It has two halves. [Compile] is pure: it turns the resources of a
// configuration into file writes, in an order that the kernel accepts. A
// [Group] is the container's directory in every mounted hierarchy: it is
// planned, created, filled with those writes, joined, frozen, killed and
// removed.
//
// Three layouts exist in the field. On V2 one tree carries all controllers. On
// V1 each hierarchy carries its own. Hybrid is V1 plus a v2 tree which has no
// controllers to speak of, but is good for tracking processes.
package cgroups

import (
	"errors"
	"slices"
	"strings"
)

// ErrUnavailable says that this process cannot make cgroups at all: no
// hierarchy is mounted, or none may be written to (rootless without
// delegation, a read-only mount). A caller that needs no limits may go on
// without cgroups.
var ErrUnavailable = errors.New("cgroups are not available")

// Mode tells which cgroup versions a host has mounted.
type Mode int

const (
	None   Mode = iota // no hierarchy is mounted
	V1                 // only v1 hierarchies
	Hybrid             // v1 hierarchies with the controllers, and a v2 tree
	V2                 // only the v2 tree
)

// String returns the mode's usual name.
func (m Mode) String() string {
	switch m {
	case V1:
		return "v1"
	case Hybrid:
		return "hybrid"
	case V2:
		return "v2"
	}
	return "none"
}

// Hierarchy is one mounted cgroup tree.
type Hierarchy struct {
	// Name is the second field of its line in /proc/self/cgroup: the controllers
	// of a v1 hierarchy ("cpu,cpuacct") or its own name ("name=systemd"), and ""
	// for the v2 tree, where every directory has its own set of controllers.
	Name string
	// Mount is the absolute directory where the tree is mounted.
	Mount string
	// Own is the path of this process in the tree, as its cgroup namespace
	// shows it.
	Own string
}

func (h Hierarchy) isV2() bool { return h.Name == "" }

// isSystemds tells whether it is one in which systemd keeps its units.
func (h Hierarchy) isSystemds() bool { return h.isV2() || h.Name == "name=systemd" }

// has tells whether a v1 hierarchy has the controller.
func (h Hierarchy) has(controller string) bool {
	return slices.Contains(strings.Split(h.Name, ","), controller)
}

// Layout is how cgroups are mounted on this host.
type Layout []Hierarchy

// Mode tells which versions there are.
func (l Layout) Mode() Mode {
	_, v2 := l.find("")
	return modeOf(len(l), v2)
}

func modeOf(hierarchies int, v2 bool) Mode {
	switch {
	case hierarchies == 0:
		return None
	case !v2:
		return V1
	case hierarchies == 1:
		return V2
	}
	return Hybrid
}

func (l Layout) find(name string) (h Hierarchy, ok bool) {
	i := slices.IndexFunc(l, func(h Hierarchy) bool { return h.Name == name })
	if i < 0 {
		return Hierarchy{}, false
	}
	return l[i], true
}
