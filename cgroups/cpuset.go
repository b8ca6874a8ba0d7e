package cgroups

import (
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"skep/spec"
)

// cpuset is the same on both versions.
func cpuset(c *compiler, r *specs.LinuxResources) {
	if r.CPU != nil {
		list(c, r.CPU.Cpus, "cpuset.cpus", "cpu.cpus")
		list(c, r.CPU.Mems, "cpuset.mems", "cpu.mems")
	}
}

func list(c *compiler, value, file, field string) {
	switch list, err := spec.ParseList(value); {
	case err != nil:
		c.fail(field, "%q is not a list like 0-3,7: %v", value, err)
	case len(list) > 0:
		c.set("cpuset", file, strings.Join(strings.Fields(value), ""), field) // the kernel takes few blanks
	}
}
