package tests

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Whatever criu is to do about cgroups, the restored processes have the container's limits.
func TestCriuCgroupModes(t *testing.T) {
	r := newRuntime(t)
	t.Cleanup(keepFlags(t))
	c := r.runCounting(counting(t, resources(func(r *specs.LinuxResources) { r.Pids = &specs.LinuxPids{Limit: ptr(int64(77))} })))
	c.countsFrom(1)
	dir := tempDir(t)
	before := readFile(t, procPath(c.pid, "cgroup"))
	for _, mode := range []string{"ignore", "soft", "full", "strict"} {
		images, count := filepath.Join(dir, mode), c.count()
		c.checkpoint(images, "--manage-cgroups-mode", mode)
		c.restore(images, "--manage-cgroups-mode", mode)
		c.countsFrom(count)
		if got := readFile(t, procPath(c.pid, "cgroup")); got != before {
			t.Errorf("%s: cgroups:\n%s\nbefore:\n%s", mode, got, before)
		}
		if got := readFile(t, filepath.Join(cgroupDir(t, "pids", c.bundle.cgroup), "pids.max")); got != "77\n" {
			t.Errorf("%s: pids.max is %s", mode, got)
		}
	}
	c.delete("--force")
}

// The network comes back as a namespace with nothing in it.
func TestCriuEmptyNetwork(t *testing.T) {
	r := newRuntime(t)
	c := r.runCounting(counting(t, capabilities("CAP_NET_ADMIN")))
	c.countsFrom(1)
	c.exec("ip link add dev0 type dummy")
	images, count := filepath.Join(tempDir(t), "images"), c.count()
	c.checkpoint(images, "--empty-ns", "network")
	file := filepath.Join(tempDir(t), "pid")
	c.restore(images, "--empty-ns", "network", "--pid-file", file, "--no-subreaper")
	c.countsFrom(count)
	if got := readFile(t, file); got != strconv.Itoa(c.pid) {
		t.Errorf("the pid file holds %q, want %d", got, c.pid)
	}
	if got := c.exec("cat /proc/net/dev"); strings.Contains(got, "dev0") {
		t.Errorf("devices:\n%s", got)
	}
	c.delete("--force")
}

// Restored processes can be under another profile of AppArmor.
func TestCriuProfile(t *testing.T) {
	r := newRuntime(t)
	first, second := "skep-test-first-"+suite.mark, "skep-test-second-"+suite.mark
	for _, name := range []string{first, second} {
		profile := "profile " + name + " flags=(attach_disconnected,mediate_deleted) { file, capability, signal, network, ptrace, unix, mount, change_profile, }"
		parser(t, "--add", profile)
		t.Cleanup(func() { parser(t, "--remove", profile) })
	}
	c := r.runCounting(counting(t, profiled(first)))
	c.countsFrom(1)
	for _, name := range []string{first, second} {
		images, count := filepath.Join(tempDir(t), "images"), c.count()
		c.checkpoint(images)
		flags := []string{"--lsm-profile", "apparmor:" + name}
		if name == first {
			flags = nil
		}
		c.restore(images, flags...)
		c.countsFrom(count)
		if got := readFile(t, procPath(c.pid, "attr/current")); got != name+" (enforce)\n" {
			t.Errorf("the profile is %q, want %s", got, name)
		}
	}
	c.delete("--force")
}
