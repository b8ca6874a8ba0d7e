// Package systemd has systemd make and limit the cgroup of a container: a
// transient scope, below the slice that the configuration names, which keeps
// its limits when systemd reloads its configuration.
//
// [NewUnit] and [Properties] are pure: they turn linux.cgroupsPath into a unit
// and the writes of package cgroups into properties. A [Manager] is a
// connection to systemd, that of the host or that of a user, and does what
// takes a conversation: units are started, changed and stopped.
//
// Limits are both properties of the unit and, where systemd has given the
// cgroup away (Delegate=yes), contents of its files: the files know settings
// for which systemd has no property, and the properties outlive `systemctl
// daemon-reload`, which writes the files anew.
package systemd

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Unit is the scope, or the slice, of a container.
type Unit struct {
	Name  string // "skep-web.scope"
	Slice string // the slice that it is in: "system.slice"; "-.slice" is the root
	Path  string // its cgroup below that of its manager: "/system.slice/skep-web.scope"
}

// IsSlice tells whether the configuration asks for a slice instead of a scope.
func (u Unit) IsSlice() bool { return strings.HasSuffix(u.Name, ".slice") }

// NewUnit reads linux.cgroupsPath, which is "slice:prefix:name" here: the
// container is the scope prefix-name.scope in that slice, or the slice that is
// called name where that ends in ".slice". Without a path it is ":skep:" and
// the id; without a slice, that is system.slice, and user.slice for a user's
// manager.
func NewUnit(cgroupsPath, id string, user bool) (Unit, error) {
	if cgroupsPath == "" {
		cgroupsPath = ":skep:" + escape(id)
	}
	u, err := parseUnit(cgroupsPath, user)
	if err != nil {
		return Unit{}, fmt.Errorf("linux.cgroupsPath: %q: %w", cgroupsPath, err)
	}
	return u, nil
}

func parseUnit(cgroupsPath string, user bool) (Unit, error) {
	parts := strings.Split(cgroupsPath, ":")
	if len(parts) != 3 {
		return Unit{}, fmt.Errorf("with systemd it is slice:prefix:name, such as system.slice:skep:web")
	}
	slice, prefix, name := parts[0], parts[1], parts[2]
	if name == "" {
		return Unit{}, fmt.Errorf("the name of slice:prefix:name is empty")
	}
	if strings.HasSuffix(name, ".slice") {
		return sliceUnit(slice, name)
	}
	if slice == "" {
		slice = "system.slice"
		if user {
			slice = "user.slice"
		}
	}
	dir, err := slicePath(slice)
	if err != nil {
		return Unit{}, err
	}
	if prefix != "" {
		name = prefix + "-" + name
	}
	name += ".scope"
	if err := errors.Join(checkName(name), checkCgroup(name)); err != nil {
		return Unit{}, err
	}
	return Unit{Name: name, Slice: slice, Path: path.Join(dir, name)}, nil
}

// sliceUnit is for a name that is a slice itself. Its place follows from its
// name, whatever stands before it.
func sliceUnit(parent, name string) (Unit, error) {
	dir, err := slicePath(name)
	if err != nil {
		return Unit{}, err
	}
	if dir == "/" {
		return Unit{}, fmt.Errorf("the root slice is nobody's container")
	}
	above := "-.slice"
	if p := path.Base(path.Dir(dir)); p != "/" {
		above = p
	}
	if parent != "" && parent != above {
		return Unit{}, fmt.Errorf("%s is in %s by its name, not in %s", name, above, parent)
	}
	return Unit{Name: name, Slice: above, Path: dir}, nil
}

// slicePath returns the cgroup of a slice below its manager's: a-b.slice is in
// a.slice (systemd.slice(5)).
func slicePath(slice string) (string, error) {
	stem, ok := strings.CutSuffix(slice, ".slice")
	if !ok || stem == "" {
		return "", fmt.Errorf("%q is not the name of a slice such as system.slice", slice)
	}
	if err := checkName(slice); err != nil {
		return "", err
	}
	if stem == "-" {
		return "/", nil
	}
	dir, name := "/", ""
	for i, part := range strings.Split(stem, "-") {
		if part == "" {
			return "", fmt.Errorf("%q has an empty part between its dashes", slice)
		}
		if i > 0 {
			name += "-"
		}
		name += part
		if err := checkCgroup(name + ".slice"); err != nil {
			return "", err
		}
		dir = path.Join(dir, name+".slice")
	}
	return dir, nil
}

// nameMax is how long the name of a unit may be (UNIT_NAME_MAX of systemd).
const nameMax = 255

func checkName(name string) error {
	if len(name) > nameMax {
		return fmt.Errorf("%q is longer than %d bytes, the limit for a unit of systemd", name, nameMax)
	}
	for i := 0; i < len(name); i++ {
		if !inName(name[i]) {
			return fmt.Errorf("%q cannot be in the name of a unit of systemd", name[i:i+1])
		}
	}
	return nil
}

// checkCgroup refuses the name of a unit that looks like a file of a cgroup:
// systemd keeps its cgroup under another name then, in what cases depends on
// its version (cg_needs_escape).
func checkCgroup(name string) error {
	first, _, _ := strings.Cut(name, ".")
	if name[0] == '_' || first == "" || slices.Contains(files[:], first) {
		return fmt.Errorf("%q looks like a file of a cgroup, so that systemd would not call its cgroup so", name)
	}
	return nil
}

// files begin the names of files of cgroups, up to a dot.
var files = [...]string{"blkio", "cgroup", "cpu", "cpuacct", "cpuset", "devices", "io", "memory", "pids"}

// inName tells whether systemd takes a byte in the name of a unit
// (systemd.unit(5)).
func inName(b byte) bool {
	switch {
	case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		return true
	}
	return strings.IndexByte(`:_.\-@`, b) >= 0
}

// escape writes what an id may have and a unit may not, '+', as systemd-escape
// does.
func escape(id string) string { return strings.ReplaceAll(id, "+", `\x2b`) }
