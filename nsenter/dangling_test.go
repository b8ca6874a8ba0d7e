package nsenter

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// MNT-04 MNT-05: symlinks that lead nowhere are made to lead somewhere, inside the root.
func TestMakeBehindDanglingLinks(t *testing.T) {
	for name, test := range map[string]struct {
		link, target  string
		make, instead string
		file          bool
	}{
		"first part":            {link: "run", target: "/var/run", make: "/run/deep/x", instead: "/var/run/deep/x"},
		"in the middle":         {link: "var/lock", target: "../some/where", make: "/var/lock/deep/x", instead: "/some/where/deep/x"},
		"last part":             {link: "etc/data", target: "/data", make: "/etc/data", instead: "/data"},
		"the only part":         {link: "data", target: "etc/new", make: "/data", instead: "/etc/new"},
		"a file":                {link: "etc/resolv.conf", target: "../run/systemd/resolv.conf", make: "/etc/resolv.conf", instead: "/run/systemd/resolv.conf", file: true},
		"out of the root":       {link: "etc/out", target: "../../../../new/y", make: "/etc/out/x", instead: "/new/y/x"},
		"a wrong guess is fine": {make: "/etc/x", instead: "/never/made"},
		"it exists meanwhile":   {link: "run", target: "/etc", make: "/run", instead: "/never/made"},
	} {
		for _, kind := range kinds {
			t.Run(name+", "+kind.name, func(t *testing.T) {
				b := pack(t, kind.user, 0)
				play(t, b.Child, plan.Mkdirs{At: plan.In("/etc")}, plan.Mkdirs{At: plan.In("/var")})
				if test.link != "" {
					b.link(t, test.target, test.link)
				}
				open := openFiles(t, b)
				at := plan.In(test.make)
				at.Instead = test.instead
				for range 2 { // the second time it exists
					if test.file {
						play(t, b.Child, plan.OpenTree{Path: "/dev/null", Into: plan.Mount}, plan.Attach{Mount: plan.Mount, At: at, Make: plan.File})
					} else {
						play(t, b.Child, plan.Mkdirs{At: at})
					}
				}
				found := test.instead
				if found == "/never/made" {
					found = "/etc"
				}
				if _, err := os.Lstat(b.path(strings.TrimPrefix(found, "/"))); err != nil {
					t.Error(err)
				}
				if _, err := os.Lstat(b.path("never")); err == nil {
					t.Error("what was not needed has been made")
				}
				if now := openFiles(t, b); now != open {
					t.Errorf("%d descriptors are open, %d were", now, open)
				}
			})
		}
	}
}

func openFiles(t *testing.T, b *box) int {
	t.Helper()
	list, err := os.ReadDir(b.proc("fd"))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// MNT-18: no symlink leads a mount onto a procfs.
func TestNoMountOnProcfs(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := pack(t, kind.user, unix.CLONE_NEWPID)
			play(t, b.Child, plan.Mkdirs{At: plan.In("/proc")}, plan.Filesystem{Type: "proc", Into: plan.Mount},
				plan.Attach{Mount: plan.Mount, At: plan.Real("/proc")})
			b.link(t, "/proc", "a")
			for _, name := range []string{"/a/self/attr", "/a", "/proc/sys/../1"} {
				at := plan.In(name)
				at.NoProcfs = true
				for _, step := range []plan.Step{
					plan.Attach{Mount: plan.Mount, At: at, Make: plan.Directory},
					plan.ClassicMount{Type: "tmpfs", Source: "tmpfs", At: at},
				} {
					e := refused(t, b.Child, unix.EPERM, tmpfs(), step)
					if !strings.Contains(e.Error(), "on a procfs") {
						t.Errorf("the error says %v", e)
					}
				}
			}
			at := plan.In("/elsewhere")
			at.NoProcfs = true
			play(t, b.Child, tmpfs(), plan.Attach{Mount: plan.Mount, At: at, Make: plan.Directory})
		})
	}
}
