package cgroups

import (
	"fmt"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func blkioV1(c *compiler, r *specs.LinuxResources) {
	b := r.BlockIO
	if b == nil {
		return
	}
	if w := weight(c, "blockIO.weight", b.Weight); w != 0 {
		blkioWeight(c, "weight", utoa(w), "blockIO.weight")
	}
	if w := weight(c, "blockIO.leafWeight", b.LeafWeight); w != 0 {
		c.set("blkio", "blkio.leaf_weight", utoa(w), "blockIO.leafWeight")
	}
	for i, d := range b.WeightDevice {
		weightDevice(c, fmt.Sprintf("blockIO.weightDevice[%d]", i), d)
	}
	for _, t := range throttles(b) {
		for i, d := range t.devices {
			field := t.field + "[" + strconv.Itoa(i) + "]"
			dev := blockDevice(c, field, d.LinuxBlockIODevice)
			c.set("blkio", t.file, dev+" "+utoa(d.Rate), field)
		}
	}
}

type throttle struct {
	field, file string
	key         string // in v2's io.max
	devices     []specs.LinuxThrottleDevice
}

func throttles(b *specs.LinuxBlockIO) [4]throttle {
	return [...]throttle{
		{"blockIO.throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps", b.ThrottleReadBpsDevice},
		{"blockIO.throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps", b.ThrottleWriteBpsDevice},
		{"blockIO.throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops", b.ThrottleReadIOPSDevice},
		{"blockIO.throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops", b.ThrottleWriteIOPSDevice},
	}
}

// blkioWeight sets a weight in the file of the scheduler that the kernel has:
// CFQ's, which 5.0 removed, or BFQ's.
func blkioWeight(c *compiler, file, value, field string) {
	c.set("blkio", "blkio."+file, value, field)
	c.add(Write{Controller: "blkio", File: "blkio.bfq." + file, Value: value, Field: field, Else: true})
}

func weightDevice(c *compiler, field string, d specs.LinuxWeightDevice) {
	dev := blockDevice(c, field, d.LinuxBlockIODevice)
	if d.Weight == nil && d.LeafWeight == nil {
		c.fail(field, "has neither weight nor leafWeight")
	}
	// Here 0 is a value: it takes an earlier weight of the device back. BFQ wants
	// a word for it.
	if d.Weight != nil {
		value := "default"
		if w := weight(c, field+".weight", d.Weight); w != 0 {
			value = utoa(w)
		}
		blkioWeight(c, "weight_device", dev+" "+value, field+".weight")
	}
	if d.LeafWeight != nil {
		w := weight(c, field+".leafWeight", d.LeafWeight)
		c.set("blkio", "blkio.leaf_weight_device", dev+" "+utoa(w), field+".leafWeight")
	}
}

// weight reads a weight of 10 to 1000, or 0 for unset.
func weight(c *compiler, field string, v *uint16) uint64 {
	w := deref(v)
	if w != 0 && (w < 10 || w > 1000) {
		c.fail(field, "%d is not within 10 and 1000", w)
	}
	return uint64(w)
}

func blockDevice(c *compiler, field string, d specs.LinuxBlockIODevice) string {
	if d.Major < 0 || d.Minor < 0 {
		c.fail(field, "%d:%d is no device", d.Major, d.Minor)
	}
	return itoa(d.Major) + ":" + itoa(d.Minor)
}
