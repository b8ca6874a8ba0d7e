package cgroups

import specs "github.com/opencontainers/runtime-spec/specs-go"

// ioV2 converts the settings of v1's blkio controller. Zeros, which Docker
// always sends, are unset.
func ioV2(c *compiler, r *specs.LinuxResources) {
	b := r.BlockIO
	if b == nil {
		return
	}
	if w := deref(b.Weight); w != 0 {
		ioWeight(c, "", w, "blockIO.weight")
	}
	if deref(b.LeafWeight) != 0 {
		c.fail("blockIO.leafWeight", notOnV2)
	}
	for i, d := range b.WeightDevice {
		field := item("blockIO.weightDevice", i)
		if deref(d.LeafWeight) != 0 {
			c.fail(field+".leafWeight", notOnV2)
		}
		if d.Weight != nil {
			ioWeight(c, blockDevice(d.LinuxBlockIODevice)+" ", *d.Weight, field+".weight")
		}
	}
	for _, t := range throttles(b) {
		rate := "max" // v1 takes 0 for it
		if t.rate != 0 {
			rate = utoa(t.rate)
		}
		c.set("io", "io.max", t.device+" "+t.key+"="+rate, t.field)
	}
}

// ioWeight sets the weight of a device, or of all for which there is no other.
// BFQ has the range of v1; the cost model's file, which other kernels have,
// goes from 1 to 10000. A weight of 0 takes an earlier one of the device back.
func ioWeight(c *compiler, dev string, weight uint16, field string) {
	bfq, cost := "default", "default"
	if w := uint64(weight); w != 0 {
		bfq, cost = utoa(w), utoa(1+(w-10)*9999/990)
	}
	c.set("io", "io.bfq.weight", dev+bfq, field)
	c.add(Write{Controller: "io", File: "io.weight", Value: dev + cost, Field: field, Else: true})
}
