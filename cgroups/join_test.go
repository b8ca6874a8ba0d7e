package cgroups

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCommonAncestor(t *testing.T) {
	for _, tt := range []struct{ a, b, want string }{
		{"/", "/skep/web", ""},
		{"/user.slice/a", "/user.slice/b", "/user.slice"},
		{"/user.slice/a", "/user.slice/ab", "/user.slice"},
		{"/a/b", "/a/b/c", "/a/b"},
		{"/a/b/c", "/a/b", "/a/b"},
		{"/a/b", "/a/b", "/a/b"},
		{"/../../session.scope", "/skep/web", ""},
	} {
		if got := commonAncestor(tt.a, tt.b); got != tt.want {
			t.Errorf("%s, %s: %q, want %q", tt.a, tt.b, got, tt.want)
		}
	}
}

// Whoever stands outside of a delegated subtree cannot put a process into it.
func TestCheckJoin(t *testing.T) {
	mount := t.TempDir()
	for name, mode := range map[string]os.FileMode{"cgroup.procs": 0o444, "deleg/cgroup.procs": 0o644} {
		file := filepath.Join(mount, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, nil, mode)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Dir(mount), 0o711); err != nil {
		t.Fatal(err)
	}
	onThread(func() {
		if err := os.Chown(filepath.Join(mount, "deleg/cgroup.procs"), 65534, -1); err != nil && os.Geteuid() == 0 {
			t.Error(err)
		}
		unix.Setfsuid(65534)
		for own, refused := range map[string]bool{"/deleg/shell": false, "/session": true} {
			d := dir{Hierarchy{Mount: mount, Own: own}, mount + "/deleg/skep/web"}
			err := d.checkJoin()
			if refused != (err != nil) || refused && (!errors.Is(err, unix.EACCES) || !strings.Contains(err.Error(), mount+"/cgroup.procs")) {
				t.Errorf("from %s: %v", own, err)
			}
		}
	})
}
