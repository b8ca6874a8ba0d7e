package tests

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// MNT-23: an unprivileged user without cgroups gets none, and sees none of the host's (CVE-2023-25809).
func TestNoCgroupsForUnprivileged(t *testing.T) {
	const nobody = 65_534
	for name, more := range map[string]edit{
		"cgroup namespace": namespace(specs.CgroupNamespace, ""), "without one": without(specs.CgroupNamespace),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRuntime(t)
			b := newBundle(t, more, userNamespace(), args("/bin/sh", "-c", "ls -A /sys/fs/cgroup; cat /proc/self/mountinfo"), func(s *specs.Spec) {
				s.Linux.UIDMappings, s.Linux.GIDMappings = ids(0, nobody, 1), ids(0, nobody, 1)
				s.Mounts[2].Options = s.Mounts[2].Options[:5] // without a gid that is not mapped
				s.Linux.Resources, s.Linux.CgroupsPath = nil, ""
			})
			b.chown(nobody, nobody)
			for _, dir := range []string{r.root, filepath.Dir(b.dir), b.dir} {
				if err := os.Chown(dir, nobody, nobody); err != nil {
					t.Fatal(err)
				}
			}
			res := r.succeed(call{args: r.runLine(b), user: &syscall.Credential{Uid: nobody, Gid: nobody}})
			if m := parseMounts(res.stdout); m[0].point != "/" { // nothing stands before the table
				t.Errorf("it sees %+v", m[0])
			}
			if m := mustMountAt(t, res.stdout, "/sys/fs/cgroup"); m.fstype != "tmpfs" || !has(m.options, "ro") {
				t.Errorf("/sys/fs/cgroup is %+v", m)
			}
		})
	}
}

// MOPT-43: without privileges too, where the user may read what is to be copied.
func TestTmpCopyUpRootless(t *testing.T) {
	r := newRuntime(t)
	const nobody = 65_534
	b := newBundle(t, userNamespace(), args("/bin/sh", "-c", "cat /data/deep/file; stat -c %u:%g /data/deep/file"), func(s *specs.Spec) {
		s.Linux.UIDMappings, s.Linux.GIDMappings = ids(0, nobody, 1), ids(0, nobody, 1)
		s.Linux.Resources, s.Linux.CgroupsPath = nil, ""
		s.Mounts = append(s.Mounts[:2], tmpfsAt("/data", "tmpcopyup"))
	})
	b.write("data/deep/file", "copied\n", 0o600)
	b.chown(nobody, nobody)
	for _, name := range []string{r.root, filepath.Dir(b.dir), b.dir, b.rootfs + "/data/deep/file"} {
		if err := os.Chown(name, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	res := r.succeed(call{args: r.runLine(b), user: &syscall.Credential{Uid: nobody, Gid: nobody}})
	wantLines(t, res.stdout, "copied", "0:0")
}
