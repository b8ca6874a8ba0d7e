package cgroups

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Apply does the writes. An error names the setting, the file, the value and
// the kernel's errno.
//
// Some files bound each other: v1's memory limit stays below the limit with
// swap, a CPU burst below the quota. Which of them has to go first depends on
// present values, so what the kernel finds invalid is tried once more after
// everything else.
func (g *Group) Apply(writes []Write) error {
	for _, w := range writes {
		if err := g.checkUsage(w); err != nil {
			return err
		}
	}
	var again []Write
	missing := false // the file of the write before
	for i, w := range writes {
		if w.Else && !missing {
			continue
		}
		err := g.write(w)
		missing = errors.Is(err, unix.ENOENT)
		hasElse := i+1 < len(writes) && writes[i+1].Else
		switch {
		case err == nil, missing && (w.Optional || hasElse):
		case errors.Is(err, unix.EINVAL):
			again = append(again, w)
		default:
			return explain(w, err)
		}
	}
	for _, w := range again {
		if err := g.write(w); err != nil {
			return explain(w, err)
		}
	}
	return nil
}

func (g *Group) write(w Write) error {
	dir, err := g.dirOf(w.Controller)
	if err != nil {
		return err
	}
	file, value := dir+"/"+w.File, w.Value
	if w.Keep {
		now, err := readFile(file)
		if err != nil {
			return err
		}
		first, _, _ := strings.Cut(now, " ")
		value = first + " " + value
	}
	return writeFile(file, value)
}

// dirOf returns the directory that has the controller. The error is ENOENT if
// none has.
func (g *Group) dirOf(controller string) (string, error) {
	for _, d := range g.dirs {
		if d.has(controller) {
			return d.path, nil
		}
	}
	if g.Mode() == V2 {
		return g.V2Dir(), nil
	}
	return "", fmt.Errorf("cgroup controller %s: %w", controller, unix.ENOENT)
}

func (g *Group) checkUsage(w Write) error {
	if w.NotBelow == "" {
		return nil
	}
	dir, err := g.dirOf(w.Controller)
	if err != nil {
		return explain(w, err)
	}
	text, err := readFile(dir + "/" + w.NotBelow)
	if err != nil {
		return explain(w, err)
	}
	usage, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return explain(w, err)
	}
	if value, err := strconv.ParseUint(w.Value, 10, 64); err == nil && value < usage {
		return fmt.Errorf("%s: %d is below the present usage of %d", w.Field, value, usage)
	}
	return nil
}

func explain(w Write, err error) error {
	if h := hint(w, err); h != "" {
		return fmt.Errorf("%s: %w (%s)", w.Field, err, h)
	}
	return fmt.Errorf("%s: %w", w.Field, err)
}

// hint says in the user's terms what an errno means for a file.
func hint(w Write, err error) string {
	is := func(e unix.Errno) bool { return errors.Is(err, e) }
	switch {
	case is(unix.ENOENT) && (w.File == "memory.memsw.limit_in_bytes" || w.File == "memory.swap.max"):
		return "this kernel does not count swap"
	case is(unix.ENOENT):
		return "not mounted, not enabled, or not known to this kernel"
	case w.Controller == "memory" && is(unix.EBUSY):
		return "more than that is in use"
	case w.File == "memory.memsw.limit_in_bytes" && is(unix.EINVAL):
		return "it must not be below the memory limit"
	case w.Controller == "cpuset" && (is(unix.EACCES) || is(unix.EINVAL) || is(unix.ERANGE)):
		return "the parent cgroup or this host does not have them all"
	case strings.HasPrefix(w.File, "cpu.rt_") && is(unix.EINVAL):
		return "the parent cgroup has no such realtime budget"
	case strings.HasPrefix(w.File, "cpu.cfs_") && is(unix.EINVAL):
		return "out of range, or more than the parent cgroup has"
	case w.Controller == "devices" && is(unix.EPERM):
		return "the parent cgroup does not allow it"
	case w.Controller == "blkio" && is(unix.ENODEV):
		return "there is no such block device"
	}
	return ""
}
