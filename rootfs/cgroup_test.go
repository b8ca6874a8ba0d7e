package rootfs_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// tasks is a Source of a file to write to.
type tasks string

func (f tasks) Open() (int, error) { return unix.Open(string(f), unix.O_WRONLY|unix.O_CLOEXEC, 0) }
func (f tasks) String() string     { return string(f) }

// cgroupName is that of a cgroup which no other run has.
var cgroupName = "/skep-test-rootfs-" + strconv.Itoa(os.Getpid())

// ownCgroup gives the container a cgroup of its own in the host's hierarchy at dir.
func (b *box) ownCgroup(hierarchy, dir, file string) {
	b.t.Helper()
	dir += cgroupName
	must(b.t, os.Mkdir(dir, 0o755))
	b.t.Cleanup(func() { must(b.t, os.Remove(dir)) })
	if b.host.Cgroups == nil {
		b.host.Cgroups = map[string]string{}
	}
	b.host.Cgroups[hierarchy] = dir
	b.enter.Add(plan.JoinCgroup{Tasks: b.enter.Take(tasks(dir + "/" + file)), Name: hierarchy})
}

func (b *box) cgroupNamespace() {
	b.spec.Linux.Namespaces = append(b.spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	b.enter.Add(plan.Unshare{Flags: unix.CLONE_NEWCGROUP, Name: "cgroup"})
}

// MNT-24: a tmpfs with a directory for each hierarchy, which shows the container's own cgroup.
func TestCgroupV1(t *testing.T) {
	for _, k := range kinds {
		for name, namespace := range map[string]bool{"": false, " with a cgroup namespace": true} {
			t.Run(k.name+name, func(t *testing.T) {
				b := newBox(t, k)
				b.ownCgroup("pids", "/sys/fs/cgroup/pids", "tasks")
				b.ownCgroup("name=systemd", "/sys/fs/cgroup/systemd", "tasks")
				if namespace {
					b.cgroupNamespace()
				} else { // a hierarchy of two controllers, as far as a bind can tell
					b.host.Cgroups["cpu,cpuacct"] = b.host.Cgroups["pids"]
				}
				b.up()
				if m := b.at("/sys/fs/cgroup"); m.fstype != "tmpfs" || b.writable("/sys/fs/cgroup") || b.stat("/sys/fs/cgroup").Mode != unix.S_IFDIR|0o755 {
					t.Errorf("%+v", m)
				}
				for _, name := range []string{"pids", "systemd"} {
					m := b.at("/sys/fs/cgroup/" + name)
					checkFlags(t, m, "ro nosuid nodev noexec relatime")
					if m.fstype != "cgroup" || m.root != cgroupName || strings.Contains(m.tags, "shared") {
						t.Errorf("%+v", m)
					}
					if text := b.read("/sys/fs/cgroup/" + name + "/tasks"); text == "" {
						t.Errorf("%s: no task inside", name)
					}
				}
				if namespace {
					return
				}
				for _, name := range []string{"cpu", "cpuacct"} {
					if got, err := os.Readlink(b.path("/sys/fs/cgroup/" + name)); got != "cpu,cpuacct" {
						t.Errorf("%s → %q, %v", name, got, err)
					}
				}
			})
		}
	}
}

// MNT-23: on v2 the container's own cgroup, whichever way.
func TestCgroupV2(t *testing.T) {
	for _, k := range kinds {
		for name, namespace := range map[string]bool{"": false, " with a cgroup namespace": true} {
			t.Run(k.name+name, func(t *testing.T) {
				b := newBox(t, k)
				b.ownCgroup("", "/sys/fs/cgroup/unified", "cgroup.procs")
				if namespace {
					b.cgroupNamespace()
				}
				b.up()
				m := b.at("/sys/fs/cgroup")
				checkFlags(t, m, "ro nosuid nodev noexec")
				if m.fstype != "cgroup2" || m.root != cgroupName || strings.Contains(m.tags, "shared") {
					t.Errorf("%+v", m)
				}
			})
		}
	}
}

// MNT-23: a container without cgroups sees none, and not the host's (CVE-2023-25809).
func TestNoCgroups(t *testing.T) {
	for _, k := range kinds {
		b := newBox(t, k)
		b.up()
		if m := b.at("/sys/fs/cgroup"); m.fstype != "tmpfs" || b.writable("/sys/fs/cgroup") {
			t.Errorf("%+v", m)
		}
		if entries, err := os.ReadDir(b.path("/sys/fs/cgroup")); err != nil || len(entries) > 0 {
			t.Errorf("%v, %v", entries, err)
		}
	}
}
