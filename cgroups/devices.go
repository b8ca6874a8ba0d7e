package cgroups

import (
	"math"
	"slices"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// wildcard stands for all major or minor numbers.
const wildcard = -1

// access is a set of what may be done with a device.
type access uint8

const (
	mayRead access = 1 << iota
	mayWrite
	mayMknod
	mayOpen = mayRead | mayWrite
	rwm     = mayOpen | mayMknod
)

// device is a rule's subject: 'b', 'c', or 'a' for both; its numbers, and what
// is done with it.
type device struct {
	kind         byte
	major, minor int64
	access       access
}

// defaultDevices are allowed after the configured rules, as all runtimes do:
// making any node, the nodes that the specification promises, terminals, and
// /dev/net/tun, which users miss when it goes (runc 1.2.4).
var defaultDevices = [...]device{
	{'c', wildcard, wildcard, mayMknod},
	{'b', wildcard, wildcard, mayMknod},
	{'c', 1, 3, rwm}, // null
	{'c', 1, 5, rwm}, // zero
	{'c', 1, 7, rwm}, // full
	{'c', 1, 8, rwm}, // random
	{'c', 1, 9, rwm}, // urandom
	{'c', 5, 0, rwm}, // tty
	{'c', 136, wildcard, rwm},
	{'c', 5, 2, rwm}, // ptmx
	{'c', 10, 200, rwm},
}

// everything is denied before the first rule, as the peers do: who lists what
// is allowed means that nothing else is.
var everything = device{'a', wildcard, wildcard, rwm}

// beginsWithAll tells whether the first rule says itself what holds for all
// devices.
func beginsWithAll(rules []specs.LinuxDeviceCgroup) bool {
	var quiet compiler // what is wrong with the rule is said where it is applied
	d, ok := parseDevice(&quiet, "", rules[0])
	return ok && d.isAll()
}

// devicesV1 writes the rules in their order, then the default ones. Without
// any rule it writes nothing: a new cgroup has its parent's rules, which the
// default ones could not widen, and an update must not touch those of a
// running container.
func devicesV1(c *compiler, r *specs.LinuxResources) {
	if len(r.Devices) == 0 {
		return
	}
	// A new cgroup allows what its parent does; only a rule for all devices
	// makes a known state.
	s := deviceState{c: c, allowed: true, field: "devices"}
	if !beginsWithAll(r.Devices) {
		s.apply(everything, false)
	}
	for i, rule := range r.Devices {
		s.field = "devices[" + strconv.Itoa(i) + "]"
		if d, ok := parseDevice(c, s.field, rule); ok {
			s.apply(d, rule.Allow)
		}
	}
	s.field = "devices"
	for _, d := range defaultDevices {
		s.apply(d, true)
	}
}

// devicesV2 makes a program of the rules and the default ones. As on v1,
// nothing is touched without any rule.
func devicesV2(c *compiler, r *specs.LinuxResources) {
	if len(r.Devices) == 0 {
		return
	}
	var rules []deviceRule
	if !beginsWithAll(r.Devices) {
		rules = append(rules, deviceRule{everything, false})
	}
	for i, rule := range r.Devices {
		if d, ok := parseDevice(c, "devices["+strconv.Itoa(i)+"]", rule); ok {
			rules = append(rules, deviceRule{d, rule.Allow})
		}
	}
	for _, d := range defaultDevices {
		rules = append(rules, deviceRule{d, true})
	}
	// A program that would deny nothing only takes back an earlier one.
	program := filterProgram(rules)
	c.add(Write{Controller: core, File: DeviceFilter, Value: listRules(rules), Field: "devices",
		Optional: program == nil, program: program})
}

func parseDevice(c *compiler, field string, rule specs.LinuxDeviceCgroup) (d device, ok bool) {
	n := len(c.errs)
	d = device{kind: 'a', major: wildcard, minor: wildcard}
	switch rule.Type {
	case "", "a":
	case "b", "c":
		d.kind = rule.Type[0]
	default:
		c.fail(field+".type", "%q is none of a, b, c", rule.Type)
	}
	if rule.Major != nil {
		d.major = *rule.Major
	}
	if rule.Minor != nil {
		d.minor = *rule.Minor
	}
	if min(d.major, d.minor) < wildcard || max(d.major, d.minor) > math.MaxUint32 {
		c.fail(field, "%d:%d is no device", d.major, d.minor)
	}
	if d.access, ok = accessOf(rule.Access); !ok {
		c.fail(field+".access", "%q is not composed of r, w, m", rule.Access)
	}
	if rule.Access == "" {
		d.access = rwm
	}
	return d, len(c.errs) == n
}

// accessOf reads letters of rwm.
func accessOf(letters string) (a access, ok bool) {
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

// deviceState follows what the kernel's v1 controller makes of the rules: a
// default and exceptions from it. A rule against the default adds an
// exception; one along with it only takes back an exception for exactly the
// same numbers, and is otherwise ignored without an error. Here such a rule
// takes back every exception that it covers, and fails if it would punch a
// hole into one, because the kernel cannot express that.
type deviceState struct {
	c          *compiler
	field      string
	allowed    bool // the default
	exceptions []device
}

func (s *deviceState) apply(d device, allow bool) {
	switch {
	case d.isAll():
		s.allowed, s.exceptions = allow, nil
		s.write(d, allow)
	case d.kind == 'a':
		// The kernel takes "a" for everything, whatever follows it.
		for _, kind := range []byte("bc") {
			d.kind = kind
			s.apply(d, allow)
		}
	case allow != s.allowed:
		s.except(d, allow)
	default:
		s.takeBack(d, allow)
	}
}

// except adds an exception. An open to read and to write passes the kernel only
// if one exception allows both: where two of them meet that allow one each,
// there has to be one for both.
func (s *deviceState) except(d device, allow bool) {
	before := slices.Clone(s.exceptions)
	s.add(d, allow)
	for _, e := range before {
		one, other := d.access&mayOpen, e.access&mayOpen
		if both := one | other; allow && both != one && both != other && d.overlaps(e) {
			s.add(d.common(e, both), allow)
		}
	}
}

func (s *deviceState) add(d device, allow bool) {
	for i := range s.exceptions {
		e := &s.exceptions[i]
		if !d.within(*e) {
			continue
		}
		if d.access&^e.access == 0 {
			return
		}
		if e.within(d) {
			e.access |= d.access
			s.write(d, allow)
			return
		}
	}
	s.exceptions = append(s.exceptions, d)
	s.write(d, allow)
}

func (s *deviceState) takeBack(d device, allow bool) {
	for i := range s.exceptions {
		e := &s.exceptions[i]
		common := d.access & e.access
		if common == 0 || !d.overlaps(*e) {
			continue
		}
		if !e.within(d) {
			s.c.fail(s.field, "cgroup v1 cannot except %s from an earlier rule for %s", d, e)
			return
		}
		e.access &^= common
		s.write(device{e.kind, e.major, e.minor, common}, allow)
	}
}

func (s *deviceState) write(d device, allow bool) {
	file := "devices.deny"
	if allow {
		file = "devices.allow"
	}
	s.c.set("devices", file, d.String(), s.field)
}

// isAll tells whether d means all that can be done with all devices.
func (d device) isAll() bool {
	return d == everything
}

// within tells whether all nodes of d are nodes of e.
func (d device) within(e device) bool {
	return d.kind == e.kind &&
		(e.major == wildcard || d.major == e.major) &&
		(e.minor == wildcard || d.minor == e.minor)
}

// overlaps tells whether d and e have nodes in common.
func (d device) overlaps(e device) bool {
	return d.kind == e.kind &&
		(d.major == wildcard || e.major == wildcard || d.major == e.major) &&
		(d.minor == wildcard || e.minor == wildcard || d.minor == e.minor)
}

// common returns the nodes that d and e have in common.
func (d device) common(e device, a access) device {
	return device{d.kind, max(d.major, e.major), max(d.minor, e.minor), a} // a wildcard is the least number
}

// String returns the rule as the kernel reads it: "c 1:3 rwm".
func (d device) String() string {
	b := []byte{d.kind, ' '}
	b = appendNumber(b, d.major)
	b = append(b, ':')
	b = appendNumber(b, d.minor)
	b = append(b, ' ')
	return string(b) + d.access.String()
}

// String returns the letters.
func (a access) String() string {
	var b []byte
	for i, letter := range []byte("rwm") {
		if a&(1<<i) != 0 {
			b = append(b, letter)
		}
	}
	return string(b)
}

func appendNumber(b []byte, n int64) []byte {
	if n == wildcard {
		return append(b, '*')
	}
	return strconv.AppendInt(b, n, 10)
}
