package spec

import (
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// resources checks what does not depend on the version of cgroups.
func (v *validator) resources(r *specs.LinuxResources) {
	if r == nil {
		return
	}
	v.deviceRules(r.Devices)
	v.memory(r.Memory)
	v.cpu(r.CPU)
	v.blockIO(r.BlockIO)
	if r.Pids != nil && r.Pids.Limit != nil {
		v.limit("linux.resources.pids.limit", r.Pids.Limit)
	}
	for i, h := range r.HugepageLimits {
		v.hugepage(at("linux.resources.hugepageLimits", i), h.Pagesize)
	}
	if r.Network != nil {
		for i, p := range r.Network.Priorities {
			v.interfaceName(at("linux.resources.network.priorities", i)+".name", p.Name)
		}
	}
	for _, device := range sortedKeys(r.Rdma) {
		where := member("linux.resources.rdma", device)
		if l := r.Rdma[device]; l.HcaHandles == nil && l.HcaObjects == nil {
			v.problem(where, "at least one of hcaHandles and hcaObjects is required")
		}
		if device == "" || strings.ContainsAny(device, " \t\n\x00") {
			v.problem(where, "%q is not the name of a device", device)
		}
	}
	for _, file := range sortedKeys(r.Unified) {
		where := member("linux.resources.unified", file)
		controller, rest, ok := strings.Cut(file, ".")
		if !ok || controller == "" || rest == "" || strings.ContainsAny(file, "/\x00") {
			v.problem(where, "%q is not the name of a cgroup file such as memory.max", file)
		}
		v.text(where, r.Unified[file])
	}
}

// limit wants a number from -1, which means unlimited, upwards.
func (v *validator) limit(path string, n *int64) {
	if n != nil && *n < -1 {
		v.problem(path, "%d is below -1 (unlimited)", *n)
	}
}

func (v *validator) memory(m *specs.LinuxMemory) {
	if m == nil {
		return
	}
	const where = "linux.resources.memory"
	v.limit(where+".limit", m.Limit)
	v.limit(where+".reservation", m.Reservation)
	v.limit(where+".swap", m.Swap)
	// swap is the sum of memory and swap; 0 stands for unset.
	if m.Limit != nil && m.Swap != nil && *m.Swap > 0 && (*m.Swap < *m.Limit || *m.Limit == -1) {
		v.problem(where+".swap", "%d is memory and swap together, which cannot be below the limit %d", *m.Swap, *m.Limit)
	}
	if m.Swappiness != nil && *m.Swappiness > 100 {
		v.problem(where+".swappiness", "%d is not between 0 and 100", *m.Swappiness)
	}
	for _, k := range []struct {
		name  string
		value *int64
	}{{"kernel", m.Kernel}, {"kernelTCP", m.KernelTCP}} {
		if k.value != nil && *k.value != 0 {
			v.warn(member(where, k.name), "ignored, kernels no longer have this limit")
		}
	}
}

func (v *validator) cpu(c *specs.LinuxCPU) {
	if c == nil {
		return
	}
	const where = "linux.resources.cpu"
	const minTime, maxPeriod = 1_000, 1_000_000 // µs; bounds of the kernel's bandwidth control
	if c.Period != nil && *c.Period != 0 && (*c.Period < minTime || *c.Period > maxPeriod) {
		v.problem(where+".period", "%d µs is not between %d and %d", *c.Period, minTime, maxPeriod)
	}
	if c.Quota != nil && *c.Quota > 0 {
		if *c.Quota < minTime {
			v.problem(where+".quota", "%d µs is below %d", *c.Quota, minTime)
		}
		if c.Burst != nil && *c.Burst > uint64(*c.Quota) {
			v.problem(where+".burst", "%d µs is above the quota of %d µs", *c.Burst, *c.Quota)
		}
	}
	if c.Idle != nil && *c.Idle != 0 && *c.Idle != 1 {
		v.problem(where+".idle", "%d is neither 0 nor 1", *c.Idle)
	}
	v.list(where+".cpus", c.Cpus)
	v.list(where+".mems", c.Mems)
}

func (v *validator) blockIO(b *specs.LinuxBlockIO) {
	if b == nil {
		return
	}
	const where = "linux.resources.blockIO"
	v.weight(where+".weight", b.Weight)
	v.weight(where+".leafWeight", b.LeafWeight)
	for i, d := range b.WeightDevice {
		device := at(where+".weightDevice", i)
		v.deviceNumber(device, d.Major, d.Minor)
		if d.Weight == nil && d.LeafWeight == nil {
			v.problem(device, "at least one of weight and leafWeight is required")
		}
		v.weight(device+".weight", d.Weight)
		v.weight(device+".leafWeight", d.LeafWeight)
	}
	for _, t := range []struct {
		name string
		list []specs.LinuxThrottleDevice
	}{
		{".throttleReadBpsDevice", b.ThrottleReadBpsDevice},
		{".throttleWriteBpsDevice", b.ThrottleWriteBpsDevice},
		{".throttleReadIOPSDevice", b.ThrottleReadIOPSDevice},
		{".throttleWriteIOPSDevice", b.ThrottleWriteIOPSDevice},
	} {
		for i, d := range t.list {
			v.deviceNumber(at(where+t.name, i), d.Major, d.Minor)
		}
	}
}

// weight takes 0 for unset: Docker always sends the member.
func (v *validator) weight(path string, w *uint16) {
	if w != nil && *w != 0 && (*w < 10 || *w > 1000) {
		v.problem(path, "%d is not between 10 and 1000", *w)
	}
}

// hugepage wants a page size such as 2MB; whether the kernel has it is seen later.
func (v *validator) hugepage(path, size string) {
	path += ".pageSize"
	number, ok := strings.CutSuffix(size, "B")
	switch {
	case size == "":
		v.problem(path, "required but missing")
	case !ok || len(number) < 2 || !strings.ContainsRune("KMG", rune(number[len(number)-1])),
		!isNumber(number[:len(number)-1]) || number[0] == '0':
		v.problem(path, "%q is not a size such as 64KB, 2MB or 1GB", size)
	}
}

func (v *validator) rdt(r *specs.LinuxIntelRdt) {
	if r == nil {
		return
	}
	const where = "linux.intelRdt"
	if id := r.ClosID; id == "." || id == ".." || id != "/" && strings.ContainsAny(id, "/\n\x00") {
		v.problem(where+".closID", "%q is not the name of a directory", id)
	}
	v.oneLine(where+".l3CacheSchema", r.L3CacheSchema)
	v.oneLine(where+".memBwSchema", r.MemBwSchema)
	if r.MemBwSchema != "" && !strings.HasPrefix(r.MemBwSchema, "MB:") {
		v.problem(where+".memBwSchema", "%q does not begin with MB:", r.MemBwSchema)
	}
	for i, line := range r.Schemata {
		v.oneLine(at(where+".schemata", i), line)
	}
}

func (v *validator) oneLine(path, s string) {
	if strings.ContainsAny(s, "\n\x00") {
		v.problem(path, "%q is more than one line", s)
	}
}
