package cgroups

import (
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// ioV2 converts the settings of v1's blkio controller. Zeros, which Docker
// always sends, are unset.
func ioV2(c *compiler, r *specs.LinuxResources) {
	b := r.BlockIO
	if b == nil {
		return
	}
	if w := weight(c, "blockIO.weight", b.Weight); w != 0 {
		ioWeight(c, "", w, "blockIO.weight")
	}
	if deref(b.LeafWeight) != 0 {
		c.fail("blockIO.leafWeight", notOnV2)
	}
	for i, d := range b.WeightDevice {
		field := "blockIO.weightDevice[" + strconv.Itoa(i) + "]"
		dev := blockDevice(c, field, d.LinuxBlockIODevice)
		if d.Weight == nil && d.LeafWeight == nil {
			c.fail(field, "has neither weight nor leafWeight")
		}
		if deref(d.LeafWeight) != 0 {
			c.fail(field+".leafWeight", notOnV2)
		}
		if d.Weight != nil {
			ioWeight(c, dev+" ", weight(c, field+".weight", d.Weight), field+".weight")
		}
	}
	for _, t := range throttles(b) {
		for i, d := range t.devices {
			field := t.field + "[" + strconv.Itoa(i) + "]"
			dev := blockDevice(c, field, d.LinuxBlockIODevice)
			rate := "max" // v1 takes 0 for it
			if d.Rate != 0 {
				rate = utoa(d.Rate)
			}
			c.set("io", "io.max", dev+" "+t.key+"="+rate, field)
		}
	}
}

// ioWeight sets the weight of a device, or of all for which there is no other.
// BFQ has the range of v1; the cost model's file, which other kernels have,
// goes from 1 to 10000. A weight of 0 takes an earlier one of the device back.
func ioWeight(c *compiler, dev string, w uint64, field string) {
	bfq, cost := "default", "default"
	if w != 0 {
		bfq, cost = utoa(w), utoa(1+(w-10)*9999/990)
	}
	c.set("io", "io.bfq.weight", dev+bfq, field)
	c.add(Write{Controller: "io", File: "io.weight", Value: dev + cost, Field: field, Else: true})
}
