package tests

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// UNI-01 UNI-02 UNI-03 UNI-04 UNI-06 UNI-07
func TestUnified(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, resources(func(res *specs.LinuxResources) {
		res.Pids = &specs.LinuxPids{Limit: ptr(int64(41))}
		res.Unified = map[string]string{"pids.max": "43", "memory.high": "64M", "memory.oom.group": "1", "cgroup.max.depth": "3"}
	}))
	if onV1("pids") { // UNI-05
		r.fails("linux.resources.unified", "create", "--bundle", b.dir, r.id())
		return
	}
	r.create(b)
	for file, want := range map[string]string{
		"pids.max": "43", "memory.high": "67108864", "memory.oom.group": "1", "cgroup.max.depth": "3",
	} {
		wantLines(t, readFile(t, filepath.Join(cgroupDir(t, "pids", b.cgroup), file)), want)
	}
	absent := newBundle(t, resources(func(res *specs.LinuxResources) { res.Unified = map[string]string{"foo.max": "1"} }))
	r.fails(`linux.resources.unified["foo.max"]: the foo controller is not available`, "create", "--bundle", absent.dir, r.id())
}

// delegate mounts the cgroup for writing, with a namespace of its own, for an
// unprivileged user.
func delegate(s *specs.Spec) {
	namespace(specs.CgroupNamespace, "")(s)
	s.Process.User = specs.User{UID: 1000, GID: 1000}
	for i := range s.Mounts {
		if m := &s.Mounts[i]; m.Destination == "/sys/fs/cgroup" {
			m.Options = slices.DeleteFunc(m.Options, func(o string) bool { return o == "ro" })
		}
	}
}

// CGP-13 CGP-14 CGP-15 CGP-16 CGP-17 CGP-20: who owns the container's cgroup.
func TestDelegation(t *testing.T) {
	r := newRuntime(t)
	delegated := strings.Fields(readFile(t, "/sys/kernel/cgroup/delegate"))
	mapped := func(s *specs.Spec) {
		userNamespace()(s)
		delegate(s)
	}
	for _, tt := range []struct {
		name string
		edit edit
		uid  uint32
	}{
		{"delegated", delegate, 1000},
		{"mapped", mapped, 101000},
		{"read-only", namespace(specs.CgroupNamespace, ""), 0},
		{"host's namespace", func(s *specs.Spec) {
			delegate(s)
			without(specs.CgroupNamespace)(s)
		}, 0},
		{"joined namespace", func(s *specs.Spec) {
			delegate(s)
			without(specs.CgroupNamespace)(s)
			namespace(specs.CgroupNamespace, procPath(holder(t, unix.CLONE_NEWCGROUP, nil), "ns/cgroup"))(s)
		}, 0},
		{"no mount", func(s *specs.Spec) {
			delegate(s)
			s.Mounts = slices.DeleteFunc(s.Mounts, func(m specs.Mount) bool { return m.Type == "cgroup" })
		}, 0},
	} {
		b := newBundle(t, tt.edit)
		c := r.create(b)
		if onV1("pids") {
			tt.uid = 0
		}
		dir := cgroupDir(t, "pids", b.cgroup)
		files, err := os.ReadDir(dir)
		if err != nil || uidOf(t, dir) != tt.uid {
			t.Errorf("%s: the cgroup belongs to %d, want %d (%v)", tt.name, uidOf(t, dir), tt.uid, err)
		}
		given := 0
		for _, f := range files {
			want := uint32(0)
			if slices.Contains(delegated, f.Name()) {
				want = tt.uid
				given++
			}
			if uid := uidOf(t, filepath.Join(dir, f.Name())); uid != want {
				t.Errorf("%s: %s belongs to %d, want %d", tt.name, f.Name(), uid, want)
			}
		}
		if given == 0 {
			t.Errorf("%s: none of %q in %s", tt.name, delegated, dir)
		}
		c.delete("--force")
	}
}

// CGP-15: the user manages cgroups below the container's, and not its limits.
func TestDelegationUsed(t *testing.T) {
	r := newRuntime(t)
	if onV1("pids") { // CGP-13: it can change nothing
		out := r.output(newBundle(t, args("/bin/sh", "-c", "mkdir /sys/fs/cgroup/pids/inner 2>/dev/null || echo refused"), delegate))
		wantLines(t, out, "refused")
		return
	}
	out := r.output(newBundle(t, args("/bin/sh", "-c", strings.Join([]string{
		"cd /sys/fs/cgroup", "mkdir inner", "echo $$ >inner/cgroup.procs && echo moved",
		"(echo 5 >pids.max) 2>/dev/null || echo limited",
	}, "; ")), delegate))
	wantLines(t, out, "moved", "limited")
}

func uidOf(t *testing.T, path string) uint32 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Uid
}
