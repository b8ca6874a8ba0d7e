package tests

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// leakCheck compares the machine before and after the test: mounts, cgroups
// of the run, processes below this one, state directories. Namespaces need no
// line of their own: one lives on through a process, a mount, or a descriptor
// of a process, and no process of a test may survive it.
//
// It covers ERR-01 for every failing command and LC-14, OPD-04 for every
// delete of this package.
func leakCheck(t *testing.T) {
	t.Helper()
	before := snapshot()
	t.Cleanup(func() {
		var left []string
		for deadline := time.Now().Add(patience / 5); ; time.Sleep(10 * time.Millisecond) {
			reapOrphans()
			if left = difference(before, snapshot()); len(left) == 0 {
				return
			}
			if time.Now().After(deadline) {
				break
			}
		}
		t.Errorf("the test left the machine changed:\n  %s", strings.Join(left, "\n  "))
		sweep()
	})
}

// snapshot describes what a container may leave behind, one line per thing.
func snapshot() []string {
	var lines []string
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		panic(err) // procfs is the ground these tests stand on
	}
	for line := range strings.Lines(string(mounts)) {
		lines = append(lines, "mount "+strings.TrimSpace(line))
	}
	for _, p := range descendants() {
		state := p.state
		if strings.Contains("RSDI", state) {
			state = "alive" // running or asleep: a matter of the moment
		}
		lines = append(lines, fmt.Sprintf("process %d (%s) %s", p.pid, state, p.command))
	}
	for _, c := range markedCgroups() {
		lines = append(lines, "cgroup "+c)
	}
	for _, dir := range []string{"/run/skep", "/run/runc", "/run"} {
		entries, _ := os.ReadDir(dir) // absent: nothing is in it
		for _, e := range entries {
			if strings.Contains(e.Name(), suite.mark) {
				lines = append(lines, "state "+filepath.Join(dir, e.Name()))
			}
		}
	}
	sort.Strings(lines)
	return lines
}

func difference(before, after []string) []string {
	var lines []string
	for _, l := range after {
		if !slices.Contains(before, l) {
			lines = append(lines, "+ "+l)
		}
	}
	for _, l := range before { // an orphan of an earlier container may still have been there
		if !slices.Contains(after, l) && !strings.HasPrefix(l, "process ") {
			lines = append(lines, "- "+l)
		}
	}
	return lines
}

// sweep removes what a failed test left, so that the next one starts clean.
func sweep() {
	for _, p := range descendants() {
		children.Lock()
		if !children.own[p.pid] {
			_ = unix.Kill(p.pid, unix.SIGKILL) // gone already is as good
		}
		children.Unlock()
	}
	for deadline := time.Now().Add(patience / 5); len(markedCgroups()) > 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
		reapOrphans()
		for _, dir := range markedCgroups() {
			_ = unix.Rmdir(dir) // a parent comes in a later round
		}
	}
}

// cgroupRoot is one mounted hierarchy.
type cgroupRoot struct {
	dir         string   // its mount point
	controllers []string // its v1 controllers, "name=systemd" included; nil for v2
}

func (c cgroupRoot) unified() bool { return c.controllers == nil }

func findCgroups() ([]cgroupRoot, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var roots []cgroupRoot
	for line := range strings.Lines(string(mounts)) {
		left, right, _ := strings.Cut(line, " - ")
		mount, super := strings.Fields(left), strings.Fields(right)
		switch super[0] {
		case "cgroup2":
			roots = append(roots, cgroupRoot{dir: mount[4]})
		case "cgroup":
			flags := []string{"rw", "ro", "xattr", "noprefix", "clone_children", "release_agent"}
			names := slices.DeleteFunc(strings.Split(super[2], ","), func(o string) bool {
				name, _, _ := strings.Cut(o, "=") // systemd's own hierarchy has a release_agent
				return slices.Contains(flags, name)
			})
			roots = append(roots, cgroupRoot{dir: mount[4], controllers: names})
		}
	}
	if len(roots) == 0 {
		return nil, fmt.Errorf("no cgroup hierarchy is mounted")
	}
	return roots, nil
}

// markedCgroups lists the cgroups of this run in all hierarchies, children
// first.
func markedCgroups() []string {
	var found []string
	for _, root := range suite.cgroups {
		walk := func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.IsDir() {
				return nil // removed meanwhile, or a file
			}
			if strings.Contains(path, suite.mark) && filepath.Base(path) != suite.mark {
				found = append(found, path)
			}
			return nil
		}
		if err := filepath.WalkDir(root.dir, walk); err != nil {
			panic(err) // walk returns no errors
		}
	}
	slices.Reverse(found)
	return found
}

// removeCgroups removes the empty parent directories that the tests share.
func removeCgroups(path string) {
	for _, root := range suite.cgroups {
		for p := path; p != "/"; p = filepath.Dir(p) {
			_ = unix.Rmdir(filepath.Join(root.dir, p)) // absent, or in use by another run
		}
	}
}
