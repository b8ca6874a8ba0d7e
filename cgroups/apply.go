package cgroups

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Apply does the writes. An error names the setting, the file, the value and
// the kernel's errno.
func (g *Group) Apply(writes []Write) error {
	for _, w := range writes {
		if err := g.checkUsage(w); err != nil {
			return err
		}
	}
	n := slices.IndexFunc(writes, func(w Write) bool { return w.Last })
	if n < 0 {
		return g.apply(writes)
	}
	if err := g.apply(writes[:n]); err != nil {
		return err
	}
	return g.apply(writes[n:])
}

// apply tries what the kernel finds invalid again after everything else,
// because some files bound each other: v1's memory limit stays below the limit
// with swap, a CPU burst below the quota, the quota's share of its period below
// that of the parent. Which of them has to go first depends on present values.
func (g *Group) apply(writes []Write) error {
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
	if errs := g.retry(again); errs != nil {
		return errs[0]
	}
	return nil
}

// retry does writes that the kernel has refused again, for as long as one of
// them succeeds: others may have waited for it. It returns why it refuses the
// rest.
func (g *Group) retry(refused []Write) (errs []error) {
	for len(refused) > 0 {
		var left []Write
		errs = nil
		for _, w := range refused {
			if err := g.write(w); err != nil {
				left, errs = append(left, w), append(errs, explain(w, err))
			}
		}
		if len(left) == len(refused) {
			break
		}
		refused = left
	}
	return errs
}

func (g *Group) write(w Write) error {
	dir, err := g.dirOf(w.Controller)
	if err != nil {
		return err
	}
	if w.File == deviceFilter {
		return filterDevices(dir, filterProgram(w.rules))
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
	if value == "" {
		value = "\n" // a write of nothing does not reach the controller
	}
	return writeFile(file, value)
}

// dirOf returns the directory that has the controller: a v1 one, or the v2 one
// for all others. The error is ENOENT if there is none.
func (g *Group) dirOf(controller string) (string, error) {
	for _, d := range g.dirs {
		if d.has(controller) {
			return d.path, nil
		}
	}
	if dir := g.V2Dir(); dir != "" {
		return dir, nil
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
	case w.File == deviceFilter:
		return filterHint(err)
	case is(unix.ENOENT) && w.Controller == "hugetlb":
		return "this kernel has no huge pages of that size, or does not count them"
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
	case (w.Controller == "blkio" || w.Controller == "io") && is(unix.ENODEV):
		return "there is no such block device"
	case (w.Controller == "blkio" || w.Controller == "io") && is(unix.EOPNOTSUPP):
		return "the I/O scheduler of this disk has no weights, as BFQ does"
	case w.Controller == "net_prio" && is(unix.ENODEV):
		return "there is no such network interface"
	case w.Controller == "rdma" && is(unix.ENODEV):
		return "there is no such RDMA device"
	}
	return ""
}
