package cgroups

import specs "github.com/opencontainers/runtime-spec/specs-go"

func networkV1(c *compiler, r *specs.LinuxResources) {
	n := r.Network
	if n == nil {
		return
	}
	if n.ClassID != nil {
		// No class is what a kernel without the controller gives.
		c.add(Write{Controller: "net_cls", File: "net_cls.classid", Value: utoa(uint64(*n.ClassID)),
			Field: "network.classID", Optional: *n.ClassID == 0})
	}
	// The kernel looks the interfaces up in the network namespace of the one who
	// writes, which is the host's.
	for i, p := range n.Priorities {
		c.set("net_prio", "net_prio.ifpriomap", p.Name+" "+utoa(uint64(p.Priority)), item("network.priorities", i))
	}
}

func networkV2(c *compiler, r *specs.LinuxResources) {
	n := r.Network
	if n == nil {
		return
	}
	if deref(n.ClassID) != 0 {
		c.fail("network.classID", notOnV2)
	}
	if len(n.Priorities) > 0 {
		c.fail("network.priorities", notOnV2)
	}
}
