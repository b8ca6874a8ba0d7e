package cgroups

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

// Facts is what the state file stores of a [Group], so that another process
// can find it again.
type Facts struct {
	// Paths maps a hierarchy's name ([Hierarchy.Name]) to the absolute
	// directory of the container in it.
	Paths map[string]string `json:"paths,omitempty"`
	// Created are the absolute directories that did not exist before, or that
	// another container made for its own on the way, parents before children.
	// Only these may be removed.
	Created []string `json:"created,omitempty"`
	// Kept are the absolute directories that somebody else had made below the
	// container's before it. They stay, whatever is in them.
	Kept []string `json:"kept,omitempty"`
	// Unit is the systemd unit whose cgroup it is, if systemd makes it.
	Unit Unit `json:"unit,omitzero"`
}

// Unit names a unit of systemd.
type Unit struct {
	Name string `json:"name,omitempty"` // "skep-web.scope"
	User bool   `json:"user,omitzero"`  // the user's systemd has it, not the system's
}

// Group is the set of a container's cgroups: one directory per hierarchy.
type Group struct {
	dirs     []dir
	created  []string
	kept     []string
	planned  []string
	rootless bool // known to New only
	unit     Unit
}

// dir is a group's directory in one hierarchy, of which only the name is known
// after Open.
type dir struct {
	Hierarchy
	path string // absolute
}

// New returns the group that linux.cgroupsPath names; nothing is created yet.
//
// An absolute path is taken from the root of each hierarchy, a relative one
// from /skep below it; without a path the group is /skep/<id>. Dots are
// cleaned, so nothing leads out of the hierarchy; a path that names no cgroup
// of its own is an error. With rootless set, /skep is not below the root but
// below the parent of this process's own cgroup, where a delegated subtree
// begins.
func New(l Layout, cgroupsPath, id string, rootless bool) (*Group, error) {
	name, relative := cgroupsPath, !path.IsAbs(cgroupsPath)
	if name == "" {
		name = id
	}
	name = path.Join("/", name)
	if name == "/" {
		return nil, fmt.Errorf("linux.cgroupsPath: %q names no cgroup of its own", cgroupsPath)
	}
	if strings.Contains(name, "\n") { // the kernel says no more than EINVAL
		return nil, fmt.Errorf("linux.cgroupsPath: %q: a cgroup cannot have a line break in its name", cgroupsPath)
	}
	g := &Group{rootless: rootless}
	for _, h := range l {
		base := "/"
		if relative && rootless {
			base = path.Dir(h.Own)
		}
		if relative {
			base = path.Join(base, "skep")
		}
		g.dirs = append(g.dirs, dir{h, path.Join(h.Mount, path.Join("/", base), name)})
	}
	return g, nil
}

// OfUnit returns the group of a unit that systemd is going to start, whose
// cgroup is at an absolute path. Create then finds its directories, and makes
// those for which systemd has no use.
func OfUnit(l Layout, u Unit, cgroup string) *Group {
	g := &Group{unit: u, rootless: u.User}
	for _, h := range l {
		g.dirs = append(g.dirs, dir{h, path.Join(h.Mount, cgroup)})
	}
	return g
}

// Unit returns the unit of a group that systemd makes; its name is empty for
// all others.
func (g *Group) Unit() Unit { return g.unit }

// Open returns the group that an earlier process planned or created.
func Open(f Facts) *Group {
	g := &Group{created: slices.Clone(f.Created), kept: slices.Clone(f.Kept), unit: f.Unit}
	for _, name := range slices.Sorted(maps.Keys(f.Paths)) {
		g.dirs = append(g.dirs, dir{Hierarchy{Name: name}, f.Paths[name]})
	}
	return g
}

// Facts returns what the state file is to store once Create has succeeded.
func (g *Group) Facts() Facts {
	return Facts{Paths: g.Paths(), Created: slices.Clone(g.created), Kept: slices.Clone(g.kept), Unit: g.unit}
}

// Paths maps each hierarchy's name to the container's absolute directory.
func (g *Group) Paths() map[string]string {
	paths := make(map[string]string, len(g.dirs))
	for _, d := range g.dirs {
		paths[d.Name] = d.path
	}
	return paths
}

// Mode tells by its directories which writes the group understands.
func (g *Group) Mode() Mode { return modeOf(len(g.dirs), g.V2Dir() != "") }

// TasksFiles returns the file of each v1 hierarchy to which a single-threaded
// child writes "0" to join.
//
// A pid written to cgroup.procs would do the same from outside, but waits for
// an RCU grace period: about 10 ms instead of 10 µs.
func (g *Group) TasksFiles() []string {
	var files []string
	for _, d := range g.dirs {
		if !d.isV2() {
			files = append(files, d.path+"/tasks")
		}
	}
	return files
}

// V2Dir returns the directory for CLONE_INTO_CGROUP, "" without a v2 tree.
func (g *Group) V2Dir() string {
	for _, d := range g.dirs {
		if d.isV2() {
			return d.path
		}
	}
	return ""
}

// Plan checks that the container's cgroup is fit to be used and returns what
// Create is going to make, to be stored before it is made. A directory that
// exists already must be empty and not frozen: killing, freezing or removing
// the container would hit the processes of somebody else.
func (g *Group) Plan() (Facts, error) {
	g.planned, g.kept = nil, nil
	var planned []string
	for _, d := range g.dirs {
		dirs, missing, err := g.toMake(d)
		if err != nil {
			return Facts{}, err
		}
		planned = append(planned, dirs...)
		if missing {
			continue
		}
		pids, err := procs(d.path)
		if err != nil {
			return Facts{}, err
		}
		if len(pids) > 0 {
			return Facts{}, fmt.Errorf("cgroup %s is not empty: it has %d process(es)", d.path, len(pids))
		}
		kept, err := below(d.path)
		if err != nil {
			return Facts{}, err
		}
		g.kept = append(g.kept, kept...)
	}
	if err := g.checkThawed(); err != nil {
		return Facts{}, err
	}
	g.planned = planned
	return Facts{Paths: g.Paths(), Created: slices.Clone(planned), Kept: slices.Clone(g.kept), Unit: g.unit}, nil
}

// checkThawed fails if the group is frozen: its first process would never run.
func (g *Group) checkThawed() error {
	switch state, err := g.Freezer(); {
	case err != nil:
		return err
	case state == Frozen, state == Freezing:
		return fmt.Errorf("cgroup %s is frozen", g.freezerDir().path)
	}
	return nil
}

func notDirectory(p string) error { return fmt.Errorf("cgroup %s is not a directory", p) }

// toMake returns the directories on the way to d that Create makes or shares,
// parents first, and whether d itself is missing.
func (g *Group) toMake(d dir) (dirs []string, missing bool, err error) {
	for p := d.path; p != d.Mount; p = path.Dir(p) {
		st, err := os.Lstat(p)
		switch {
		case p != d.path && g.unit.Name != "" && d.isSystemds():
			continue // a slice
		case err == nil && !st.IsDir():
			return nil, false, notDirectory(p)
		case err == nil && (p == d.path || !isShared(p)):
			continue
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return nil, false, err
		}
		missing = missing || p == d.path
		dirs = append(dirs, p)
	}
	slices.Reverse(dirs)
	return dirs, missing, nil
}
