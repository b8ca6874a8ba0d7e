package nsenter

import (
	"testing"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// LSM-05: the label arrives in the attribute that SELinux reads, and in nothing but that mount. Without SELinux any
// text will do.
func TestLabelMount(t *testing.T) {
	const label = "system_u:object_r:container_file_t:s0:c1,c2"
	b := pack(t, false, 0)
	play(t, b.Child, tmpfs(), plan.LabelMount{Mount: plan.Mount, Label: label},
		plan.Attach{Mount: plan.Mount, At: plan.In("/labelled"), Make: plan.Directory})
	buf := make([]byte, 100)
	n, err := unix.Getxattr(b.path("labelled"), "security.selinux", buf)
	if err != nil || string(buf[:n]) != label+"\x00" {
		t.Errorf("%q, %v", buf[:max(n, 0)], err)
	}
	if n, err := unix.Getxattr(b.path("."), "security.selinux", buf); err == nil {
		t.Errorf("the root has %q", buf[:n])
	}
}

// LSM-02: a label goes to the file that it is for, on a procfs: where another filesystem stands in for that, or a mount
// or a link is in the way, nothing is written.
func TestLabelNeedsProcfs(t *testing.T) {
	b := pack(t, false, 0)
	prove := plan.ProveFilesystem{Slot: plan.Procfs, Type: "procfs", Magic: unix.PROC_SUPER_MAGIC}
	set := plan.SetLabel{Attribute: "exec", Value: "u:r:t:s0"}
	b.write(t, "fake/thread-self/attr/exec", "untouched")
	refused(t, b.Child, unix.EPERM, plan.Find{At: plan.In("/fake"), Into: plan.Procfs}, prove)
	if got := b.read(t, "fake/thread-self/attr/exec"); got != "untouched" {
		t.Errorf("the file reads %q", got)
	}
	// What is mounted over the real one is not taken for it.
	play(t, b.Child, plan.Filesystem{Type: "proc", Into: plan.Procfs},
		plan.Attach{Mount: plan.Procfs, At: plan.In("/proc"), Make: plan.Directory, Keep: true}, prove,
		tmpfs(), plan.Attach{Mount: plan.Mount, At: plan.In("/proc/thread-self/attr")})
	refused(t, b.Child, unix.EXDEV, set)
}
