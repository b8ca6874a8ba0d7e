package cgroups

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// walk visits a directory and those below it, if it exists: visit gets each on
// the way down, leave gets all but the first on the way up, by the directory
// above and their name there. Either may be nil.
//
// A container that owns its cgroup nests others in it as deeply as it likes:
// deeper than a path can tell (PATH_MAX) and than there are descriptors. So the
// walk holds one descriptor, and goes back by "..", which cgroups do not change.
func walk(top string, visit func(dir int) error, leave func(above int, name string) error) error {
	fd, err := openFile(top, unix.O_RDONLY|unix.O_DIRECTORY)
	if isGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	w := walker{dir: fd, visit: visit, leave: leave}
	defer func() { unix.Close(w.dir) }()
	if err := w.walk(); err != nil {
		return fmt.Errorf("%s and below: %w", top, err)
	}
	return nil
}

type walker struct {
	dir    int      // where it is
	levels []level  // from the first directory to there
	names  []string // of all but the first
	visit  func(dir int) error
	leave  func(above int, name string) error
}

// level are the names in a directory that are still to be visited.
type level []string

func (w *walker) walk() error {
	if err := w.enter(); err != nil {
		return err
	}
	for {
		here := &w.levels[len(w.levels)-1]
		if n := len(*here); n > 0 {
			name := (*here)[n-1]
			*here = (*here)[:n-1]
			if err := w.down(name); err != nil {
				return err
			}
			continue
		}
		if len(w.names) == 0 {
			return nil
		}
		if err := w.up(); err != nil {
			return err
		}
	}
}

// down goes to a directory, unless it is gone.
func (w *walker) down(name string) error {
	switch err := w.to(name); {
	case isGone(err):
		return nil
	case err != nil:
		return err
	}
	w.names = append(w.names, name)
	return w.enter()
}

func (w *walker) up() error {
	if err := w.to(".."); err != nil {
		return err
	}
	last := len(w.names) - 1
	name := w.names[last]
	w.names, w.levels = w.names[:last], w.levels[:last+1]
	if w.leave == nil {
		return nil
	}
	return w.leave(w.dir, name)
}

func (w *walker) to(name string) error {
	fd, err := unix.Openat(w.dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: name, Err: err}
	}
	unix.Close(w.dir)
	w.dir = fd
	return nil
}

func (w *walker) enter() error {
	if w.visit != nil {
		if err := w.visit(w.dir); err != nil {
			return err
		}
	}
	below, err := directories(w.dir)
	w.levels = append(w.levels, below)
	if isGone(err) {
		return nil
	}
	return err
}

// below lists the paths of the directories in a directory, if that exists.
func below(dir string) (paths []string, err error) {
	fd, err := openFile(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if isGone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	names, err := directories(fd)
	if err != nil && !isGone(err) {
		return nil, err
	}
	for _, name := range names {
		paths = append(paths, dir+"/"+name)
	}
	return paths, nil
}

// directories lists those in a directory, whose descriptor has not been read.
func directories(fd int) (names []string, err error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	f := os.NewFile(uintptr(dup), "directory")
	defer f.Close()
	entries, err := f.ReadDir(-1)
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}
