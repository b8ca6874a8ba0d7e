package systemd

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"skep/cgroups"
)

// deviceAllow is an entry of DeviceAllow=.
type deviceAllow struct {
	Device string // a path, or a group of drivers: "/dev/char/1:3", "char-pts"
	Access string // of r, w, m
}

// rule is a rule about devices, as the writes of package cgroups tell it.
type rule struct {
	allow        bool
	kind         string // b, c; a for both
	major, minor string // numbers, * for all
	access       string
}

// deviceProperties returns DevicePolicy= and DeviceAllow= for the rules, of
// which systemd has only one kind: what is allowed. On v2 everything else
// that the rules deny is left to skep's own filter; both have to allow.
func deviceProperties(writes []cgroups.Write, h Host) []Property {
	rules, v2 := readRules(writes)
	if len(rules) == 0 {
		return nil
	}
	allowed, all := allowList(rules)
	if all && !h.Update {
		return []Property{property("DevicePolicy", "auto")}
	}
	if all { // systemd does not take back what it has installed when the policy becomes auto
		allowed = []rule{{kind: "a", major: "*", minor: "*", access: "rwm"}}
	}
	list := []deviceAllow{}
	for _, r := range allowed {
		for _, entry := range r.entries(h, v2) {
			list = merge(list, entry)
		}
	}
	props := []Property{property("DevicePolicy", "strict")}
	if h.Update {
		props = append(props, property("DeviceAllow", []deviceAllow{})) // forget the earlier ones
	}
	if len(list) > 0 {
		props = append(props, property("DeviceAllow", list))
	}
	return props
}

// readRules reads the rules of the writes, and whether they are for v2.
func readRules(writes []cgroups.Write) (rules []rule, v2 bool) {
	for _, w := range writes {
		switch w.File {
		case cgroups.DeviceFilter:
			v2 = true
			for text := range strings.SplitSeq(w.Value, ", ") {
				verb, text, _ := strings.Cut(text, " ")
				rules = append(rules, readRule(verb == "allow", text))
			}
		case "devices.allow", "devices.deny":
			rules = append(rules, readRule(w.File == "devices.allow", w.Value))
		}
	}
	return rules, v2
}

// readRule reads "c 1:3 rwm".
func readRule(allow bool, text string) rule {
	r := rule{allow: allow}
	r.kind, text, _ = strings.Cut(text, " ")
	text, r.access, _ = strings.Cut(text, " ")
	r.major, r.minor, _ = strings.Cut(text, ":")
	return r
}

// allowList returns what the rules allow in the end, or that it is everything
// but what single rules deny.
func allowList(rules []rule) (allowed []rule, all bool) {
	all = true
	for _, r := range rules {
		switch {
		case r.kind == "a" && r.major == "*" && r.minor == "*" && len(r.access) == len("rwm"):
			allowed, all = nil, r.allow
		case all:
		case r.allow:
			allowed = append(append(allowed, r.withEach(allowed)...), r)
		default:
			allowed = r.takeFrom(allowed)
		}
	}
	return allowed, all
}

// withEach returns what it takes for r and each of the others to add up: an open
// to read and to write passes systemd's filter, like v1's kernel, only by one
// entry that allows both.
func (r rule) withEach(others []rule) (both []rule) {
	for _, o := range others {
		kind, ok := common(r.kind, o.kind, "a")
		major, ok2 := common(r.major, o.major, "*")
		minor, ok3 := common(r.minor, o.minor, "*")
		if one, other := r.opens(), o.opens(); ok && ok2 && ok3 && len(one) == 1 && len(other) == 1 && one != other {
			both = append(both, rule{true, kind, major, minor, "rw"})
		}
	}
	return both
}

// opens tells for what the rule lets a device be opened: r, w, both or nothing.
func (r rule) opens() string { return strings.ReplaceAll(r.access, "m", "") }

// common returns what two parts of rules have in common, of which all stands for
// everything.
func common(a, b, all string) (string, bool) {
	switch {
	case a == all:
		return b, true
	case b == all:
		return a, true
	}
	return a, a == b
}

// takeFrom takes back what was allowed for exactly the same devices.
func (r rule) takeFrom(allowed []rule) []rule {
	for i := range allowed {
		a := &allowed[i]
		if a.kind == r.kind && a.major == r.major && a.minor == r.minor {
			a.access = strings.Map(func(letter rune) rune {
				if strings.ContainsRune(r.access, letter) {
					return -1
				}
				return letter
			}, a.access)
		}
	}
	return slices.DeleteFunc(allowed, func(a rule) bool { return a.access == "" })
}

// merge adds an entry. Of two for the same device systemd would keep the last.
func merge(list []deviceAllow, entry deviceAllow) []deviceAllow {
	i := slices.IndexFunc(list, func(d deviceAllow) bool { return d.Device == entry.Device })
	if i < 0 {
		return append(list, entry)
	}
	access := ""
	for _, letter := range [...]string{"r", "w", "m"} {
		if strings.Contains(list[i].Access+entry.Access, letter) {
			access += letter
		}
	}
	list[i].Access = access
	return list
}

// entries returns what says the same to systemd.
func (r rule) entries(h Host, v2 bool) []deviceAllow {
	var list []deviceAllow
	for _, kind := range [...]struct{ letter, name string }{{"b", "block"}, {"c", "char"}} {
		if r.kind != kind.letter && r.kind != "a" {
			continue
		}
		device := "/dev/" + kind.name + "/" + r.major + ":" + r.minor
		if r.major == "*" || r.minor == "*" {
			device = kind.name + "-" + r.driver(h, kind.letter == "b", v2)
		}
		if !strings.HasSuffix(device, "-") {
			list = append(list, deviceAllow{device, r.access})
		}
	}
	return list
}

// driver returns the name that systemd has for a rule about many devices, "" if
// it has none. On v2 it may be about more than the rule, because skep's filter
// is not.
func (r rule) driver(h Host, block, v2 bool) string {
	if r.major == "*" && r.minor == "*" {
		return "*"
	}
	major, err := strconv.ParseInt(r.major, 10, 64)
	if name := h.Drivers(block)[major]; err == nil && name != "" {
		return name
	}
	if v2 {
		return "*"
	}
	return ""
}

// Drivers reads /proc/devices: the names of drivers by their major number.
func Drivers(block bool) map[int64]string {
	text, err := os.ReadFile("/proc/devices")
	if err != nil {
		return nil
	}
	return parseDrivers(string(text), block)
}

func parseDrivers(text string, block bool) map[int64]string {
	chars, blocks, _ := strings.Cut(text, "Block devices:")
	if block {
		chars = blocks
	}
	names := map[int64]string{}
	for line := range strings.Lines(chars) {
		number, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		if major, err := strconv.ParseInt(number, 10, 64); err == nil {
			names[major] = name
		}
	}
	return names
}
