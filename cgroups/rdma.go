package cgroups

import (
	"maps"
	"slices"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// rdma is the same on both versions. What a line does not name keeps its limit.
func rdma(c *compiler, r *specs.LinuxResources) {
	for _, device := range slices.Sorted(maps.Keys(r.Rdma)) {
		limit, field := r.Rdma[device], "rdma["+strconv.Quote(device)+"]"
		line := device
		if limit.HcaHandles != nil {
			line += " hca_handle=" + utoa(uint64(*limit.HcaHandles))
		}
		if limit.HcaObjects != nil {
			line += " hca_object=" + utoa(uint64(*limit.HcaObjects))
		}
		c.set("rdma", "rdma.max", line, field)
	}
}
