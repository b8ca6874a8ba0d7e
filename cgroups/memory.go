package cgroups

import specs "github.com/opencontainers/runtime-spec/specs-go"

// notOnV2 ends the errors about v1 settings that have no counterpart.
const notOnV2 = "cannot be expressed on cgroup v2"

func memoryV1(c *compiler, r *specs.LinuxResources) {
	m := r.Memory
	if m == nil {
		return
	}
	limit, reservation, swap := deref(m.Limit), deref(m.Reservation), deref(m.Swap) // -1 is unlimited
	if limit != 0 {
		c.set("memory", "memory.limit_in_bytes", itoa(limit), "memory.limit")
	}
	switch {
	case swap != 0:
		c.set("memory", "memory.memsw.limit_in_bytes", itoa(swap), "memory.swap")
	case limit == -1:
		// Unlimited memory would otherwise stay below an earlier memsw limit.
		c.add(Write{Controller: "memory", File: "memory.memsw.limit_in_bytes", Value: "-1",
			Field: "memory.limit", Optional: true})
	}
	if reservation != 0 {
		c.set("memory", "memory.soft_limit_in_bytes", itoa(reservation), "memory.reservation")
	}
	if m.UseHierarchy != nil {
		c.set("memory", "memory.use_hierarchy", bit(*m.UseHierarchy), "memory.useHierarchy")
	}
	if m.Swappiness != nil {
		c.set("memory", "memory.swappiness", utoa(*m.Swappiness), "memory.swappiness")
	}
	if m.DisableOOMKiller != nil {
		c.add(Write{Controller: "memory", File: "memory.oom_control", Value: bit(*m.DisableOOMKiller),
			Field: "memory.disableOOMKiller", Optional: !*m.DisableOOMKiller})
	}
	// checkBeforeUpdate needs nothing: the kernel refuses by itself.
}

func memoryV2(c *compiler, r *specs.LinuxResources) {
	m := r.Memory
	if m == nil {
		return
	}
	limit, reservation, swap := deref(m.Limit), deref(m.Reservation), deref(m.Swap) // -1 is unlimited
	if limit != 0 {
		w := Write{Controller: "memory", File: "memory.max", Value: maxOr(limit), Field: "memory.limit"}
		if limit > 0 && deref(m.CheckBeforeUpdate) {
			w.NotBelow = "memory.current"
		}
		c.add(w)
	}
	if reservation != 0 {
		c.set("memory", "memory.low", maxOr(reservation), "memory.reservation")
	}
	swapMax(c, limit, swap)
	if m.Swappiness != nil {
		c.fail("memory.swappiness", notOnV2)
	}
	if deref(m.DisableOOMKiller) {
		c.fail("memory.disableOOMKiller", notOnV2)
	}
	if m.UseHierarchy != nil && !*m.UseHierarchy {
		c.fail("memory.useHierarchy", "false "+notOnV2)
	}
}

// swapMax converts the limit on memory and swap together, which v1 has, to the
// limit on swap alone, which v2 has. Where the kernel does not count swap the
// file is missing, which is as good as no limit, and as none to be had.
func swapMax(c *compiler, limit, swap int64) {
	field := "memory.swap"
	switch {
	case swap == 0 && limit != -1:
		return
	case swap == 0:
		field = "memory.limit" // unlimited memory means unlimited swap, as on v1
		swap = -1
	case swap == -1:
	case limit == 0:
		c.fail(field, "%d includes memory, so on cgroup v2 it needs memory.limit", swap)
		return
	default:
		swap -= limit
	}
	c.add(Write{Controller: "memory", File: "memory.swap.max", Value: maxOr(swap),
		Field: field, Optional: swap <= 0})
}

func bit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
