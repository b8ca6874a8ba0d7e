package cgroups

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Procs returns the processes in the group and below it, in ascending order. A
// group that is gone has none. On v1 a process counts that is in any of the
// hierarchies.
func (g *Group) Procs() ([]int, error) {
	var all []int
	for _, d := range g.dirs {
		pids, err := procs(d.path)
		if err != nil {
			return nil, err
		}
		all = append(all, pids...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// procs returns the processes in a directory and below it.
func procs(dir string) ([]int, error) {
	var all []int
	err := walk(dir, func(dir int) error {
		pids, err := procsAt(dir)
		all = append(all, pids...)
		return err
	}, nil)
	return all, err
}

// procsAt returns the processes in one directory.
func procsAt(dir int) ([]int, error) {
	const file = "cgroup.procs"
	fd, err := unix.Openat(dir, file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if isGone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: file, Err: err}
	}
	defer unix.Close(fd)
	text, err := readFrom(fd, file)
	switch {
	case isGone(err):
		return nil, nil
	case errors.Is(err, unix.EOPNOTSUPP):
		return nil, nil // a threaded cgroup: its processes are listed further up
	case err != nil:
		return nil, err
	}
	var all []int
	for line := range strings.Lines(text) {
		pid, err := strconv.Atoi(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if pid != 0 { // 0 is a process of another pid namespace
			all = append(all, pid)
		}
	}
	return all, nil
}
