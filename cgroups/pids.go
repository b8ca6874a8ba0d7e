package cgroups

import specs "github.com/opencontainers/runtime-spec/specs-go"

// pidsV1 takes 0 for a limit, unlike elsewhere: the specification says so, and
// the container's first process joins by itself and need not fork.
func pidsV1(c *compiler, r *specs.LinuxResources) { pids(c, r, 0) }

// pidsV2 makes 1 of 0, with which nobody could be born into the cgroup. For who
// is in it 1 is the same.
func pidsV2(c *compiler, r *specs.LinuxResources) { pids(c, r, 1) }

func pids(c *compiler, r *specs.LinuxResources, least int64) {
	if r.Pids == nil || r.Pids.Limit == nil {
		return
	}
	limit := *r.Pids.Limit
	if limit == 0 {
		limit = least
	}
	c.set("pids", "pids.max", maxOr(limit), "pids.limit")
}
