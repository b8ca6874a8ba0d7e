package cgroups

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Create makes the directories of a group; what Plan found missing must not
// have been made by others since. The writes, which Apply is to do afterwards,
// tell which controllers must be there; on v2 these, and all others that can be,
// are enabled along the path. After an error nothing of it
// is left, and the group is empty, so that Kill and Remove touch nothing. The
// error is ErrUnavailable if this process may not make cgroups at all.
func (g *Group) Create(writes []Write) error {
	if len(g.dirs) == 0 {
		return fmt.Errorf("%w: no hierarchy is mounted", ErrUnavailable)
	}
	err := g.create(writes)
	if err != nil {
		// Children first; a parent that somebody else uses by now stays.
		for _, p := range slices.Backward(g.created) {
			unix.Rmdir(p)
		}
		*g = Group{unit: g.unit}
	}
	return err
}

func (g *Group) create(writes []Write) error {
	var needs []Write // of the v2 tree's controllers
	for _, w := range writes {
		switch dir, err := g.dirOf(w.Controller); {
		case err != nil && !w.Optional:
			return explain(w, err)
		case dir == g.V2Dir() && w.Controller != core && !w.Optional:
			needs = append(needs, w)
		}
	}
	for _, d := range g.dirs {
		err := g.makeDir(d, needs)
		if err == nil && d.isV2() && g.rootless && g.unit.Name == "" { // else systemd moves it
			err = d.checkJoin()
		}
		var controller controllerError
		if isRefused(err) && !errors.As(err, &controller) {
			err = fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if err != nil {
			return err
		}
	}
	return g.checkThawed() // an ancestor may be frozen
}

// makeDir makes the directories from the mount down to d.
func (g *Group) makeDir(d dir, needs []Write) error {
	names := strings.Split(strings.TrimPrefix(d.path, d.Mount+"/"), "/")
	var err error
	// Another container's removal may take a shared parent away under our feet.
	for range 10 {
		parent := d.Mount
		for _, name := range names {
			p := path.Join(parent, name)
			if err = g.makeOne(d, parent, p, needs); err != nil {
				break
			}
			parent = p
		}
		if !isGone(err) {
			return err
		}
	}
	return err
}

// makeOne makes one directory and what the next one, or the container's first
// process, needs to find in it.
func (g *Group) makeOne(d dir, parent, p string, needs []Write) error {
	// What a hybrid host keeps in its v2 tree is turned on where it is asked for
	// only, as its v1 hierarchies carry the rest.
	if d.isV2() && (g.Mode() == V2 || len(needs) > 0) {
		if err := enable(parent, needs); err != nil {
			return err
		}
	}
	if err := g.mkdir(d, p); err != nil {
		return err
	}
	if d.has("cpuset") {
		return inheritCpuset(parent, p)
	}
	return nil
}

// mkdir makes one directory and notes whether it is the group's to remove.
func (g *Group) mkdir(d dir, p string) error {
	if g.unit.Name != "" && d.isSystemds() {
		return g.findUnit(d, p)
	}
	switch err := os.Mkdir(p, 0o755); {
	case err == nil:
		if p != d.path {
			share(p)
		}
	case !errors.Is(err, unix.EEXIST):
		return err
	case p != d.path:
		if !isShared(p) {
			return nil
		}
	case g.unit.Name != "":
		// Systemd has made it, in one of the controllers that it knows.
	case !slices.Contains(g.planned, p): // Plan found it
		return nil
	case !slices.Contains(g.created, p):
		if st, err := os.Lstat(p); err == nil && !st.IsDir() { // a file that the kernel has put into a new parent
			return notDirectory(p)
		}
		return fmt.Errorf("cgroup %s was made by somebody else at the same time", p)
	}
	g.own(p)
	return nil
}

// findUnit makes sure that systemd has made a directory. Of its slices none is
// the group's.
func (g *Group) findUnit(d dir, p string) error {
	if _, err := os.Lstat(p); err != nil {
		return fmt.Errorf("the cgroup of %s is not where it should be: %w", g.unit.Name, err)
	}
	if p == d.path {
		g.own(p)
	}
	return nil
}

func (g *Group) own(p string) {
	if !slices.Contains(g.created, p) {
		g.created = append(g.created, p)
	}
}

// sharedMark is on each directory that a container needed only on the way to
// its own. Others below it outlive that container, and the last one to go
// removes it; what an administrator made has no mark and stays.
const sharedMark = "user.skep.shared"

// share marks a directory. Where it cannot be marked (Linux before 5.7), it
// stays behind if others use it.
func share(p string) { _ = unix.Setxattr(p, sharedMark, []byte("1"), 0) }

func isShared(p string) bool {
	_, err := unix.Getxattr(p, sharedMark, nil)
	return err == nil
}

// inheritCpuset fills an empty v1 cpuset, which no process can join, with what
// its parent has.
func inheritCpuset(parent, p string) error {
	for _, file := range [...]string{"/cpuset.cpus", "/cpuset.mems"} {
		value, err := readFile(p + file)
		if err != nil {
			return err
		}
		if strings.TrimSpace(value) != "" {
			continue
		}
		if value, err = readFile(parent + file); err != nil {
			return err
		}
		if err := writeFile(p+file, strings.TrimSpace(value)); err != nil {
			return err
		}
	}
	return nil
}

// enable turns on for the children of a v2 directory every controller that it
// has: limits come by update, and statistics are wanted without limits. What
// cannot be enabled is an error only if a write needs it.
func enable(p string, needs []Write) error {
	available, err := readFile(p + "/cgroup.controllers")
	if err != nil {
		return err
	}
	enabled, err := readFile(p + "/cgroup.subtree_control")
	if err != nil {
		return err
	}
	have := strings.Fields(enabled)
	var missing []string
	for _, name := range strings.Fields(available) {
		if !slices.Contains(have, name) {
			missing = append(missing, name)
		}
	}
	failed := enableEach(p+"/cgroup.subtree_control", missing)
	for _, w := range needs {
		if slices.Contains(have, w.Controller) {
			continue
		}
		if !slices.Contains(missing, w.Controller) {
			return controllerError{fmt.Errorf("%s: the %s controller is not available in %s", w.Field, w.Controller, p)}
		}
		if err := failed[w.Controller]; err != nil {
			err = fmt.Errorf("%s: enable the %s controller in %s: %w", w.Field, w.Controller, p, err)
			switch {
			case isRefused(err):
				err = fmt.Errorf("%w%s", err, notDelegated)
			case errors.Is(err, unix.EBUSY):
				err = fmt.Errorf("%w%s", err, inhabited)
			}
			return controllerError{err}
		}
	}
	return nil
}

// controllerError says that there may be cgroups, but not with a controller that a write needs.
type controllerError struct{ error }

func (e controllerError) Unwrap() error { return e.error }

const notDelegated = " (is it delegated? systemd gives a user's manager what Delegate= of user@.service names)"

// inhabited is what it is like in the cgroup namespace of a container, say.
const inhabited = " (its own processes have to move to a cgroup below it first)"

// enableEach enables all controllers at once if the kernel lets it, else one by
// one. It returns the errors of those that cannot be enabled.
//
// A directory with processes of its own refuses with EBUSY, and is then left
// alone: the controllers that it would accept by themselves make it a threaded
// domain, below which no process can be put.
func enableEach(file string, names []string) map[string]error {
	if len(names) == 0 {
		return nil
	}
	all := writeFile(file, "+"+strings.Join(names, " +"))
	if all == nil {
		return nil
	}
	alone := !errors.Is(all, unix.EBUSY) && !errors.Is(all, unix.EOPNOTSUPP)
	failed := make(map[string]error)
	for _, name := range names {
		err := all
		if alone {
			err = writeFile(file, "+"+name)
		}
		if err != nil {
			failed[name] = err
		}
	}
	return failed
}
