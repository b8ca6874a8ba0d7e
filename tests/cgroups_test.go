package tests

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// cgroupDir is the host's directory of a cgroup in the hierarchy of a
// controller.
func cgroupDir(t *testing.T, controller, path string) string {
	t.Helper()
	for _, root := range suite.cgroups {
		if slices.Contains(root.controllers, controller) {
			return filepath.Join(root.dir, path)
		}
	}
	for _, root := range suite.cgroups {
		if root.unified() {
			return filepath.Join(root.dir, path)
		}
	}
	t.Fatalf("no hierarchy for %s", controller)
	return ""
}

// onV1 says whether a controller is in a version 1 hierarchy here.
func onV1(controller string) bool {
	return slices.ContainsFunc(suite.cgroups, func(c cgroupRoot) bool { return slices.Contains(c.controllers, controller) })
}

// hasUnified says whether there is a version 2 hierarchy, with controllers or, on a hybrid host, without.
func hasUnified() bool { return slices.ContainsFunc(suite.cgroups, cgroupRoot.unified) }

// cgroupProcs lists the processes of the container's cgroup.
func cgroupProcs(t *testing.T, b bundle, controller string) []string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(cgroupDir(t, controller, b.cgroup), "cgroup.procs"))
	if err != nil {
		return nil // removed
	}
	return strings.Fields(string(content))
}

// makeCgroup makes a cgroup as somebody else would, before the container.
func makeCgroup(t *testing.T, controller, path string) string {
	t.Helper()
	dir := cgroupDir(t, controller, path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if !onV1(controller) && controller != "freezer" { // on the way down each parent passes the controller on
		for p := filepath.Dir(path); ; p = filepath.Dir(p) {
			defer enableController(t, cgroupDir(t, controller, p), controller)
			if p == "/" {
				break
			}
		}
	}
	t.Cleanup(func() {
		_ = os.Remove(dir) // the leak check sees what stays
	})
	return dir
}

func enableController(t *testing.T, dir, controller string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0); err != nil {
		t.Fatal(err)
	}
}
