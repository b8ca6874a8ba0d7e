package tests

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// driver is who makes the cgroups of containers.
type driver string

const (
	cgroupfs driver = "cgroupfs"
	systemd  driver = "systemd"
)

func findDriver() (driver, error) {
	switch d := driver(os.Getenv("SKEP_CGROUP_DRIVER")); d {
	case "", cgroupfs:
		return cgroupfs, nil
	case systemd:
		if _, err := os.Stat("/run/systemd/system"); err != nil {
			return "", fmt.Errorf("SKEP_CGROUP_DRIVER=systemd: %w", err)
		}
		return systemd, nil
	default:
		return "", fmt.Errorf("SKEP_CGROUP_DRIVER=%s: want cgroupfs or systemd", d)
	}
}

// flags are the runtime's. An unprivileged user has no systemd here; see
// TestSystemdUser.
func (d driver) flags(c call) []string {
	if d != systemd || c.user != nil {
		return nil
	}
	return []string{"--systemd-cgroup"}
}

var paths atomic.Int64 // numbers the cgroups of this run

// testSlice is where the units of tests are.
const testSlice = "skeptest.slice"

// newPath is a linux.cgroupsPath that nobody else has.
func (d driver) newPath() string {
	n := strconv.FormatInt(paths.Add(1), 10)
	if d == systemd {
		return testSlice + ":" + suite.mark + ":" + n
	}
	return "/skep-test/" + suite.mark + "/" + n
}

// cgroupOf is the cgroup for a path of newPath.
func cgroupOf(cgroupsPath string) string {
	if parts := strings.Split(cgroupsPath, ":"); len(parts) == 3 {
		return path.Join("/", parts[0], parts[1]+"-"+parts[2]+".scope")
	}
	return cgroupsPath
}

// units lists the units of this run of which systemd still knows.
func (d driver) units(t *testing.T) []string {
	t.Helper()
	if d != systemd {
		return nil
	}
	out, err := childOutput(exec.Command("systemctl", "list-units", "--all", "--plain", "--no-legend", "*"+suite.mark+"*"))
	if err != nil {
		t.Error(err)
	}
	return strings.FieldsFunc(out, func(r rune) bool { return r == '\n' })
}

// newCgroupfsRuntime is for what concerns the driver of that name alone: paths
// that a caller chooses, cgroups that are there already.
func newCgroupfsRuntime(t *testing.T) *ociRuntime {
	t.Helper()
	r := newRuntime(t)
	r.driver = cgroupfs
	return r
}

// onCgroupfs gives the container a cgroup of that driver.
func onCgroupfs(s *specs.Spec) { s.Linux.CgroupsPath = cgroupfs.newPath() }
