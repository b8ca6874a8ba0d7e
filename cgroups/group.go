package cgroups

import "golang.org/x/sys/unix"

// Facts is what the state file stores of a [Group], so that another process
// can find it again.
type Facts struct {
	// Paths maps a hierarchy's name ([Hierarchy.Name]) to the absolute
	// directory of the container in it.
	Paths map[string]string `json:"paths,omitempty"`
	// Created are the absolute directories that did not exist before, parents
	// before children. Only these may be removed.
	Created []string `json:"created,omitempty"`
}

// Group is the set of a container's cgroups: one directory per hierarchy.
type Group struct{}

// New returns the group that linux.cgroupsPath names; nothing is created yet.
//
// An absolute path is taken from the root of each hierarchy, a relative one
// from /skep below it; without a path the group is /skep/<id>. Dots are
// cleaned, so nothing leads out of the hierarchy; a path that names no cgroup
// of its own is an error. With rootless set, /skep is not below the root but
// below the parent of this process's own cgroup, where a delegated subtree
// begins.
func New(l Layout, cgroupsPath, id string, rootless bool) (*Group, error) { panic("unfinished") }

// Open returns the group that an earlier process planned or created.
func Open(f Facts) *Group { panic("unfinished") }

// Plan checks that the container's cgroup is fit to be used and returns what
// Create is going to make, to be stored before it is made. A directory that
// exists already must be empty and not frozen.
func (g *Group) Plan() (Facts, error) { panic("unfinished") }

// Create makes the directories. The writes, which Apply is to do afterwards,
// tell which controllers must be there; on v2 these, and all others that can
// be, are enabled along the path. After an error nothing of it is left, and
// the group is empty. The error is ErrUnavailable if this process may not make
// cgroups at all.
func (g *Group) Create(writes []Write) error { panic("unfinished") }

// Facts returns what the state file is to store once Create has succeeded.
func (g *Group) Facts() Facts { panic("unfinished") }

// Mode tells by its directories which writes the group understands.
func (g *Group) Mode() Mode { panic("unfinished") }

// Paths maps each hierarchy's name to the container's absolute directory.
func (g *Group) Paths() map[string]string { panic("unfinished") }

// TasksFiles returns the file of each v1 hierarchy to which a single-threaded
// child writes "0" to join.
//
// A pid written to cgroup.procs would do the same from outside, but waits for
// an RCU grace period: about 10 ms instead of 10 µs.
func (g *Group) TasksFiles() []string { panic("unfinished") }

// V2Dir returns the directory for CLONE_INTO_CGROUP, "" without a v2 tree.
func (g *Group) V2Dir() string { panic("unfinished") }

// Apply does the writes. An error names the setting, the file, the value and
// the kernel's errno.
func (g *Group) Apply(writes []Write) error { panic("unfinished") }

// Procs returns the processes in the group and below it, in ascending order. A
// group that is gone has none.
func (g *Group) Procs() ([]int, error) { panic("unfinished") }

// Freeze stops all processes of the group and returns when they have stopped.
func (g *Group) Freeze() error { panic("unfinished") }

// Thaw lets the processes of the group run again.
func (g *Group) Thaw() error { panic("unfinished") }

// Freezer is the state of a group's freezer.
type Freezer int

const (
	NoFreezer Freezer = iota // the host has none, or the group is gone
	Thawed                   // also while it is still freezing
	Frozen
)

// Freezer returns whether the group is frozen, be it by an ancestor.
func (g *Group) Freezer() (Freezer, error) { panic("unfinished") }

// Kill sends a signal to all processes of the group, forks included.
func (g *Group) Kill(sig unix.Signal) error { panic("unfinished") }

// Remove removes the cgroups which the container made below its own, and of
// the group's own directories those that Create made. It waits up to 10 s for
// killed processes to leave. The error names the processes that stay.
func (g *Group) Remove() error { panic("unfinished") }
