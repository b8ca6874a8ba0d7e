package cgroups

import (
	"maps"
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
	if len(devices) == 0 || devices[0].File == DeviceFilter {
		return others, devices, nil
	}
	dir, err := g.dirOf("devices")
	if err != nil {
		return nil, nil, explain(devices[0], err)
	}
	list, err := readFile(dir + "/devices.list")
	if err != nil {
		return nil, nil, explain(devices[0], err)
	}
	return others, changes(devices, list), nil
}

func (w Write) isDeviceRule() bool { return w.Controller == "devices" || w.File == DeviceFilter }

// forAll tells whether a rule is about all devices.
func (w Write) forAll() bool { return strings.HasPrefix(w.Value, "a") }

// changes returns what leads from the rules in force, which devices.list holds,
// to what writes end in. Done as they stand, writes would for a moment deny a
// running container every device; these first allow what is new, then deny what
// is gone. Where all is allowed but exceptions, of which the kernel does not
// tell, there is no way but the writes themselves.
func changes(writes []Write, list string) []Write {
	now, then := map[string]access{}, map[string]access{}
	field := map[string]string{}
	for line := range strings.Lines(list) {
		node, letters := splitRule(strings.TrimSpace(line))
		now[node], _ = accessOf(letters)
		field[node] = writes[0].Field
	}
	for _, w := range writes {
		node, letters := splitRule(w.Value)
		a, _ := accessOf(letters)
		switch {
		case w.forAll() && w.File == "devices.allow", strings.HasPrefix(list, "a"):
			return writes
		case w.forAll():
			clear(then)
		case w.File == "devices.allow":
			then[node] |= a
		default:
			then[node] &^= a
		}
		field[node] = w.Field
	}
	var all []Write
	add := func(file string, a, b map[string]access) {
		for _, node := range slices.Sorted(maps.Keys(a)) {
			if more := a[node] &^ b[node]; more != 0 {
				all = append(all, Write{Controller: "devices", File: file, Value: node + " " + more.String(), Field: field[node]})
			}
		}
	}
	add("devices.allow", then, now)
	add("devices.deny", now, then)
	return all
}

// splitRule splits "c 1:3 rwm" before the access.
func splitRule(rule string) (node, access string) {
	i := strings.LastIndexByte(rule, ' ')
	if i < 0 {
		return rule, ""
	}
	return rule[:i], rule[i+1:]
}

// backToDevices returns what takes changes of device rules back: the opposite
// of each, or if they are not just differences, the rules of before.
func backToDevices(devices, rules []Write) []Write {
	if devices[0].File == DeviceFilter || slices.ContainsFunc(devices, Write.forAll) {
		return slices.DeleteFunc(slices.Clone(rules), func(w Write) bool { return !w.isDeviceRule() })
	}
	var back []Write
	for _, w := range slices.Backward(devices) {
		if w.File == "devices.allow" {
			w.File = "devices.deny"
		} else {
			w.File = "devices.allow"
		}
		back = append(back, w)
	}
	return back
}
