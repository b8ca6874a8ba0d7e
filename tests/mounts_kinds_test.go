package tests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// MNT-21 MNT-22: read-only in the end, and filled before.
func TestReadonlyTmpfs(t *testing.T) {
	r := newRuntime(t)
	out := r.sh("echo >/dev/null && echo device; touch /dev/x 2>/dev/null || echo refused; touch /tmp/x 2>/dev/null || echo refused; stat -c %a /tmp",
		func(s *specs.Spec) { s.Mounts[1].Options = append(s.Mounts[1].Options, "ro") }, mounts(tmpfsAt("/tmp", "ro")))
	wantLines(t, out, "device", "refused", "refused", "1777")
}

// MNT-25: in a user namespace with the host's network sysfs is the host's, and
// as read-only as it is asked to be, with all that is mounted there.
func TestSysfsWithTheHostsNetwork(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, userNamespace(), without(specs.NetworkNamespace), args("/bin/cat", "/proc/self/mountinfo"))
	b.spec.Mounts = b.spec.Mounts[:len(b.spec.Mounts)-1] // no cgroup over it
	b.save()
	b.chown(100_000, 100_000)
	table := r.output(b)
	if m := mustMountAt(t, table, "/sys"); m.fstype != "sysfs" {
		t.Errorf("/sys is %+v", m)
	}
	for _, m := range parseMounts(table) {
		if (m.point == "/sys" || strings.HasPrefix(m.point, "/sys/")) && !has(m.options, "ro") {
			t.Errorf("writable: %+v", m)
		}
	}
}

// MNT-27: the container's root may not get there, skep may.
func TestSourceInPrivateDirectory(t *testing.T) {
	r := newRuntime(t)
	private := filepath.Join(tempDir(t), "private")
	if err := os.MkdirAll(private+"/data", 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, private+"/data/file", "reached\n")
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	b := newBundle(t, userNamespace(), mounts(bind(private+"/data", "/x"), bind(private+"/data/file", "/y")), args("/bin/cat", "/x/file", "/y"))
	b.chown(100_000, 100_000)
	wantLines(t, r.output(b), "reached", "reached")
}

// MNT-03: a relative destination is below the root, with a warning.
func TestRelativeDestination(t *testing.T) {
	r := newRuntime(t)
	res := r.run(newBundle(t, mounts(tmpfsAt("relative/x")), args("/bin/cat", "/proc/self/mountinfo")))
	mustMountAt(t, res.stdout, "/relative/x")
	if want := "warning: mounts[7].destination: \"relative/x\" is relative, which is deprecated"; !strings.Contains(res.stderr, want) {
		t.Errorf("%q, want %q", res.stderr, want)
	}
}

// MNT-13 MNT-15 MNT-07: more lower directories than fsconfig takes in a string.
func TestLongOverlay(t *testing.T) {
	r := newRuntime(t)
	dir := tempDir(t)
	var lower []string
	for i := range 40 {
		lower = append(lower, filepath.Join(dir, itoa(i)))
		if err := os.Mkdir(lower[i], 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(lower[i], "file"+itoa(i)), "")
	}
	overlay := specs.Mount{Destination: "/x", Type: "overlay", Source: "overlay", Options: []string{"lowerdir=" + strings.Join(lower, ":"), "ro", "nodev"}}
	out := r.sh("ls /x | wc -l; cat /proc/self/mountinfo", mounts(overlay))
	count, table, _ := strings.Cut(out, "\n")
	m := mustMountAt(t, table, "/x")
	if count != "40" || m.fstype != "overlay" || !has(m.options, "ro") || !has(m.options, "nodev") {
		t.Errorf("%s files in %+v", count, m)
	}
}

// MNT-09 MNT-13: what mount(2) takes: commas that separate nothing, and a source of up to a path's length.
func TestOddMountStrings(t *testing.T) {
	r := newRuntime(t)
	source := strings.Repeat("s", 1000)
	for _, m := range []specs.Mount{
		{Destination: "/x", Type: "tmpfs", Source: source, Options: []string{"size=64k", "mode=711"}},
		{Destination: "/x", Type: "tmpfs", Source: "s", Options: []string{"size=64k,", ",mode=711,,uid=0"}},
	} {
		got := mustMountAt(t, r.sh("cat /proc/self/mountinfo", mounts(m)), "/x")
		if got.source != m.Source || !has(got.super, "size=64k") || !has(got.super, "mode=711") {
			t.Errorf("mounted %+v", got)
		}
	}
}

// MNT-01 MNT-20: of stacked mounts the last one counts.
func TestStackedMounts(t *testing.T) {
	r := newRuntime(t)
	out := r.sh("stat -c %a /x; cat /proc/self/mountinfo", mounts(tmpfsAt("/x", "mode=711"), bind("/etc", "/x"), tmpfsAt("/x", "noexec")))
	mode, table, _ := strings.Cut(out, "\n")
	if m := mustMountAt(t, table, "/x"); mode != "755" || m.fstype != "tmpfs" || !has(m.options, "noexec") {
		t.Errorf("mode %s of %+v", mode, m)
	}
}
