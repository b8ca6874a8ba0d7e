package systemd

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"skep/cgroups"
)

// deviceAllow is an entry of DeviceAllow=.
type deviceAllow struct {
	Device string // a path, or a group of drivers: "/dev/char/1:3", "char-pts"
	Access string // of r, w, m
}

// deviceProperties returns DevicePolicy= and DeviceAllow= for rules, of which
// systemd has only one kind: what is allowed. On v2 everything else that the
// rules deny is left to skep's own filter; both have to allow.
func deviceProperties(writes []cgroups.Write, h Host) []Property {
	allowed, all := cgroups.AllowedDevices(writes)
	switch {
	case len(allowed) == 0:
		return nil
	case all && !h.Update: // later, systemd would not take back what it has installed
		return []Property{property("DevicePolicy", "auto")}
	}
	props := []Property{property("DevicePolicy", "strict")}
	if h.Update {
		props = append(props, property("DeviceAllow", []deviceAllow{})) // forget the earlier ones
	}
	return append(props, property("DeviceAllow", deviceList(allowed, h)))
}

// deviceList has one entry for each name: of two systemd would keep the last.
func deviceList(allowed []cgroups.Device, h Host) (list []deviceAllow) {
	var names []string
	access := map[string]cgroups.Access{}
	for _, d := range allowed {
		name := deviceName(d, h)
		if name == "" {
			continue
		}
		if access[name] == 0 {
			names = append(names, name)
		}
		access[name] |= d.Access
	}
	for _, name := range names {
		list = append(list, deviceAllow{name, access[name].String()})
	}
	return list
}

// deviceName returns the name that systemd has for devices, "" if it has none.
// On v2 it may stand for more of them, because skep's filter does not.
func deviceName(d cgroups.Device, h Host) string {
	kind := "char"
	if d.Kind == 'b' {
		kind = "block"
	}
	const all = cgroups.Wildcard
	switch {
	case d.Major == all && d.Minor == all:
		return kind + "-*"
	case d.Major != all && d.Minor != all:
		return fmt.Sprintf("/dev/%s/%d:%d", kind, d.Major, d.Minor)
	}
	if driver := h.Drivers(d.Kind == 'b')[d.Major]; driver != "" && d.Minor == all {
		return kind + "-" + driver
	}
	if h.V1 {
		return ""
	}
	return kind + "-*"
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
