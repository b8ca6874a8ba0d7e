package cgroups

import specs "github.com/opencontainers/runtime-spec/specs-go"

func blkioV1(c *compiler, r *specs.LinuxResources) {
	b := r.BlockIO
	if b == nil {
		return
	}
	if w := deref(b.Weight); w != 0 {
		blkioWeight(c, "weight", utoa(uint64(w)), "blockIO.weight")
	}
	if w := deref(b.LeafWeight); w != 0 {
		c.set("blkio", "blkio.leaf_weight", utoa(uint64(w)), "blockIO.leafWeight")
	}
	for i, d := range b.WeightDevice {
		weightDevice(c, item("blockIO.weightDevice", i), d)
	}
	for _, t := range throttles(b) {
		c.set("blkio", t.file, t.device+" "+utoa(t.rate), t.field)
	}
}

// throttle is a limit for one device.
type throttle struct {
	file  string // of v1
	key   string // in v2's io.max
	field string

	device string
	rate   uint64
}

func throttles(b *specs.LinuxBlockIO) (all []throttle) {
	for _, kind := range [...]struct {
		throttle
		devices []specs.LinuxThrottleDevice
	}{
		{throttle{file: "blkio.throttle.read_bps_device", key: "rbps", field: "blockIO.throttleReadBpsDevice"}, b.ThrottleReadBpsDevice},
		{throttle{file: "blkio.throttle.write_bps_device", key: "wbps", field: "blockIO.throttleWriteBpsDevice"}, b.ThrottleWriteBpsDevice},
		{throttle{file: "blkio.throttle.read_iops_device", key: "riops", field: "blockIO.throttleReadIOPSDevice"}, b.ThrottleReadIOPSDevice},
		{throttle{file: "blkio.throttle.write_iops_device", key: "wiops", field: "blockIO.throttleWriteIOPSDevice"}, b.ThrottleWriteIOPSDevice},
	} {
		for i, d := range kind.devices {
			t := kind.throttle
			t.field, t.device, t.rate = item(t.field, i), blockDevice(d.LinuxBlockIODevice), d.Rate
			all = append(all, t)
		}
	}
	return all
}

// blkioWeight sets a weight in the file of the scheduler that the kernel has:
// CFQ's, which 5.0 removed, or BFQ's.
func blkioWeight(c *compiler, file, value, field string) {
	c.set("blkio", "blkio."+file, value, field)
	c.add(Write{Controller: "blkio", File: "blkio.bfq." + file, Value: value, Field: field, Else: true})
}

func weightDevice(c *compiler, field string, d specs.LinuxWeightDevice) {
	dev := blockDevice(d.LinuxBlockIODevice)
	// Here 0 is a value: it takes an earlier weight of the device back. BFQ wants
	// a word for it.
	if d.Weight != nil {
		value := "default"
		if *d.Weight != 0 {
			value = utoa(uint64(*d.Weight))
		}
		blkioWeight(c, "weight_device", dev+" "+value, field+".weight")
	}
	if d.LeafWeight != nil {
		c.set("blkio", "blkio.leaf_weight_device", dev+" "+utoa(uint64(*d.LeafWeight)), field+".leafWeight")
	}
}

func blockDevice(d specs.LinuxBlockIODevice) string { return itoa(d.Major) + ":" + itoa(d.Minor) }
