package cgroups

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A user who may not make cgroups is told so, and keeps none of them.
func testRefused(t *testing.T, l Layout) {
	onThread(func() {
		unix.Setfsuid(65534)
		if err := newGroup(t, l, testRoot+"/a").Create(nil); !errors.Is(err, ErrUnavailable) || !errors.Is(err, unix.EACCES) {
			t.Error(err)
		}
	})
}

// What is not there needs no right to remove it.
func testReadOnly(t *testing.T, l Layout) {
	g := create(t, l, "/a")
	gone := newGroup(t, l, testRoot+"/b")
	onThread(func() {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			t.Error(err)
			return
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Error(err)
			return
		}
		for _, h := range l {
			if err := unix.Mount("", h.Mount, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
				t.Errorf("%s: %v", h.Mount, err)
				return
			}
		}
		if err := newGroup(t, l, testRoot+"/c").Create(nil); !errors.Is(err, ErrUnavailable) || !errors.Is(err, unix.EROFS) {
			t.Errorf("Create: %v", err)
		}
		gone.created = slices.Collect(maps.Values(gone.Paths()))
		if err := gone.Remove(); err != nil {
			t.Errorf("Remove of nothing: %v", err)
		}
		if err := g.Remove(); !errors.Is(err, unix.EROFS) {
			t.Errorf("Remove: %v", err)
		}
	})
	end(t, g)
}

func testRootless(t *testing.T, l Layout) {
	if err := newGroup(t, l, testRoot).Create(nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("below the root: %v", err)
	}
	g, err := New(l, "", "test", true)
	if err != nil {
		t.Fatal(err)
	}
	writes := compile(t, g, specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](41)}})
	if err := planAndCreate(g, writes); err != nil {
		t.Fatal(err)
	}
	if own := filepath.Dir(l[0].Own); own == "/" || !strings.HasSuffix(g.V2Dir(), own+"/skep/test") {
		t.Errorf("%s is not below the parent of %s", g.V2Dir(), own)
	}
	if err := g.Apply(writes); err != nil {
		t.Error(err)
	}
	expectFiles(t, g, map[string]string{"pids/pids.max": "41"})
	// CGD-10
	if err := g.Apply([]Write{compileFilter(t, "allow")}); err != nil {
		t.Errorf("no device is restricted: %v", err)
	}
	if err := g.Apply([]Write{compileFilter(t, "deny")}); !errors.Is(err, unix.EPERM) {
		t.Errorf("devices are restricted without a right to it: %v", err)
	}
	// The owner of a subtree may keep a cgroup, but not give it to others.
	if err := g.Delegate(delegated()); err != nil || ownerOf(t, g.V2Dir()) != uint32(os.Geteuid()) {
		t.Errorf("delegated to %d, %v", ownerOf(t, g.V2Dir()), err)
	}
	s := delegated()
	s.Process.User.UID = 4711
	if err := g.Delegate(s); err != nil || ownerOf(t, g.V2Dir()) != uint32(os.Geteuid()) {
		t.Errorf("delegated to %d, %v", ownerOf(t, g.V2Dir()), err)
	}
	c := join(t, g, "exec sleep 100")
	expectProcs(t, g, c.Process.Pid)
	if err := g.Freeze(); err != nil {
		t.Error(err)
	}
	end(t, g)
	if exists(g.V2Dir()) || exists(filepath.Dir(g.V2Dir())) {
		t.Errorf("%s is left", g.V2Dir())
	}
}
