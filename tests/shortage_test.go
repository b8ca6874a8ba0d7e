package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// mountTmpfs mounts a tmpfs until the test ends.
func mountTmpfs(t *testing.T, options string) string {
	t.Helper()
	dir := tempDir(t)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// checkGone checks that nothing is left of a container after the command that
// was to see to that.
func (r *ociRuntime) checkGone(b bundle, id string) {
	r.t.Helper()
	for _, e := range r.entries() {
		r.t.Errorf("left in the runtime's root: %s", e)
	}
	for _, dir := range cgroupsOf(b) {
		r.t.Errorf("left: cgroup %s", dir)
	}
	if res := r.do("state", id); res.code != 1 || !strings.Contains(res.stderr, "does not exist") {
		r.t.Errorf("state: exit %d, %s%s", res.code, res.stdout, res.stderr)
	}
	eventually(r.t, "no process is left", func() bool { return len(descendants()) == 0 })
}

// cgroupsOf lists the directories of the bundle's container in all
// hierarchies.
func cgroupsOf(b bundle) []string {
	var found []string
	for _, root := range suite.cgroups {
		path := filepath.Join(root.dir, b.cgroup)
		if _, err := os.Lstat(path); err == nil {
			found = append(found, path)
		}
	}
	return found
}

// checkScarce runs create where it may lack something: it succeeds, or fails
// in a sentence and leaves nothing.
func (r *ociRuntime) checkScarce(b bundle, id string, c call) (created bool) {
	r.t.Helper()
	c.args = []string{"create", "--bundle", b.dir, id}
	res := r.call(c)
	switch res.code {
	case 0:
		r.ok("delete", "--force", id)
	case 1:
		checkError(r.t, "create", res.stderr, id)
	default:
		r.t.Errorf("create: exit %d, %s", res.code, res.stderr)
	}
	r.checkGone(b, id)
	return res.code == 0
}

// ERR-01: with few descriptors create fails cleanly, with enough it works.
// Below eight Go itself does not come up.
func TestFewDescriptors(t *testing.T) {
	r := newRuntime(t)
	// Who may not raise limits cannot give the container more either.
	b, id := newBundle(t, proc(func(p *specs.Process) { p.Rlimits = nil })), r.id()
	created := false
	for limit := 8; limit <= 64 && !created; limit++ {
		script := "ulimit -n " + strconv.Itoa(limit) + `; exec "$@"`
		created = r.checkScarce(b, id, call{wrap: []string{"/bin/sh", "-c", script, "sh"}})
	}
	if !created {
		t.Error("64 descriptors are not enough")
	}
}

// ERR-01: no file may grow, not even that of the error.
func TestFileSizeLimit(t *testing.T) {
	r := newRuntime(t)
	b, id := newBundle(t), r.id()
	res := r.call(call{args: []string{"create", "--bundle", b.dir, id}, wrap: []string{"/bin/sh", "-c", `ulimit -f 0; exec "$@"`, "sh"}})
	if res.code != 1 {
		t.Errorf("create: exit %d", res.code)
	}
	r.checkGone(b, id)
}

// ERR-01: the file system of the state is full, at any point of create.
func TestStateRootFull(t *testing.T) {
	r := newRuntime(t)
	b, id := newBundle(t), r.id()
	full := func(options string) bool {
		r.root = mountTmpfs(t, options)
		return r.checkScarce(b, id, call{})
	}
	if full("nr_inodes=1") || full("size=4k") {
		t.Error("created without room")
	}
	created := false
	for inodes := 2; inodes < 20 && !created; inodes++ {
		created = full("nr_inodes=" + strconv.Itoa(inodes))
	}
	if !created {
		t.Error("20 inodes are not enough")
	}
}

// ERR-01
func TestStateRootReadOnly(t *testing.T) {
	r := newRuntime(t)
	r.root = mountTmpfs(t, "ro")
	r.fails("read-only file system", "create", "--bundle", newBundle(t).dir, r.id())
	r.root = filepath.Join(r.root, "below")
	r.fails("read-only file system", "create", "--bundle", newBundle(t).dir, r.id())
	r.root = filepath.Dir(r.root)
}

// ERR-01 CGP-01: a control file stands where the cgroup is to be.
func TestCgroupInTheWay(t *testing.T) {
	r := newCgroupfsRuntime(t)
	b := newBundle(t, linux(func(l *specs.Linux) { l.CgroupsPath = "/cgroup.procs" }))
	r.fails("cgroup.procs is not a directory", "create", "--bundle", b.dir, r.id())
}

// ERR-01: without /proc, which the runtime cannot do without.
func TestNoProc(t *testing.T) {
	r := newRuntime(t)
	if r.checkScarce(newBundle(t), r.id(), call{wrap: []string{"unshare", "-m", "/bin/sh", "-c", `umount -l /proc; exec "$@"`, "sh"}}) {
		t.Error("created without /proc")
	}
}

// OPD-08 CLI-10: whatever happens to the state of a container, list shows the others
// and warns, and delete --force ends the program and removes what there is.
func TestBrokenStateDirectories(t *testing.T) {
	for name, broken := range map[string]string{
		"empty":         ": >state.json",
		"truncated":     "head -c 100 state.json >x; mv x state.json",
		"null":          "echo null >state.json",
		"object":        "echo '{}' >state.json",
		"directory":     "rm state.json; mkdir -p state.json/x",
		"fifo":          "rm state.json; mkfifo state.json",
		"missing":       "rm state.json",
		"other journal": "rm state.json; echo '{}' >journal.json",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRuntime(t)
			healthy := r.create(newBundle(t))
			c := r.runDetached(newBundle(t))
			breakState(t, r, c.id, broken)
			res := r.do("list", "--quiet")
			if res.code != 0 || strings.TrimSpace(res.stdout) != healthy.id || !strings.Contains(res.stderr, c.id) {
				t.Errorf("list: exit %d, stdout %q, stderr %q", res.code, res.stdout, res.stderr)
			}
			r.fails(c.id, "state", c.id)
			r.fails("--force", "delete", c.id)
			r.fails("already exists", "create", "--bundle", newBundle(t).dir, c.id)
			r.ok("delete", "--force", c.id)
			eventually(t, "the program is gone", func() bool { return unix.Kill(c.pid, 0) != nil })
			if left := cgroupsOf(c.bundle); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			r.fails("does not exist", "state", c.id)
		})
	}
}

// OPD-08: neither the configuration nor the owner of the directory matter to an
// intact state.
func TestStateDirectoryOfSomebodyElse(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t))
	breakState(t, r, c.id, "rm config.json; chown 4242 .")
	if got := r.ok("list").stdout; !strings.Contains(got, "#4242") {
		t.Errorf("list: %s", got)
	}
	c.delete("--force")
	eventually(t, "the program is gone", func() bool { return unix.Kill(c.pid, 0) != nil })
}

func breakState(t *testing.T, r *ociRuntime, id, script string) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-ec", script)
	cmd.Dir = filepath.Join(r.root, id)
	cmd.Stderr = os.Stderr
	if err := startChild(cmd); err != nil {
		t.Fatal(err)
	}
	if err := waitChild(cmd); err != nil {
		t.Fatal(err)
	}
}
