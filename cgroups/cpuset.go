package cgroups

import (
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

// list writes a list without blanks, of which the kernel takes only few.
func list(c *compiler, value, file, field string) {
	if value = strings.Join(strings.Fields(value), ""); value != "" {
		c.set("cpuset", file, value, field)
	}
}
