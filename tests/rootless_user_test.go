package tests

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The tests named TestRootless are of what an unprivileged user can do. Run
// as root they become one, which exists in the mount namespace of the tests
// only; run as a user they are that user, who needs subordinate ids, and then
// no others can run.

const rootlessTests = "TestRootless"

// onlyRootless tells whether no other tests are to run.
func onlyRootless() bool {
	run := flag.Lookup("test.run")
	return run != nil && strings.HasPrefix(strings.TrimLeft(run.Value.String(), "^("), rootlessTests)
}

// account is an unprivileged user with subordinate ids.
type account struct {
	uid, gid int
	sub      uint32 // the first of the subordinate ids, the same for users and groups
	size     uint32
	as       *syscall.Credential // nil: it is who runs the tests
}

// unprivileged returns the user of a test.
func unprivileged(t *testing.T) *account {
	t.Helper()
	if uid := os.Geteuid(); uid != 0 {
		a := &account{uid: uid, gid: os.Getegid()}
		a.sub, a.size = subordinate(t, "/etc/subuid")
		if sub, size := subordinate(t, "/etc/subgid"); sub != a.sub || size != a.size {
			t.Fatalf("/etc/subgid gives %d+%d, /etc/subuid %d+%d: these tests want them equal", sub, size, a.sub, a.size)
		}
		return a
	}
	const name, id = "skep-straw", 54_321
	a := &account{uid: id, gid: id, sub: 300_000, size: 65_536, as: &syscall.Credential{Uid: id, Gid: id}}
	dir := tempDir(t)
	for file, line := range map[string]string{
		"passwd": fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh\n", name, id, id, dir),
		"group":  fmt.Sprintf("%s:x:%d:\n", name, id),
		"subuid": fmt.Sprintf("%s:%d:%d\n", name, a.sub, a.size),
		"subgid": fmt.Sprintf("%s:%d:%d\n", name, a.sub, a.size),
	} {
		overlayFile(t, "/etc/"+file, line, filepath.Join(dir, file))
	}
	return a
}

// overlayFile covers a file by itself with one more line, in this mount
// namespace only.
func overlayFile(t *testing.T, path, line, by string) {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err) // newuidmap and newgidmap need them all
	}
	writeFile(t, by, string(before)+line)
	if err := unix.Mount(by, path, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// subordinate reads the range that a file gives to whom the tests run as.
func subordinate(t *testing.T, file string) (first, size uint32) {
	t.Helper()
	me, err := osuser.Current()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(readFile(t, file)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) != 3 || fields[0] != me.Username && fields[0] != me.Uid {
			continue
		}
		a, errA := strconv.ParseUint(fields[1], 10, 32)
		b, errB := strconv.ParseUint(fields[2], 10, 32)
		if errA != nil || errB != nil {
			t.Fatalf("%s: %q", file, line)
		}
		return uint32(a), uint32(b)
	}
	t.Fatalf("%s gives no ids to %s", file, me.Username)
	return 0, 0
}

// newRootless is newRuntime for an unprivileged user.
func newRootless(t *testing.T) (*ociRuntime, *account) {
	t.Helper()
	a := unprivileged(t)
	r := newRuntime(t)
	r.as = a.as
	a.own(t, r.root)
	return r, a
}

// own gives files to the user.
func (a *account) own(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if a.as == nil {
			continue
		}
		if err := os.Lchown(path, a.uid, a.gid); err != nil {
			t.Fatal(err)
		}
	}
}

// ranges maps root to the user, and the ids from 1 on to the subordinate ones.
func (a *account) ranges(s *specs.Spec) {
	namespace(specs.UserNamespace, "")(s)
	maps := func(own int) []specs.LinuxIDMapping {
		return append(ids(0, uint32(own), 1), ids(1, a.sub, a.size)...)
	}
	s.Linux.UIDMappings, s.Linux.GIDMappings = maps(a.uid), maps(a.gid)
}

// single maps root to the user, and nobody else.
func (a *account) single(s *specs.Spec) {
	namespace(specs.UserNamespace, "")(s)
	s.Linux.UIDMappings, s.Linux.GIDMappings = ids(0, uint32(a.uid), 1), ids(0, uint32(a.gid), 1)
	s.Mounts[2].Options = s.Mounts[2].Options[:5] // without a gid that is not mapped
}

// bundle is newBundle for the user: with all ids mapped, and without limits.
func (a *account) bundle(t *testing.T, edits ...edit) bundle {
	t.Helper()
	plain := func(s *specs.Spec) { s.Linux.Resources, s.Linux.CgroupsPath = nil, "" }
	b := newBundle(t, append([]edit{a.ranges, plain}, edits...)...)
	if a.as != nil {
		b.chown(a.uid, a.gid)
		a.own(t, filepath.Dir(b.dir), b.dir)
	}
	return b
}

// wrapped runs a bundle in the foreground with another command line before
// the runtime's.
func (r *ociRuntime) wrapped(b bundle, wrap ...string) result {
	r.t.Helper()
	for i, name := range wrap {
		if path, err := exec.LookPath(name); err == nil && i == 0 {
			wrap[0] = path
		}
	}
	return r.call(call{args: r.runLine(b), wrap: wrap})
}
