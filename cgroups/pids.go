package cgroups

import specs "github.com/opencontainers/runtime-spec/specs-go"

// pids is the same on both versions. Unlike elsewhere 0 is a limit here: the
// specification says so, and the container's first process does not fork.
func pids(c *compiler, r *specs.LinuxResources) {
	if r.Pids == nil || r.Pids.Limit == nil {
		return
	}
	limit := c.limit("pids.limit", r.Pids.Limit)
	c.set("pids", "pids.max", maxOr(limit), "pids.limit")
}
