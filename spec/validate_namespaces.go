package spec

import (
	"os"
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// maxMappings is what the kernel takes since 4.15 (UID_GID_MAP_MAX_EXTENTS).
const maxMappings = 340

// maxHostname is __NEW_UTS_LEN of the kernel.
const maxHostname = 64

func (v *validator) namespaces() {
	list := v.linux.Namespaces
	for i, ns := range list {
		where := at("linux.namespaces", i)
		switch {
		case ns.Type == "":
			v.problem(where+".type", "required but missing")
		case !Namespaces.Has(ns.Type):
			v.problem(where+".type", "unknown namespace %q", ns.Type)
		case slices.ContainsFunc(list[:i], func(o specs.LinuxNamespace) bool { return o.Type == ns.Type }):
			v.problem(where+".type", "%s is given twice", ns.Type)
		}
		if ns.Path != "" {
			v.absolute(where+".path", ns.Path)
		}
	}
	v.userNamespace()
	v.timeOffsets()
}

func (v *validator) userNamespace() {
	user := FindNamespace(v.linux, specs.UserNamespace)
	for _, m := range []struct {
		path string
		list []specs.LinuxIDMapping
	}{
		{"linux.uidMappings", v.linux.UIDMappings},
		{"linux.gidMappings", v.linux.GIDMappings},
	} {
		switch {
		case user == nil && len(m.list) > 0:
			v.problem(m.path, "mappings need a user namespace")
		case user != nil && user.Path == "" && len(m.list) == 0:
			v.problem(m.path, "a new user namespace needs mappings")
		}
		v.mappings(m.path, m.list)
	}
	if user == nil && v.opt.Rootless {
		v.problem("linux.namespaces", "a rootless container needs a user namespace")
	}
}

// mappings checks what the kernel checks, but with a reason.
func (v *validator) mappings(path string, list []specs.LinuxIDMapping) {
	if len(list) > maxMappings {
		v.problem(path, "%d mappings are more than the kernel takes (%d)", len(list), maxMappings)
		return
	}
	if text := len(FormatIDMap(list)); text >= os.Getpagesize() {
		v.problem(path, "%d mappings make %d bytes, and the kernel takes less than a page (%d)", len(list), text, os.Getpagesize())
	}
	for i, m := range list {
		where := at(path, i)
		switch {
		case m.Size == 0:
			v.problem(where+".size", "0 ids cannot be mapped")
			continue
		case uint64(m.ContainerID)+uint64(m.Size) > noID+1, uint64(m.HostID)+uint64(m.Size) > noID+1:
			v.problem(where, "the range goes beyond the largest id")
		}
		for j, o := range list[:i] {
			if overlap(m.ContainerID, m.Size, o.ContainerID, o.Size) {
				v.problem(where+".containerID", "the range overlaps that of %s", at(path, j))
			}
			if overlap(m.HostID, m.Size, o.HostID, o.Size) {
				v.problem(where+".hostID", "the range overlaps that of %s", at(path, j))
			}
		}
	}
}

// FormatIDMap writes mappings as the kernel reads them from uid_map and gid_map (user_namespaces(7)).
func FormatIDMap(ids []specs.LinuxIDMapping) string {
	var b []byte
	for _, m := range ids {
		for _, v := range [...]uint32{m.ContainerID, m.HostID} {
			b = append(strconv.AppendUint(b, uint64(v), 10), ' ')
		}
		b = append(strconv.AppendUint(b, uint64(m.Size), 10), '\n')
	}
	return string(b)
}

func overlap(a, aSize, b, bSize uint32) bool {
	return uint64(a) < uint64(b)+uint64(bSize) && uint64(b) < uint64(a)+uint64(aSize)
}

func (v *validator) timeOffsets() {
	offsets := v.linux.TimeOffsets
	if len(offsets) == 0 {
		return
	}
	ns := FindNamespace(v.linux, specs.TimeNamespace)
	if ns == nil {
		v.problem("linux.timeOffsets", "offsets need a time namespace")
	} else if ns.Path != "" {
		v.problem("linux.timeOffsets", "the offsets of a joined time namespace cannot be set")
	}
	for _, clock := range sortedKeys(offsets) {
		where := member("linux.timeOffsets", clock)
		if clock != "monotonic" && clock != "boottime" {
			v.problem(where, "unknown clock, expected monotonic or boottime")
		}
		if n := offsets[clock].Nanosecs; n > 999_999_999 {
			v.problem(where+".nanosecs", "%d is not below a second", n)
		}
	}
}

func (v *validator) uts(hostname, domainname string) {
	for _, n := range []struct{ path, name string }{{"hostname", hostname}, {"domainname", domainname}} {
		if n.name == "" {
			continue
		}
		v.text(n.path, n.name)
		if len(n.name) > maxHostname {
			v.problem(n.path, "%q is longer than %d bytes", n.name, maxHostname)
		}
		if !v.has(specs.UTSNamespace) {
			v.problem(n.path, "without a uts namespace this would rename the host")
		}
	}
}
