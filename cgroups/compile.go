package cgroups

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Write is one value for one file of a container's cgroup.
type Write struct {
	Controller string // the kernel's name of it: "memory", "cpuset", "blkio" …; or core
	File       string // name below the container's directory: "pids.max"
	Value      string
	Field      string // the setting that asks for it: "linux.resources.pids.limit"

	// Optional tolerates a kernel that lacks the file, because its absence
	// means the same as Value.
	Optional bool
	// Else makes it an alternative: it is done only if the file of the write
	// before it does not exist.
	Else bool
	// Keep puts the first word of the file's present content before Value. A
	// period written to cpu.max keeps the quota in this way.
	Keep bool
	// NotBelow names a file with the usage in bytes. A Value below it is
	// refused before the kernel makes room by killing processes.
	NotBelow string
	// Last makes it come after all settings that are converted, also after those
	// that have to be tried once more.
	Last bool

	rules []deviceRule // that Value tells
}

// core stands for the controller of the files that every v2 cgroup has.
const core = "cgroup"

// controller is a part of the resources, and how each version expresses it.
type controller struct {
	v1, v2 func(*compiler, *specs.LinuxResources)
}

var controllers = [...]controller{
	{v1: memoryV1, v2: memoryV2},
	{v1: cpuV1, v2: cpuV2},
	{v1: cpuset, v2: cpuset},
	{v1: pidsV1, v2: pidsV2},
	{v1: blkioV1, v2: ioV2},
	{v1: devicesV1, v2: devicesV2},
	{v1: hugetlbV1, v2: hugetlbV2},
	{v1: networkV1, v2: networkV2},
	{v1: rdma, v2: rdma},
	{v1: unifiedV1, v2: unifiedV2}, // it has the last word
}

// Compile turns resources (config-linux.md, control groups), which
// [spec.Validate] has found sound, into the writes that set them on a host of
// the given mode, in an order that the kernel accepts for a new cgroup;
// [Group.Apply] resolves the orders that depend on present values. Nil
// resources, like absent settings, change nothing.
//
// What the mode cannot express is judged here. The error joins all problems
// found; each begins with its JSON path. So do the warnings, for settings that
// are accepted without being enforced.
func Compile(mode Mode, r *specs.LinuxResources) (writes []Write, warnings []string, err error) {
	if r == nil {
		return nil, nil, nil
	}
	var c compiler
	for _, ctl := range controllers {
		if mode == V2 {
			ctl.v2(&c, r)
		} else {
			ctl.v1(&c, r)
		}
	}
	if mode == None {
		c.refuse()
	}
	if c.errs != nil {
		return nil, nil, errors.Join(c.errs...)
	}
	return c.writes, c.warnings, nil
}

// Needed returns the first setting that the writes ask for and that a container
// without cgroups would lack, or nothing.
func Needed(writes []Write) (field string) {
	i := slices.IndexFunc(writes, func(w Write) bool { return !w.Optional })
	if i < 0 {
		return ""
	}
	return writes[i].Field
}

// compiler collects what the controllers ask for and complain about. Fields
// are JSON paths below linux.resources.
type compiler struct {
	writes   []Write
	warnings []string
	errs     []error
}

const resources = "linux.resources."

// set adds a write that must succeed.
func (c *compiler) set(controller, file, value, field string) {
	c.add(Write{Controller: controller, File: file, Value: value, Field: field})
}

// add adds a write, completing its Field.
func (c *compiler) add(w Write) {
	w.Field = resources + w.Field
	c.writes = append(c.writes, w)
}

func (c *compiler) warn(field, message string) {
	c.warnings = append(c.warnings, resources+field+": "+message)
}

func (c *compiler) fail(field, format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("%s%s: "+format, append([]any{resources, field}, args...)...))
}

// refuse takes all writes back on a host without cgroups. That devices are not
// restricted there is only a warning, as every engine asks for it.
func (c *compiler) refuse() {
	restricted := false
	for _, w := range c.writes {
		switch {
		case w.isDeviceRule():
			restricted = restricted || !w.rules[0].allow
		case !w.Optional && !w.Else:
			c.errs = append(c.errs, errors.New(w.Field+": no cgroup hierarchy is mounted"))
		}
	}
	if restricted {
		c.warn("devices", "rules are not enforced without cgroups")
	}
	c.writes = nil
}

// item is the path of an item of a list.
func item(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

// deref reads a setting of which 0 means unset, as absent does: Docker and
// others send 0 for what the user did not ask for.
func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func itoa(n int64) string  { return strconv.FormatInt(n, 10) }
func utoa(n uint64) string { return strconv.FormatUint(n, 10) }

// maxOr writes a limit as v2 does, and the pids controller on v1.
func maxOr(n int64) string {
	if n < 0 {
		return "max"
	}
	return itoa(n)
}
