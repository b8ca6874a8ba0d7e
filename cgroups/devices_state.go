package cgroups

import (
	"cmp"
	"fmt"
	"slices"
)

// deviceState is what v1's kernel controller makes of rules: a default, and
// exceptions from it. A rule against the default adds an exception; one along
// with it only takes back an exception for exactly the same numbers, and is
// otherwise ignored without an error. Here such a rule takes back every
// exception that it covers, and it is an error if it would punch a hole into
// one, because the kernel cannot express that. Nor can systemd, which keeps the
// exceptions alone.
type deviceState struct {
	allowed    bool // the default
	exceptions []deviceRule
}

// apply follows a rule, and returns the steps in which the kernel does. After
// an error the exceptions with a hole are still there as a whole.
func (s *deviceState) apply(r deviceRule) (steps []deviceRule, err error) {
	switch {
	case r.Device == everything:
		s.allowed, s.exceptions = r.allow, nil
		return []deviceRule{r}, nil
	case r.Kind == 'a':
		// The kernel takes "a" for everything, whatever follows it.
		for _, kind := range []byte("bc") {
			r.Kind = kind
			more, failed := s.apply(r)
			steps, err = append(steps, more...), cmp.Or(err, failed)
		}
		return steps, err
	case r.allow != s.allowed:
		return s.except(r), nil
	}
	return s.takeBack(r)
}

// except adds an exception. An open to read and to write passes the kernel, and
// systemd's filter, only if one exception allows both: where two of them meet
// that allow one each, there has to be one for both.
func (s *deviceState) except(r deviceRule) (steps []deviceRule) {
	before := slices.Clone(s.exceptions)
	steps = s.add(r)
	for _, e := range before {
		one, other := r.Access&mayOpen, e.Access&mayOpen
		if both := one | other; r.allow && both != one && both != other && r.overlaps(e.Device) {
			steps = append(steps, s.add(deviceRule{r.common(e.Device, both), r.allow, r.field})...)
		}
	}
	return steps
}

func (s *deviceState) add(r deviceRule) (steps []deviceRule) {
	for i := range s.exceptions {
		e := &s.exceptions[i]
		if !r.within(e.Device) {
			continue
		}
		if r.Access&^e.Access == 0 {
			return nil
		}
		if e.within(r.Device) {
			e.Access |= r.Access
			return []deviceRule{r}
		}
	}
	s.exceptions = append(s.exceptions, r)
	return []deviceRule{r}
}

func (s *deviceState) takeBack(r deviceRule) (steps []deviceRule, err error) {
	for i := range s.exceptions {
		e := &s.exceptions[i]
		common := r.Access & e.Access
		if common == 0 || !r.overlaps(e.Device) {
			continue
		}
		if !e.within(r.Device) {
			err = fmt.Errorf("cannot except %s from an earlier rule for %s", r.Device, e.Device)
			continue
		}
		e.Access &^= common
		steps = append(steps, deviceRule{Device{e.Kind, e.Major, e.Minor, common}, r.allow, r.field})
	}
	s.exceptions = slices.DeleteFunc(s.exceptions, func(e deviceRule) bool { return e.Access == 0 })
	return steps, err
}

// devicesAfter returns the state in which writes leave a cgroup that allows
// everything. Holes, which v2's filter can punch, are not in it.
func devicesAfter(writes []Write) deviceState {
	s := deviceState{allowed: true}
	for _, w := range writes {
		for _, r := range w.rules {
			_, _ = s.apply(r)
		}
	}
	return s
}

// AllowedDevices returns what writes allow, or that it is all devices but those
// that single rules deny. Where a rule punches a hole, which v2's filter can,
// there is none in the list. Without rules it is empty.
func AllowedDevices(writes []Write) (allowed []Device, all bool) {
	if !slices.ContainsFunc(writes, Write.isDeviceRule) {
		return nil, false
	}
	s := devicesAfter(writes)
	if s.allowed {
		return []Device{{'b', Wildcard, Wildcard, rwm}, {'c', Wildcard, Wildcard, rwm}}, true
	}
	for _, e := range s.exceptions {
		allowed = append(allowed, e.Device)
	}
	return allowed, false
}
