package cgroups

import (
	"slices"
	"strings"
)

// devicesLast parts the rules for devices from the other writes: they come
// last, where nothing fails after them. Of v1's rules only those are left that
// differ from the ones in force.
func (g *Group) devicesLast(writes []Write) (others, devices []Write, err error) {
	for _, w := range writes {
		if w.isDeviceRule() {
			devices = append(devices, w)
		} else {
			others = append(others, w)
		}
	}
	if len(devices) == 0 || devices[0].File == deviceFilter {
		return others, devices, nil
	}
	now, err := g.devicesNow()
	if err != nil {
		return nil, nil, explain(devices[0], err)
	}
	return others, changes(devices, now), nil
}

func (w Write) isDeviceRule() bool { return len(w.rules) > 0 }

// devicesNow reads what v1's kernel has in force.
func (g *Group) devicesNow() (deviceState, error) {
	dir, err := g.dirOf("devices")
	if err != nil {
		return deviceState{}, err
	}
	list, err := readFile(dir + "/devices.list")
	if err != nil {
		return deviceState{}, err
	}
	return readDevices(list)
}

func readDevices(list string) (s deviceState, err error) {
	for line := range strings.Lines(list) {
		d, err := readDevice(strings.TrimSpace(line))
		if err != nil {
			return deviceState{}, err
		}
		if d == everything { // but exceptions, of which the kernel does not tell
			return deviceState{allowed: true}, nil
		}
		s.exceptions = append(s.exceptions, deviceRule{d, true, "devices"})
	}
	return s, nil
}

// changes returns what leads from the rules in force to what writes end in.
// Done as they stand, writes would for a moment deny a running container every
// device; these first allow what is new, then deny what is gone. From all, or to
// all, there is no way but the writes themselves.
func changes(writes []Write, now deviceState) (all []Write) {
	then := devicesAfter(writes)
	if then.allowed || now.allowed {
		return writes
	}
	for _, r := range beyond(then.exceptions, now.exceptions) {
		all = append(all, r.write())
	}
	for _, r := range beyond(now.exceptions, then.exceptions) {
		r.allow = false
		all = append(all, r.write())
	}
	return all
}

// beyond returns what rules are about and others, for exactly the same nodes,
// are not.
func beyond(rules, others []deviceRule) (more []deviceRule) {
	for _, r := range rules {
		for _, o := range others {
			if r.within(o.Device) && o.within(r.Device) {
				r.Access &^= o.Access
			}
		}
		if r.Access != 0 {
			more = append(more, r)
		}
	}
	return more
}

// backToDevices returns what takes changes of device rules back: the opposite
// of each, or if they begin with one for all devices, as v2's filter does, the
// rules of before.
func backToDevices(devices, before []Write) (back []Write) {
	if slices.ContainsFunc(devices, func(w Write) bool { return w.rules[0].Device == everything }) {
		return before
	}
	for _, w := range slices.Backward(devices) {
		r := w.rules[0]
		r.allow = !r.allow
		back = append(back, r.write())
	}
	return back
}
