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
	dirs, err := subtree(dir)
	if err != nil {
		return nil, err
	}
	for _, d := range dirs {
		text, err := readFile(d + "/cgroup.procs")
		switch {
		case isGone(err):
			continue
		case errors.Is(err, unix.EOPNOTSUPP):
			continue // a threaded cgroup: its processes are listed further up
		case err != nil:
			return nil, err
		}
		for line := range strings.Lines(text) {
			pid, err := strconv.Atoi(strings.TrimSuffix(line, "\n"))
			if err != nil {
				return nil, fmt.Errorf("%s/cgroup.procs: %w", d, err)
			}
			if pid != 0 { // 0 is a process of another pid namespace
				all = append(all, pid)
			}
		}
	}
	return all, nil
}

// subtree returns a directory and those below it, parents first; none if it
// does not exist.
func subtree(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if isGone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	dirs := []string{dir}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		below, err := subtree(dir + "/" + e.Name())
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, below...)
	}
	return dirs, nil
}
