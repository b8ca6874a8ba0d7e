package nsenter

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// TestTakeMode gives a tmpfs the mode of what it covers, sticky bit included, or leaves it its own.
func TestTakeMode(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := pack(t, kind.user, 0)
			b.write(t, "file", "")
			play(t, b.Child, plan.Mkdirs{At: plan.In("/tmp")}, plan.Mkdirs{At: plan.In("/work")})
			if err := os.Chmod(b.path("tmp"), 0o750|os.ModeSticky); err != nil {
				t.Fatal(err)
			}
			for _, test := range []struct {
				from string
				want os.FileMode
			}{{"/tmp", os.ModeDir | os.ModeSticky | 0o750}, {"/none", os.ModeDir | 0o711}, {"/file", os.ModeDir | 0o711}} {
				play(t, b.Child, tmpfs("mode=711"), plan.TakeMode{Mount: plan.Mount, From: plan.In(test.from)},
					plan.Attach{Mount: plan.Mount, At: plan.In("/work")})
				if st, err := os.Stat(b.path("work")); err != nil || st.Mode() != test.want {
					t.Errorf("from %s: %v, %v", test.from, st.Mode(), err)
				}
			}
			b.link(t, "/tmp", "link")
			refused(t, b.Child, unix.ELOOP, tmpfs(), plan.TakeMode{Mount: plan.Mount, From: plan.Real("/link")})
		})
	}
}

// TestProve looks at what a slot really holds (CVE-2025-31133).
func TestProve(t *testing.T) {
	b := pack(t, true, 0)
	b.write(t, "dev/null", "")
	b.write(t, "dir/file", "")
	null := plan.ProveNode{Slot: plan.Null, Mode: unix.S_IFCHR, Major: 1, Minor: 3}
	find := func(name string) plan.Step { return plan.Find{At: plan.In(name), Into: plan.Null} }
	play(t, b.Child, plan.OpenTree{Path: "/dev/null", Into: plan.Null}, null)
	refused(t, b.Child, unix.ENXIO, plan.OpenTree{Path: "/dev/zero", Into: plan.Null}, null)
	refused(t, b.Child, unix.ENXIO, find("/dev/null"), null)
	refused(t, b.Child, unix.ENXIO, find("/dev"), null)
	refused(t, b.Child, unix.ENOENT, find("/none"))
	ofTmpfs := plan.ProveFilesystem{Slot: plan.Null, Type: "tmpfs", Magic: unix.TMPFS_MAGIC}
	ofProc := plan.ProveFilesystem{Slot: plan.Null, Type: "proc", Magic: unix.PROC_SUPER_MAGIC}
	play(t, b.Child, find("/dir/file"), ofTmpfs)
	refused(t, b.Child, unix.EPERM, find("/dir"), ofProc)
	play(t, b.Child, plan.OpenTree{Path: "/proc", Into: plan.Null}, ofProc)
}
