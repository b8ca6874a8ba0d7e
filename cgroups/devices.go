package cgroups

import (
	"fmt"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Wildcard stands for all major or minor numbers.
const Wildcard = -1

// Access is a set of what may be done with a device.
type Access uint8

const (
	mayRead Access = 1 << iota
	mayWrite
	mayMknod
	mayOpen = mayRead | mayWrite
	rwm     = mayOpen | mayMknod
)

// Device is what a rule is about: device nodes, and what is done with them.
type Device struct {
	Kind         byte  // 'b' or 'c'; in a rule also 'a' for both
	Major, Minor int64 // or Wildcard
	Access       Access
}

// deviceRule allows or denies what is done with a device.
type deviceRule struct {
	Device
	allow bool
	field string // below linux.resources
}

// defaultDevices are allowed after the configured rules, as all runtimes do:
// making any node, the nodes that the specification promises, terminals, and
// /dev/net/tun, which users miss when it goes (runc 1.2.4).
var defaultDevices = [...]Device{
	{'c', Wildcard, Wildcard, mayMknod},
	{'b', Wildcard, Wildcard, mayMknod},
	{'c', 1, 3, rwm}, // null
	{'c', 1, 5, rwm}, // zero
	{'c', 1, 7, rwm}, // full
	{'c', 1, 8, rwm}, // random
	{'c', 1, 9, rwm}, // urandom
	{'c', 5, 0, rwm}, // tty
	{'c', 136, Wildcard, rwm},
	{'c', 5, 2, rwm}, // ptmx
	{'c', 10, 200, rwm},
}

// everything is denied before the first rule, as the peers do: who lists what
// is allowed means that nothing else is.
var everything = Device{'a', Wildcard, Wildcard, rwm}

// deviceRules returns the configured rules between that one, unless they begin
// with what holds for all devices themselves, and the default ones. Without any
// rule there are none: a new cgroup has its parent's, which the default ones
// could not widen, and an update must not touch those of a running container.
func deviceRules(configured []specs.LinuxDeviceCgroup) (rules []deviceRule) {
	if len(configured) == 0 {
		return nil
	}
	if deviceOf(configured[0]) != everything {
		rules = append(rules, deviceRule{everything, false, "devices"})
	}
	for i, r := range configured {
		rules = append(rules, deviceRule{deviceOf(r), r.Allow, item("devices", i)})
	}
	for _, d := range defaultDevices {
		rules = append(rules, deviceRule{d, true, "devices"})
	}
	return rules
}

// deviceOf returns what a rule is about; what it leaves out means all.
func deviceOf(rule specs.LinuxDeviceCgroup) Device {
	d := everything
	if rule.Type != "" {
		d.Kind = rule.Type[0]
	}
	if rule.Major != nil {
		d.Major = *rule.Major
	}
	if rule.Minor != nil {
		d.Minor = *rule.Minor
	}
	if rule.Access != "" {
		d.Access, _ = accessOf(rule.Access)
	}
	return d
}

// IsAllowList tells whether rules deny nothing but all devices: Podman 5 does so twice.
func IsAllowList(rules []specs.LinuxDeviceCgroup) bool {
	for _, r := range rules {
		if d := deviceOf(r); !r.Allow && d != (Device{'a', Wildcard, Wildcard, d.Access}) {
			return false
		}
	}
	return true
}

// devicesV1 writes the rules in their order.
func devicesV1(c *compiler, r *specs.LinuxResources) {
	// A new cgroup allows what its parent does; only a rule for all devices
	// makes a known state.
	s := deviceState{allowed: true}
	for _, rule := range deviceRules(r.Devices) {
		steps, err := s.apply(rule)
		if err != nil {
			c.fail(rule.field, "cgroup v1 %w", err)
		}
		for _, step := range steps {
			c.writes = append(c.writes, step.write())
		}
	}
}

// write returns what tells v1's kernel of the rule.
func (r deviceRule) write() Write {
	file := "devices.deny"
	if r.allow {
		file = "devices.allow"
	}
	return Write{Controller: "devices", File: file, Value: r.Device.String(), Field: resources + r.field, rules: []deviceRule{r}}
}

// devicesV2 makes a program of the rules.
func devicesV2(c *compiler, r *specs.LinuxResources) {
	rules := deviceRules(r.Devices)
	if rules == nil {
		return
	}
	// A program that would deny nothing only takes back an earlier one.
	c.add(Write{Controller: core, File: deviceFilter, Value: listRules(rules), Field: "devices",
		Optional: filterProgram(rules) == nil, rules: rules})
}

// String returns the device as v1's kernel reads and writes it: "c 1:3 rwm".
func (d Device) String() string {
	b := []byte{d.Kind, ' '}
	b = appendNumber(b, d.Major)
	b = append(b, ':')
	b = appendNumber(b, d.Minor)
	b = append(b, ' ')
	return string(b) + d.Access.String()
}

func appendNumber(b []byte, n int64) []byte {
	if n == Wildcard {
		return append(b, '*')
	}
	return strconv.AppendInt(b, n, 10)
}

// readDevice reads what String returns.
func readDevice(text string) (d Device, err error) {
	kind, rest, _ := strings.Cut(text, " ")
	numbers, letters, _ := strings.Cut(rest, " ")
	major, minor, _ := strings.Cut(numbers, ":")
	access, ok := accessOf(letters)
	d = Device{Access: access}
	if d.Major, err = readNumber(major); err == nil {
		d.Minor, err = readNumber(minor)
	}
	if err != nil || !ok || len(kind) != 1 {
		return Device{}, fmt.Errorf("%q is no rule for devices", text)
	}
	d.Kind = kind[0]
	return d, nil
}

func readNumber(s string) (int64, error) {
	if s == "*" {
		return Wildcard, nil
	}
	return strconv.ParseInt(s, 10, 64)
}

// String returns the letters.
func (a Access) String() string {
	var b []byte
	for i, letter := range []byte("rwm") {
		if a&(1<<i) != 0 {
			b = append(b, letter)
		}
	}
	return string(b)
}

// accessOf reads letters of rwm.
func accessOf(letters string) (a Access, ok bool) {
	for _, letter := range []byte(letters) {
		switch letter {
		case 'r':
			a |= mayRead
		case 'w':
			a |= mayWrite
		case 'm':
			a |= mayMknod
		default:
			return 0, false
		}
	}
	return a, true
}

// within tells whether all nodes of d are nodes of e.
func (d Device) within(e Device) bool {
	return d.Kind == e.Kind &&
		(e.Major == Wildcard || d.Major == e.Major) &&
		(e.Minor == Wildcard || d.Minor == e.Minor)
}

// overlaps tells whether d and e have nodes in common.
func (d Device) overlaps(e Device) bool {
	return d.Kind == e.Kind &&
		(d.Major == Wildcard || e.Major == Wildcard || d.Major == e.Major) &&
		(d.Minor == Wildcard || e.Minor == Wildcard || d.Minor == e.Minor)
}

// common returns the nodes that d and e have in common.
func (d Device) common(e Device, a Access) Device {
	return Device{d.Kind, max(d.Major, e.Major), max(d.Minor, e.Minor), a} // a wildcard is the least number
}
