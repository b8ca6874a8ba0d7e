package cgroups

import (
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// cpuset is the same on both versions.
func cpuset(c *compiler, r *specs.LinuxResources) {
	if r.CPU != nil {
		list(c, r.CPU.Cpus, "cpuset.cpus", "cpu.cpus")
		list(c, r.CPU.Mems, "cpuset.mems", "cpu.mems")
	}
}

func list(c *compiler, value, file, field string) {
	switch {
	case value == "":
	case !isList(value):
		c.fail(field, "%q is not a list like 0-3,7", value)
	default:
		c.set("cpuset", file, value, field)
	}
}

func isList(s string) bool {
	for item := range strings.SplitSeq(s, ",") {
		first, last, isRange := strings.Cut(item, "-")
		a, err := strconv.ParseUint(first, 10, 32)
		if err != nil {
			return false
		}
		if !isRange {
			continue
		}
		if b, err := strconv.ParseUint(last, 10, 32); err != nil || b < a {
			return false
		}
	}
	return true
}
