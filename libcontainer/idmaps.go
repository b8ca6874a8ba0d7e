package libcontainer

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
	"skep/spec"
)

// mapIDs settles the ids of the user namespace in which the child is now, and returns those with which the container
// is built.
func (c *creation) mapIDs() (uid, gid uint32, err error) {
	user := c.joinedNamespace(specs.UserNamespace)
	if user == nil {
		uid, gid = firstIDs(c.spec.Linux)
		return uid, gid, c.writeIDMaps()
	}
	dir := procFile(c.child.Pid, "")
	c.process.KeepGroups = setgroupsDenied(dir)
	for _, m := range [...]struct {
		file, item string
		listed     []specs.LinuxIDMapping
		first      *uint32
	}{
		{"uid_map", "linux.uidMappings", c.spec.Linux.UIDMappings, &uid},
		{"gid_map", "linux.gidMappings", c.spec.Linux.GIDMappings, &gid},
	} {
		found, err := readIDMap(dir + m.file)
		if err != nil {
			return 0, 0, fmt.Errorf("%s: %s of %s: %w", user.item, m.file, user.Path, err)
		}
		warning, err := checkIDMap(m.item, m.listed, found, user.Path)
		if err != nil {
			return 0, 0, err
		}
		c.report(warning)
		*m.first = firstID(found)
	}
	return uid, gid, nil
}

// checkIDMap compares mappings that are listed although the user namespace is joined with those that it has. It is
// common to list both, so that equal ones deserve a warning only; with others the program would run with ids that the
// configuration does not mean.
func checkIDMap(item string, listed, found []specs.LinuxIDMapping, path string) (warning []string, err error) {
	if len(listed) == 0 {
		return nil, nil
	}
	if !slices.Equal(normalIDMap(listed), normalIDMap(found)) {
		return nil, fmt.Errorf("%s: the user namespace %s has other mappings: %s",
			item, path, strings.ReplaceAll(strings.TrimSpace(spec.FormatIDMap(found)), "\n", ", "))
	}
	return []string{item + ": ignored, the user namespace " + path + " has these mappings already"}, nil
}

// readIDMap reads /proc/PID/uid_map or gid_map, whose host ids are those of this process's own user namespace.
func readIDMap(path string) ([]specs.LinuxIDMapping, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	ids, err := parseIDMap(string(raw))
	if err == nil && len(ids) == 0 {
		err = errors.New("no id is mapped")
	}
	return ids, err
}

func parseIDMap(text string) ([]specs.LinuxIDMapping, error) {
	var ids []specs.LinuxIDMapping
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			return nil, fmt.Errorf("malformed line %q", line)
		}
		var v [3]uint32
		for i, f := range fields {
			n, err := strconv.ParseUint(f, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("malformed line %q", line)
			}
			v[i] = uint32(n)
		}
		ids = append(ids, specs.LinuxIDMapping{ContainerID: v[0], HostID: v[1], Size: v[2]})
	}
	return ids, nil
}

// normalIDMap sorts mappings and joins neighbours: the kernel keeps long maps in an order of its own.
func normalIDMap(ids []specs.LinuxIDMapping) []specs.LinuxIDMapping {
	sorted := slices.SortedFunc(slices.Values(ids), func(a, b specs.LinuxIDMapping) int {
		return cmp.Compare(a.ContainerID, b.ContainerID)
	})
	var normal []specs.LinuxIDMapping
	for _, m := range sorted {
		if n := len(normal); n > 0 {
			last := &normal[n-1]
			if last.ContainerID+last.Size == m.ContainerID && last.HostID+last.Size == m.HostID {
				last.Size += m.Size
				continue
			}
		}
		normal = append(normal, m)
	}
	return normal
}

// writeTimeOffsets sets the clocks of a new time namespace, whose first process is still to come
// (linux.timeOffsets, config-linux.md#offset-for-time-namespace).
func writeTimeOffsets(pid int, offsets map[string]specs.LinuxTimeOffset) error {
	path := procFile(pid, "timens_offsets")
	for _, clock := range slices.Sorted(maps.Keys(offsets)) {
		o := offsets[clock]
		text := strconv.FormatInt(o.Secs, 10) + " " + strconv.FormatUint(uint64(o.Nanosecs), 10)
		err := writeFile(path, clock+" "+text)
		if err == unix.ERANGE {
			err = fmt.Errorf("%w (the clock would stand below zero or beyond 146 years)", err)
		}
		if err != nil {
			return fmt.Errorf("linux.timeOffsets.%s: %s: %w", clock, text, err)
		}
	}
	return nil
}

// becomeRoot adds the steps by which a process becomes the root of the user namespace of another, or the first of its
// ids, and keeps the capabilities that may be granted. A namespace that was joined has mappings of its own, so that the
// configuration does not tell.
func becomeRoot(p *plan.Phase, pid int, grantable uint64) error {
	uids, err := readIDMap(procFile(pid, "uid_map"))
	if err != nil {
		return err
	}
	gids, err := readIDMap(procFile(pid, "gid_map"))
	if err != nil {
		return err
	}
	root := plan.SetIDs{UID: firstID(uids), GID: firstID(gids), KeepGroups: setgroupsDenied(procFile(pid, ""))}
	p.Add(root)
	if root.UID != 0 { // the steps to come still need what the change has made ineffective
		p.Add(plan.RaiseCaps{Permitted: grantable})
	}
	return nil
}
