package systemd

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"

	"skep/cgroups"
	"skep/spec"
)

// Property is one setting of a unit.
type Property struct {
	Name  string
	Value dbus.Variant
}

func property(name string, value any) Property { return Property{name, dbus.MakeVariant(value)} }

// String returns the property as one writes it in an annotation.
func (p Property) String() string { return p.Name + " " + p.Value.String() }

// row tells which property says what a file of the cgroup does.
type row struct {
	file, name string
	since      int // the version of systemd that has it
	// value converts the file's content. Of what it does not understand there is no property: the kernel, which
	// reads the file, has the last word.
	value func(string) (any, bool)
	// fixed means that systemd takes it only with a new unit.
	fixed bool
}

// rows has no files of which systemd keeps its hands off anyway. Nor has it v1's
// weights of disks, of which systemd would make less than a fifth.
var rows = [...]row{
	{file: "memory.max", name: "MemoryMax", value: amount},
	{file: "memory.high", name: "MemoryHigh", value: amount},
	{file: "memory.low", name: "MemoryLow", value: amount},
	{file: "memory.min", name: "MemoryMin", since: 240, value: amount},
	{file: "memory.swap.max", name: "MemorySwapMax", value: amount},
	{file: "memory.zswap.max", name: "MemoryZSwapMax", since: 253, value: amount},
	{file: "memory.oom.group", name: "OOMPolicy", since: 253, value: oomPolicy, fixed: true},
	{file: "cpu.weight", name: "CPUWeight", value: number},
	{file: "cpu.idle", name: "CPUWeight", since: 252, value: idle},
	{file: "cpuset.cpus", name: "AllowedCPUs", since: 244, value: bitmask},
	{file: "cpuset.mems", name: "AllowedMemoryNodes", since: 244, value: bitmask},
	{file: "pids.max", name: "TasksMax", value: tasks},
	{file: "io.weight", name: "IOWeight", value: defaultWeight},
	{file: "io.weight", name: "IODeviceWeight", value: deviceValue},
	{file: "io.max", name: "IOReadBandwidthMax", value: readBytes},
	{file: "io.max", name: "IOWriteBandwidthMax", value: writeBytes},
	{file: "io.max", name: "IOReadIOPSMax", value: readOps},
	{file: "io.max", name: "IOWriteIOPSMax", value: writeOps},

	{file: "memory.limit_in_bytes", name: "MemoryLimit", value: amount},
	{file: "cpu.shares", name: "CPUShares", value: number},
	{file: "blkio.throttle.read_bps_device", name: "BlockIOReadBandwidth", value: deviceValue},
	{file: "blkio.throttle.write_bps_device", name: "BlockIOWriteBandwidth", value: deviceValue},
}

// Host is what the conversion has to know besides the writes.
type Host struct {
	Version int  // of systemd
	Update  bool // the unit exists already
	V1      bool // the controllers are v1's
	// Read returns the present content of a file of the cgroup, "" where there is none yet.
	Read func(controller, file string) string
	// Drivers are the names of device drivers by major number: /proc/devices.
	Drivers func(block bool) map[int64]string
}

// Convert returns the properties that say what the writes do, and the writes
// again: a CPU quota is one that systemd can keep, which is in steps of 1 % of
// a CPU.
func Convert(writes []cgroups.Write, h Host) ([]Property, []cgroups.Write) {
	var props []Property
	for _, w := range writes {
		for _, r := range rows {
			if r.file != w.File || h.Version < r.since || r.fixed && h.Update {
				continue
			}
			value, ok := r.value(strings.TrimSpace(w.Value))
			if w.File == "cpu.idle" && h.V1 {
				continue // a weight would count instead of the shares; systemd leaves the file alone there
			}
			if !ok || w.File == "cpu.idle" && w.Value == "0" && has(props, r.name) {
				continue // the weight that is asked for counts
			}
			if _, list := value.([]deviceSetting); !list { // of lists systemd adds one to the other
				props = slices.DeleteFunc(props, func(p Property) bool { return p.Name == r.name })
			}
			props = append(props, property(r.name, value))
		}
	}
	quota, writes := quotaProperties(writes, h)
	props = append(props, quota...)
	return append(props, deviceProperties(writes, h)...), writes
}

func has(props []Property, name string) bool {
	return slices.ContainsFunc(props, func(p Property) bool { return p.Name == name })
}

// unlimited is "max" in properties.
const unlimited = uint64(math.MaxUint64)

// number reads a plain number.
func number(s string) (any, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

// amount reads a number of bytes as the kernel does, with K, M, G, T, P or E
// behind it for powers of 1024; "max" and -1 are no limit.
func amount(s string) (any, bool) { return bytes(s) }

func bytes(s string) (uint64, bool) {
	if s == "max" || s == "-1" {
		return unlimited, true
	}
	shift := 0
	if s != "" {
		if i := strings.IndexByte("KMGTPE", s[len(s)-1]&^0x20); i >= 0 {
			shift, s = 10*(i+1), s[:len(s)-1]
		}
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n << shift, err == nil && n <= math.MaxUint64>>shift
}

// tasks reads a number of tasks. Systemd has no 0, and of a container's first
// process 1 says the same.
func tasks(s string) (any, bool) {
	if s == "max" {
		return unlimited, true
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return max(n, 1), err == nil
}

// idle turns cpu.idle into the weight 0, and back into the kernel's default.
func idle(s string) (any, bool) {
	switch s {
	case "0":
		return uint64(100), true
	case "1":
		return uint64(0), true
	}
	return nil, false
}

func oomPolicy(s string) (any, bool) {
	switch s {
	case "0":
		return "continue", true
	case "1":
		return "kill", true
	}
	return nil, false
}

// bitmask turns a list like 0-3,7 into bits, the lowest of the first byte
// first.
func bitmask(s string) (any, bool) {
	list, err := spec.ParseList(s)
	bits := []byte{}
	for _, r := range list {
		for n := r.First; n <= r.Last; n++ {
			for uint(len(bits)) <= n/8 {
				bits = append(bits, 0)
			}
			bits[n/8] |= 1 << (n % 8)
		}
	}
	return bits, err == nil
}

// defaultWeight reads the weight of all devices for which there is no other:
// "100" or "default 100".
func defaultWeight(s string) (any, bool) {
	return number(strings.TrimSpace(strings.TrimPrefix(s, "default")))
}

// deviceSetting is a value for one block device.
type deviceSetting struct {
	Path  string
	Value uint64
}

// deviceValue reads "8:0 500".
func deviceValue(s string) (any, bool) {
	device, value, _ := strings.Cut(s, " ")
	n, ok := bytes(strings.TrimSpace(value))
	return setting(device, n), ok && strings.Contains(device, ":")
}

func readBytes(s string) (any, bool)  { return rate(s, "rbps=") }
func writeBytes(s string) (any, bool) { return rate(s, "wbps=") }
func readOps(s string) (any, bool)    { return rate(s, "riops=") }
func writeOps(s string) (any, bool)   { return rate(s, "wiops=") }

// rate reads one of the limits of "8:0 rbps=1048576 wiops=max".
func rate(s, key string) (any, bool) {
	fields := strings.Fields(s)
	for _, f := range fields[min(1, len(fields)):] {
		if value, ok := strings.CutPrefix(f, key); ok {
			n, ok := bytes(value)
			return setting(fields[0], n), ok
		}
	}
	return nil, false
}

func setting(device string, value uint64) []deviceSetting {
	return []deviceSetting{{"/dev/block/" + device, value}}
}
