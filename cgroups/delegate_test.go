package cgroups

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// delegated is a configuration whose process owns its cgroup.
func delegated() *specs.Spec {
	return &specs.Spec{
		Process: &specs.Process{User: specs.User{UID: 1000}},
		Mounts: []specs.Mount{
			{Source: "proc", Destination: "/proc"},
			{Source: "cgroup", Destination: "/sys/fs/cgroup", Type: "cgroup", Options: []string{"nosuid", "rw"}},
		},
		Linux: &specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: specs.MountNamespace}, {Type: specs.CgroupNamespace}}},
	}
}

// CGP-13 CGP-14 CGP-15 CGP-16
func TestOwner(t *testing.T) {
	userns := func(maps ...specs.LinuxIDMapping) func(*specs.Spec) {
		return func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
			s.Linux.UIDMappings = maps
		}
	}
	const none = -1
	for _, tt := range []struct {
		name   string
		change func(*specs.Spec)
		uid    int64
	}{
		{"all of it", func(*specs.Spec) {}, 1000},
		{"mapped", userns(specs.LinuxIDMapping{ContainerID: 0, HostID: 7, Size: 1}, specs.LinuxIDMapping{ContainerID: 1, HostID: 100000, Size: 1000}), 100999},
		{"first of a range", userns(specs.LinuxIDMapping{ContainerID: 1000, HostID: 5, Size: 1}), 5},
		{"behind a range", userns(specs.LinuxIDMapping{ContainerID: 0, HostID: 100000, Size: 1000}), none},
		{"before a range", userns(specs.LinuxIDMapping{ContainerID: 1001, HostID: 100000, Size: 1000}), none},
		{"read-only", func(s *specs.Spec) { s.Mounts[1].Options = []string{"ro"} }, none},
		{"slash at the end", func(s *specs.Spec) { s.Mounts[1].Destination += "/" }, 1000},
		{"not clean", func(s *specs.Spec) { s.Mounts[1].Destination = "/sys//fs/./x/../cgroup" }, 1000},
		{"relative", func(s *specs.Spec) { s.Mounts[1].Destination = "sys/fs/cgroup" }, 1000},
		{"below", func(s *specs.Spec) { s.Mounts[1].Destination += "/inner" }, none},
		{"elsewhere", func(s *specs.Spec) { s.Mounts[1].Destination = "/cgroup" }, none},
		{"bind mount", func(s *specs.Spec) { s.Mounts[1].Source = "/sys/fs/cgroup" }, none},
		{"no mount", func(s *specs.Spec) { s.Mounts = nil }, none},
		{"host's namespace", func(s *specs.Spec) { s.Linux.Namespaces = s.Linux.Namespaces[:1] }, none},
		{"joined namespace", func(s *specs.Spec) { s.Linux.Namespaces[1].Path = "/proc/1/ns/cgroup" }, none},
		{"no process", func(s *specs.Spec) { s.Process = nil }, none},
	} {
		s := delegated()
		tt.change(s)
		uid, ok := owner(s)
		if !ok && tt.uid != none || ok && int64(uid) != tt.uid {
			t.Errorf("%s: %d, %v", tt.name, uid, ok)
		}
		// CGP-13: nothing of v1 or of a hybrid host changes its owner.
		for _, paths := range []map[string]string{{"pids": "/nowhere"}, {"pids": "/nowhere", "": "/nowhere"}, nil} {
			if err := Open(Facts{Paths: paths}).Delegate(s); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
	}
}

func ownerOf(t *testing.T, path string) uint32 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Uid
}

// Root gives files away. A user cannot: that is no error where it is a user's runtime, and changes nothing. Root plays
// the user, too.
func TestDelegateFake(t *testing.T) {
	for _, tt := range []struct {
		name, list string // without a list there is no such file
		want       string
	}{
		{"listed", "cgroup.procs\nmemory.oom.group\nnot.there\n", "cgroup.procs memory.oom.group"}, // CGP-17 CGP-18 CGP-20
		{"no list", "", "cgroup.procs cgroup.subtree_control cgroup.threads"},                      // CGP-19
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, list := t.TempDir(), t.TempDir()+"/delegate"
			files := []string{"cgroup.procs", "cgroup.subtree_control", "cgroup.threads", "memory.oom.group", "memory.max"}
			for _, file := range files {
				put(t, dir+"/"+file, "")
			}
			if tt.list != "" {
				put(t, list, tt.list)
			}
			check := func(uid uint32, given string) {
				t.Helper()
				for _, file := range append([]string{"."}, files...) {
					want := uint32(os.Geteuid())
					if slices.Contains(strings.Fields(given), file) {
						want = uid
					}
					if got := ownerOf(t, dir+"/"+file); got != want {
						t.Errorf("%s belongs to %d, want %d", file, got, want)
					}
				}
			}
			if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
				t.Fatal(err)
			}
			onThread(func() {
				unix.Setfsuid(1000)
				if err := delegate(dir, list, 4711, true); err != nil {
					t.Error(err)
				}
				if err := delegate(dir, list, 4711, false); !errors.Is(err, unix.EPERM) {
					t.Errorf("a user gives files away: %v", err)
				}
			})
			check(4711, "")
			if os.Geteuid() != 0 {
				return
			}
			if err := delegate(dir, list, 4711, false); err != nil {
				t.Fatal(err)
			}
			check(4711, ". "+tt.want)
		})
	}
	if err := delegate(t.TempDir()+"/gone", "", 4711, false); err == nil {
		t.Error("a cgroup that is gone was given away")
	}
}

// CGP-15 CGP-17 CGP-20: and the new owner makes cgroups below it.
func testDelegateV2(t *testing.T, l Layout) {
	need := Write{Controller: "pids", File: "pids.max", Value: "41", Field: "linux.resources.pids.limit"}
	g := create(t, l, "/a", need)
	s := delegated()
	s.Mounts[1].Options = []string{"ro"}
	if err := g.Delegate(s); err != nil || ownerOf(t, g.V2Dir()) != 0 { // CGP-16
		t.Errorf("owned by %d, %v", ownerOf(t, g.V2Dir()), err)
	}
	if err := g.Delegate(delegated()); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"", "/cgroup.procs", "/cgroup.threads", "/cgroup.subtree_control"} {
		if uid := ownerOf(t, g.V2Dir()+file); uid != 1000 {
			t.Errorf("%s belongs to %d", file, uid)
		}
	}
	for _, file := range []string{"/pids.max", "/cgroup.freeze", "/cgroup.max.depth"} {
		if uid := ownerOf(t, g.V2Dir()+file); uid != 0 {
			t.Errorf("%s belongs to %d", file, uid)
		}
	}
	onThread(func() {
		unix.Setfsuid(1000)
		if err := os.Mkdir(g.V2Dir()+"/inner", 0o755); err != nil {
			t.Error(err)
		}
		if err := writeFile(g.V2Dir()+"/cgroup.subtree_control", "+pids"); err != nil {
			t.Error(err)
		}
		if err := writeFile(g.V2Dir()+"/pids.max", "max"); err == nil {
			t.Error("the owner lifts the limit")
		}
	})
	if !exists(g.V2Dir() + "/inner/pids.max") {
		t.Error("the pids controller is not passed on")
	}
	end(t, g)
}
