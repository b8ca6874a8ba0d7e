package tests

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// procPath names a file of a process.
func procPath(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}

// statusFields parses /proc/PID/status, which a container printed or the host
// shows; blanks between values become one.
func statusFields(text string) map[string]string {
	fields := make(map[string]string)
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			fields[key] = strings.Join(strings.Fields(value), " ")
		}
	}
	return fields
}

// wantStatus compares fields of a status file.
func wantStatus(t *testing.T, text string, want map[string]string) {
	t.Helper()
	got := statusFields(text)
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s is %q, want %q", key, got[key], value)
		}
	}
}

// wantLines compares lines, in order.
func wantLines(t *testing.T, got string, want ...string) {
	t.Helper()
	if lines := strings.Split(strings.TrimSpace(got), "\n"); !slices.Equal(lines, want) {
		t.Errorf("got:\n  %s\nwant:\n  %s", strings.Join(lines, "\n  "), strings.Join(want, "\n  "))
	}
}

// mountLine is one line of mountinfo.
type mountLine struct {
	id, parent           string
	root, point, options string
	tags                 string // propagation: shared:1 master:2 unbindable
	fstype, source       string
	super                string
}

func parseMounts(text string) []mountLine {
	var mounts []mountLine
	for line := range strings.Lines(text) {
		left, right, _ := strings.Cut(line, " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		mounts = append(mounts, mountLine{
			id: l[0], parent: l[1], root: l[3], point: l[4], options: l[5], tags: strings.Join(l[6:], " "),
			fstype: r[0], source: r[1], super: r[2],
		})
	}
	return mounts
}

// pathInFilesystem is what mountinfo shows as the root of a bind mount of the directory.
func pathInFilesystem(t *testing.T, dir string) string {
	t.Helper()
	table := readFile(t, "/proc/self/mountinfo")
	for at := dir; ; at = filepath.Dir(at) {
		if m, ok := mountAt(table, at); ok {
			return filepath.Join(m.root, strings.TrimPrefix(dir, at))
		}
	}
}

// mountAt returns the topmost mount on a path, and whether there is one. The
// table is in the order in which mounts were made, not attached.
func mountAt(text, point string) (mountLine, bool) {
	there := slices.DeleteFunc(parseMounts(text), func(m mountLine) bool { return m.point != point })
	for _, m := range there {
		if !slices.ContainsFunc(there, func(above mountLine) bool { return above.parent == m.id }) {
			return m, true
		}
	}
	return mountLine{}, false
}

// mustMountAt is mountAt for a mount that must be there.
func mustMountAt(t *testing.T, text, point string) mountLine {
	t.Helper()
	m, ok := mountAt(text, point)
	if !ok {
		t.Fatalf("nothing is mounted on %s:\n%s", point, text)
	}
	return m
}

// has says whether a comma-separated list holds a word.
func has(list, word string) bool { return slices.Contains(strings.Split(list, ","), word) }

// namespaceOf names a namespace of a process.
func namespaceOf(t *testing.T, pid int, kind string) string {
	t.Helper()
	name, err := os.Readlink(procPath(pid, "ns/"+kind))
	if err != nil {
		t.Fatal(err)
	}
	return name
}
