package spec

import (
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The kernel's device numbers have 12 bits for the major and 20 for the minor.
const (
	maxMajor = 1<<12 - 1
	maxMinor = 1<<20 - 1
)

func (v *validator) devices() {
	for i := range v.linux.Devices {
		d := &v.linux.Devices[i]
		where := at("linux.devices", i)
		v.absolute(where+".path", d.Path)
		if path.IsAbs(d.Path) && path.Clean(d.Path) == "/" {
			v.problem(where+".path", "the root directory cannot be a device")
		}
		switch d.Type {
		case "c", "b", "u":
			v.deviceNumber(where, d.Major, d.Minor)
		case "p":
		case "":
			v.problem(where+".type", "required but missing")
		default:
			v.problem(where+".type", "unknown type %q, expected c, b, u or p", d.Type)
		}
		if d.FileMode != nil && *d.FileMode > 0o7777 {
			v.problem(where+".fileMode", "%d has bits that are neither permissions nor the type of a file", uint32(*d.FileMode))
		}
		if d.UID != nil && *d.UID == noID {
			v.problem(where+".uid", "%d (-1) is not an id", *d.UID)
		}
		if d.GID != nil && *d.GID == noID {
			v.problem(where+".gid", "%d (-1) is not an id", *d.GID)
		}
	}
}

func (v *validator) deviceNumber(where string, major, minor int64) {
	if major < 0 || major > maxMajor {
		v.problem(where+".major", "%d is not between 0 and %d", major, maxMajor)
	}
	if minor < 0 || minor > maxMinor {
		v.problem(where+".minor", "%d is not between 0 and %d", minor, maxMinor)
	}
}

// deviceRules checks resources.devices, where an absent number means any.
func (v *validator) deviceRules(rules []specs.LinuxDeviceCgroup) {
	for i, r := range rules {
		where := at("linux.resources.devices", i)
		switch r.Type {
		case "", "a", "b", "c":
		default:
			v.problem(where+".type", "unknown type %q, expected a, b or c", r.Type)
		}
		if strings.Trim(r.Access, "rwm") != "" {
			v.problem(where+".access", "%q has letters other than r, w and m", r.Access)
		}
		if r.Major != nil && (*r.Major < -1 || *r.Major > maxMajor) {
			v.problem(where+".major", "%d is not between -1 (any) and %d", *r.Major, maxMajor)
		}
		if r.Minor != nil && (*r.Minor < -1 || *r.Minor > maxMinor) {
			v.problem(where+".minor", "%d is not between -1 (any) and %d", *r.Minor, maxMinor)
		}
	}
}

func (v *validator) netDevices() {
	devices := v.linux.NetDevices
	if len(devices) == 0 {
		return
	}
	if !v.has(specs.NetworkNamespace) {
		v.problem("linux.netDevices", "moving devices needs a network namespace")
	}
	if v.opt.Rootless {
		v.problem("linux.netDevices", "a rootless container cannot take devices from the host")
	}
	taken := make(map[string]string, len(devices))
	for _, host := range sortedKeys(devices) {
		where := member("linux.netDevices", host)
		v.interfaceName(where, host)
		name := devices[host].Name
		if name == "" {
			name = host
		} else {
			v.interfaceName(where+".name", name)
		}
		if other, ok := taken[name]; ok && !strings.Contains(name, "%d") {
			v.problem(where, "%q is also the name that %s gets", name, other)
		}
		taken[name] = where
	}
}

// interfaceName is dev_valid_name of the kernel. A template such as eth%d is
// a valid name.
func (v *validator) interfaceName(where, name string) {
	const maxLength = 15 // IFNAMSIZ less the NUL
	switch {
	case name == "" || name == "." || name == "..":
		v.problem(where, "%q is not the name of a network device", name)
	case len(name) > maxLength:
		v.problem(where, "%q is longer than %d bytes", name, maxLength)
	case strings.ContainsAny(name, "/: \t\n\v\f\r\x00"):
		v.problem(where, "%q has a blank, a slash, a colon or a NUL byte", name)
	case strings.Contains(strings.Replace(name, "%d", "", 1), "%"):
		v.problem(where, "%q has a %% other than that of one %%d", name)
	}
}
