package cgroups

import (
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// host is where the kernel shows cgroups; tests put a fake tree here.
type host struct {
	root   string                           // /sys/fs/cgroup
	proc   string                           // /proc/self
	fsType func(path string) (int64, error) // statfs's f_type
}

// Detect finds the mounted hierarchies from one read of /proc/self/cgroup and
// one statfs for each of them. A host without cgroups is no error: its Mode is
// None.
func Detect() (Layout, error) {
	return host{root: "/sys/fs/cgroup", proc: "/proc/self", fsType: fsType}.detect()
}

func (h host) detect() (Layout, error) {
	lines, err := readFile(h.proc + "/cgroup")
	if err != nil && !isGone(err) { // a kernel without cgroups lacks the file
		return nil, err
	}
	t, err := h.fsType(h.root)
	pure := err == nil && t == unix.CGROUP2_SUPER_MAGIC
	var found Layout
	var mounts mountTable
	for line := range strings.Lines(lines) {
		c, ok := parseHierarchy(line)
		if !ok || pure && !c.isV2() {
			continue
		}
		if c.Mount, err = h.mount(c, pure, &mounts); err != nil {
			return nil, err
		}
		if c.Mount != "" {
			found = append(found, c)
		}
	}
	return found, nil
}

// parseHierarchy reads a line of /proc/self/cgroup: "4:memory:/user.slice".
func parseHierarchy(line string) (Hierarchy, bool) {
	_, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
	name, own, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 {
		return Hierarchy{}, false
	}
	return Hierarchy{Name: name, Own: own}, true
}

// mount returns where c is mounted, "" if nowhere.
func (h host) mount(c Hierarchy, pure bool, mounts *mountTable) (string, error) {
	if pure {
		return h.root, nil
	}
	dir, magic := path.Join(h.root, strings.TrimPrefix(c.Name, "name=")), int64(unix.CGROUP_SUPER_MAGIC)
	if c.isV2() {
		dir, magic = path.Join(h.root, "unified"), unix.CGROUP2_SUPER_MAGIC
	}
	if t, err := h.fsType(dir); err == nil && t == magic {
		return dir, nil
	}
	return mounts.find(h.proc, c)
}

// mountTable is /proc/self/mountinfo, read only when a hierarchy is not where
// everybody mounts it: its length grows with the mounts of the host.
type mountTable struct {
	text string
	read bool
}

func (m *mountTable) find(proc string, c Hierarchy) (string, error) {
	if !m.read {
		text, err := readFile(proc + "/mountinfo")
		if err != nil {
			return "", err
		}
		m.text, m.read = text, true
	}
	for line := range strings.Lines(m.text) {
		head, tail, _ := strings.Cut(line, " - ")
		fields, super := strings.Fields(head), strings.Fields(tail)
		if len(fields) < 5 || len(super) < 3 {
			continue
		}
		if isMountOf(c, super[0], strings.Split(super[2], ",")) {
			return unescape(fields[4]), nil
		}
	}
	return "", nil
}

func isMountOf(c Hierarchy, fsType string, options []string) bool {
	if c.isV2() {
		return fsType == "cgroup2"
	}
	if fsType != "cgroup" {
		return false
	}
	for _, option := range strings.Split(c.Name, ",") {
		if !slices.Contains(options, option) {
			return false
		}
	}
	return true
}

// unescape undoes mountinfo's octal escapes in a path.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

func fsType(dir string) (int64, error) {
	var st unix.Statfs_t
	err := unix.Statfs(dir, &st)
	return int64(st.Type), err
}
