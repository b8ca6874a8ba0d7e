package spec

import (
	"bytes"
	"reflect"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Some members are REQUIRED although their Go type shows absence as a valid 0
// or false: {"user": {"gid": 5}} must not mean root. Finding them takes a walk over
// the document, so a census comes first: when a member that decoded to zero is
// named in the text at least as often as the document needs it, none is taken
// to be missing. That costs a few microseconds.

// required lists such members by the type that has them. An absent user is
// not among them: samples of the specification and process files in use have
// none and mean root.
func required(t reflect.Type) []string {
	switch t {
	case reflect.TypeFor[specs.User]():
		return []string{"uid", "gid"}
	case reflect.TypeFor[specs.POSIXRlimit]():
		return []string{"soft", "hard"}
	case reflect.TypeFor[specs.LinuxIDMapping]():
		return []string{"containerID", "hostID", "size"}
	case reflect.TypeFor[specs.LinuxDevice]():
		return []string{"major", "minor"}
	case reflect.TypeFor[specs.LinuxDeviceCgroup]():
		return []string{"allow"}
	case reflect.TypeFor[specs.LinuxWeightDevice]():
		return []string{"major", "minor"}
	case reflect.TypeFor[specs.LinuxThrottleDevice]():
		return []string{"major", "minor", "rate"}
	case reflect.TypeFor[specs.LinuxHugepageLimit]():
		return []string{"limit"}
	case reflect.TypeFor[specs.LinuxInterfacePriority]():
		return []string{"priority"}
	case reflect.TypeFor[specs.LinuxSeccompArg]():
		return []string{"index", "value"}
	}
	return nil
}

// findMissing reports the required members that the document lacks, and each null that stands for a value: only a member
// that may be absent may be null.
func findMissing(raw []byte, v any, prefix string, c census) error {
	if !c.suspicious(raw) && !mayHoldNull(raw) {
		return nil
	}
	return walk(raw, v, prefix).missing.err()
}

// A census counts how often the text must name each member.
type census []count

type count struct {
	name string
	want int
	zero bool // one of them decoded to zero and may be missing
}

// add counts one member.
func (c *census) add(name string, zero bool) {
	for i := range *c {
		if (*c)[i].name == name {
			(*c)[i].want++
			(*c)[i].zero = (*c)[i].zero || zero
			return
		}
	}
	*c = append(*c, count{name, 1, zero})
}

// optional counts a member that shares its name with a required one.
func (c *census) optional(name string, present bool) {
	if present {
		c.add(name, false)
	}
}

// mayHoldNull reports whether the text has null where a value can be; /dev/null is none, and it is in many documents.
func mayHoldNull(raw []byte) bool {
	parts := bytes.Split(raw, []byte("null"))
	return slices.ContainsFunc(parts[:len(parts)-1], func(before []byte) bool {
		return bytes.ContainsAny(before[max(0, len(before)-1):], ":[, \t\r\n")
	})
}

// suspicious reports whether the text names a member too seldom.
func (c census) suspicious(raw []byte) bool {
	for _, m := range c {
		if m.zero && bytes.Count(raw, []byte(`"`+m.name+`"`)) < m.want {
			return true
		}
	}
	return false
}

// spec counts the members of a whole configuration.
func (c *census) spec(s *specs.Spec) {
	if s.Process != nil {
		c.process(s.Process)
	}
	for i := range s.Mounts {
		c.mappings(s.Mounts[i].UIDMappings)
		c.mappings(s.Mounts[i].GIDMappings)
	}
	if s.Linux == nil {
		return
	}
	c.mappings(s.Linux.UIDMappings)
	c.mappings(s.Linux.GIDMappings)
	c.devices(s.Linux.Devices)
	if s.Linux.Seccomp != nil {
		for i := range s.Linux.Seccomp.Syscalls {
			for _, arg := range s.Linux.Seccomp.Syscalls[i].Args {
				c.add("index", arg.Index == 0)
				c.add("value", arg.Value == 0)
			}
		}
	}
	if s.Linux.Resources != nil {
		c.resources(s.Linux.Resources)
	}
}

func (c *census) process(p *specs.Process) {
	c.add("uid", p.User.UID == 0)
	c.add("gid", p.User.GID == 0)
	for _, r := range p.Rlimits {
		c.add("soft", r.Soft == 0)
		c.add("hard", r.Hard == 0)
	}
}

func (c *census) mappings(mappings []specs.LinuxIDMapping) {
	for _, m := range mappings {
		c.add("containerID", m.ContainerID == 0)
		c.add("hostID", m.HostID == 0)
		c.add("size", m.Size == 0)
	}
}

func (c *census) devices(devices []specs.LinuxDevice) {
	for i := range devices {
		d := &devices[i]
		if d.Type != "p" {
			c.add("major", d.Major == 0)
			c.add("minor", d.Minor == 0)
		}
		c.optional("uid", d.UID != nil)
		c.optional("gid", d.GID != nil)
	}
}

func (c *census) resources(r *specs.LinuxResources) {
	for _, d := range r.Devices {
		c.add("allow", !d.Allow)
		c.optional("major", d.Major != nil)
		c.optional("minor", d.Minor != nil)
	}
	for _, h := range r.HugepageLimits {
		c.add("limit", h.Limit == 0)
	}
	c.optional("limit", r.Memory != nil && r.Memory.Limit != nil)
	c.optional("limit", r.Pids != nil && r.Pids.Limit != nil)
	if r.Network != nil {
		for _, p := range r.Network.Priorities {
			c.add("priority", p.Priority == 0)
		}
	}
	if r.BlockIO != nil {
		c.blockIO(r.BlockIO)
	}
}

func (c *census) blockIO(b *specs.LinuxBlockIO) {
	for _, d := range b.WeightDevice {
		c.add("major", d.Major == 0)
		c.add("minor", d.Minor == 0)
	}
	for _, list := range [][]specs.LinuxThrottleDevice{
		b.ThrottleReadBpsDevice, b.ThrottleWriteBpsDevice,
		b.ThrottleReadIOPSDevice, b.ThrottleWriteIOPSDevice,
	} {
		for _, d := range list {
			c.add("major", d.Major == 0)
			c.add("minor", d.Minor == 0)
			c.add("rate", d.Rate == 0)
		}
	}
}
