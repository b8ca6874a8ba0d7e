package managers

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hierarchy is one mounted cgroup hierarchy.
type hierarchy struct {
	dir     string // its mount point
	options string // v1: the controllers, or name=…; v2: empty
}

func (h hierarchy) unified() bool { return h.options == "" }

// controls reports whether a v1 hierarchy has the controller.
func (h hierarchy) controls(controller string) bool {
	return slices.Contains(strings.Split(h.options, ","), controller)
}

func findHierarchies() ([]hierarchy, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var found []hierarchy
	for line := range strings.Lines(string(mounts)) {
		left, right, _ := strings.Cut(line, " - ")
		mount, super := strings.Fields(left), strings.Fields(right)
		switch super[0] {
		case "cgroup2":
			found = append(found, hierarchy{dir: mount[4]})
		case "cgroup":
			// Neither a controller nor a name.
			flags := []string{"rw", "ro", "xattr", "noprefix", "clone_children", "release_agent"}
			names := slices.DeleteFunc(strings.Split(super[2], ","), func(o string) bool { return slices.Contains(flags, o) })
			found = append(found, hierarchy{dir: mount[4], options: strings.Join(names, ",")})
		}
	}
	if len(found) == 0 {
		return nil, errors.New("no cgroup hierarchy is mounted")
	}
	return found, nil
}

// makeCgroups makes the group in each hierarchy, able to have children.
func makeCgroups(hierarchies []hierarchy, group string) error {
	for _, h := range hierarchies {
		dir := filepath.Join(h.dir, group)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		if h.controls("cpuset") {
			for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
				value, err := os.ReadFile(filepath.Join(filepath.Dir(dir), name))
				if err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(dir, name), value, 0o644); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// joinCgroups moves this process to the group.
func joinCgroups(hierarchies []hierarchy, group string) error {
	for _, h := range hierarchies {
		procs := filepath.Join(h.dir, group, "cgroup.procs")
		if err := os.WriteFile(procs, []byte("0"), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// removeCgroups removes the group and all below it. Its processes may still
// be on their way out.
func removeCgroups(hierarchies []hierarchy, group string) error {
	var failed error
	for deadline := time.Now().Add(settled); ; time.Sleep(10 * time.Millisecond) {
		failed = nil
		for _, h := range hierarchies {
			for _, dir := range slices.Backward(cgroupsBelow(filepath.Join(h.dir, group))) {
				if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
					failed = fmt.Errorf("remove cgroup %s: %w", dir, err)
				}
			}
		}
		if failed == nil || time.Now().After(deadline) {
			return failed
		}
	}
}

// groupPrefix and the pid of a run are the name of its cgroup.
const groupPrefix = "/skep-managers-"

// removeStale removes what runs have left that were killed.
func removeStale(hierarchies []hierarchy) error {
	stale := map[string]bool{}
	for _, h := range hierarchies {
		dirs, err := filepath.Glob(h.dir + groupPrefix + "*")
		if err != nil {
			return err
		}
		for _, dir := range dirs {
			pid, err := strconv.Atoi(dir[len(h.dir+groupPrefix):])
			if err == nil && unix.Kill(pid, 0) == unix.ESRCH {
				stale[groupPrefix+strconv.Itoa(pid)] = true
			}
		}
	}
	for group := range stale {
		if err := removeCgroups(hierarchies, group); err != nil {
			return err
		}
	}
	return nil
}

// cgroupsBelow lists a directory and those below it, parents first.
func cgroupsBelow(dir string) []string {
	var found []string
	walk := func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() { // else removed meanwhile, or a file
			found = append(found, path)
		}
		return nil
	}
	if err := filepath.WalkDir(dir, walk); err != nil {
		panic(err) // walk returns no errors
	}
	return found
}

// mountHierarchies mounts them as they are on the host, with the cgroup of
// the run as their root: whatever a manager does to cgroups happens below it.
// Podman and crun make plain directories for controllers that are not mounted;
// they go into the tmpfs of the run.
func mountHierarchies(hierarchies []hierarchy) error {
	for _, h := range hierarchies {
		fstype := "cgroup"
		if h.unified() {
			fstype = "cgroup2"
		}
		if err := os.MkdirAll(h.dir, 0o755); err != nil {
			return err
		}
		flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
		if err := unix.Mount(fstype, h.dir, fstype, flags, h.options); err != nil {
			return fmt.Errorf("mount %s: %w", h.dir, err)
		}
	}
	// No process may stay where the containers' cgroups will be made: on v2 the
	// parent of a cgroup with limits holds none.
	if err := makeCgroups(hierarchies, "/driver"); err != nil {
		return err
	}
	return joinCgroups(hierarchies, "/driver")
}

// cgroupValue reads a file of a cgroup, in whichever hierarchy it is.
func cgroupValue(t *testing.T, group, v1Controller, v1File, v2File string) string {
	t.Helper()
	hierarchies, err := findHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hierarchies {
		if h.controls(v1Controller) {
			return readFile(t, filepath.Join(h.dir, group, v1File))
		}
	}
	for _, h := range hierarchies {
		if h.unified() {
			return readFile(t, filepath.Join(h.dir, group, v2File))
		}
	}
	t.Fatalf("no hierarchy has the controller %s", v1Controller)
	return ""
}

// ownCgroup makes a directory for the cgroups of a manager's containers, which
// a runtime must leave alone; most would leave one that they have made, too.
func ownCgroup(t *testing.T, name string) {
	t.Helper()
	hierarchies, err := findHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	if err := makeCgroups(hierarchies, name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeOwnCgroup(t, name) })
}

// removeOwnCgroup removes a directory with all below it.
func removeOwnCgroup(t *testing.T, name string) {
	t.Helper()
	hierarchies, err := findHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	if err := removeCgroups(hierarchies, name); err != nil {
		t.Error(err)
	}
}
