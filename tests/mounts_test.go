package tests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// MNT-05 MNT-08 MNT-09 MOPT-03 MOPT-27 MOPT-30
func TestBinds(t *testing.T) {
	r := newRuntime(t)
	host := tempDir(t)
	writeFile(t, filepath.Join(host, "file"), "from the host\n")
	b := newBundle(t, mounts(
		bind(host, "/new/dir"), bind(filepath.Join(host, "file"), "/new/file"), bind(host, "/ro", "ro"),
		bind("data", "/relative"), specs.Mount{Source: host, Destination: "/none", Options: []string{"bind", "ro", "rw"}},
	), args("/bin/sh", "-c", `cat /new/dir/file /new/file /relative/x; echo 1 >/new/dir/written; echo 2 >/ro/refused; echo 3 >/none/last-wins`))
	if err := os.Mkdir(filepath.Join(b.dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(b.dir, "data/x"), "beside config.json\n")
	res := r.run(b)
	wantLines(t, res.stdout, "from the host", "from the host", "beside config.json")
	if !strings.Contains(res.stderr, "Read-only file system") {
		t.Errorf("the write to a read-only bind: %q", res.stderr)
	}
	for name, want := range map[string]bool{"written": true, "refused": false, "last-wins": true} {
		if _, err := os.Stat(filepath.Join(host, name)); (err == nil) != want {
			t.Errorf("%s: exists %v, want %v", name, err == nil, want)
		}
	}
}

// MNT-01: in listed order.
func TestMountOrder(t *testing.T) {
	r := newRuntime(t)
	host := tempDir(t)
	writeFile(t, filepath.Join(host, "file"), "visible\n")
	tmpfs := specs.Mount{Destination: "/a", Type: "tmpfs", Source: "tmpfs"}
	const show = "cat /a/b/file 2>/dev/null || echo hidden"
	wantLines(t, r.sh(show, mounts(tmpfs, bind(host, "/a/b"))), "visible")
	wantLines(t, r.sh(show, mounts(bind(host, "/a/b"), tmpfs)), "hidden")
}

// MNT-04: destinations stay inside, whatever they say.
func TestMountDestinationEscapes(t *testing.T) {
	r := newRuntime(t)
	for _, destination := range []string{"/a/../../../../mnt-escape", "/../mnt-escape", "/dir/../mnt-escape"} {
		table := r.sh("cat /proc/self/mountinfo", mounts(specs.Mount{Destination: destination, Type: "tmpfs", Source: "inner"}))
		if m := mustMountAt(t, table, "/mnt-escape"); m.source != "inner" {
			t.Errorf("%s: %+v", destination, m)
		}
	}
	if _, err := os.Lstat("/mnt-escape"); err == nil {
		t.Error("/mnt-escape was made on the host")
	}
}

// MNT-04: an absolute link of the image is relative to its root.
func TestMountThroughImageLink(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, mounts(specs.Mount{Destination: "/a/skep-x", Type: "tmpfs", Source: "inner"}), args("/bin/cat", "/proc/self/mountinfo"))
	if err := os.Symlink("/etc", b.rootfs+"/a"); err != nil {
		t.Fatal(err)
	}
	mustMountAt(t, r.output(b), "/etc/skep-x")
	if _, err := os.Lstat("/etc/skep-x"); err == nil {
		t.Error("/etc/skep-x was made on the host")
	}
}

// MNT-10: a link as the source is the host's affair.
func TestBindSourceLink(t *testing.T) {
	r := newRuntime(t)
	dir := tempDir(t)
	writeFile(t, filepath.Join(dir, "file"), "target\n")
	if err := os.Symlink("file", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	wantLines(t, r.sh("cat /x", mounts(bind(filepath.Join(dir, "link"), "/x"))), "target")
}

// MNT-02 MNT-05 MNT-06 MNT-07 MNT-08 MNT-09 MNT-11 MNT-13 MNT-14 MNT-18 MNT-19 MOPT-29
func TestMountErrors(t *testing.T) {
	r := newRuntime(t)
	for _, m := range []struct {
		mount specs.Mount
		want  string
	}{
		{bind("/no/such/source", "/x"), "mounts[7] /x: source: stat /no/such/source: no such file or directory"},
		{bind("", "/x"), "mounts[7].source: a bind mount needs a source"},
		{bind("/tmp", "/etc/passwd"), "openat2: not a directory (/tmp is a directory, and what it is to be mounted on is not)"},
		{tmpfsAt("/etc/passwd/x"), "attach mount → /etc/passwd/x: openat2: not a directory\n"},
		{bind("/etc/passwd", "/etc"), "move_mount: invalid argument (/etc/passwd is not a directory, and what it is to be mounted on is one)"},
		{specs.Mount{Destination: "/", Type: "tmpfs", Source: "tmpfs"}, `mounts[7].destination: "/" would cover the root filesystem`},
		{specs.Mount{Destination: "", Type: "tmpfs", Source: "tmpfs"}, "mounts[7].destination: required but missing"},
		{specs.Mount{Destination: "/x", Type: "nosuchfs", Source: "x"}, "mounts[7] /x: new nosuchfs → mount: fsopen: no such device"},
		{specs.Mount{Destination: "/x", Type: "bind", Source: "/tmp"}, `mounts[7].type: "bind" is not a filesystem`},
		{specs.Mount{Destination: "/x", Type: "tmp\x00fs"}, `mounts[7].type: "tmp\x00fs" has a NUL byte`},
		{tmpfsAt("/x", "size=zork"), "mounts[7] /x: new tmpfs size=zork → mount: fsconfig: invalid argument (tmpfs: Bad value for 'size')"},
		{tmpfsAt("/proc/sys/new"), `mounts[7].destination: "/proc/sys/new" is below /proc`},
		{tmpfsAt("/x", "zork"), "(tmpfs: Unknown parameter 'zork')"},
		{tmpfsAt("/sys/new"), "mounts[7] /sys/new: attach mount → /sys/new: mkdirat: read-only file system"}, // read-only
		{bind("/tmp", "/x", "size=1k"), `mounts[7].options[1]: "size=1k" is an option of a filesystem`},
		{bind("/tmp", "/proc/self/attr"), `mounts[7].destination: "/proc/self/attr" is below /proc`},
		{bind("/tmp", "/proc"), "mounts[7] /proc: /tmp: only a procfs may be mounted on /proc"},
		{specs.Mount{Destination: "/tmp", Options: []string{"remount", "ro"}}, "mounts[7] /tmp: set mount ro: mount_setattr: invalid argument"}, // nothing is mounted there
	} {
		b := newBundle(t, mounts(m.mount))
		r.fails(m.want, "create", "--bundle", b.dir, r.id())
	}
}

// MOPT-34: of what nobody can open without waiting, too.
func TestRecursiveReadonlyFifo(t *testing.T) {
	r := newRuntime(t)
	fifo := filepath.Join(tempDir(t), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	m := mustMountAt(t, r.sh("cat /proc/self/mountinfo", mounts(bind(fifo, "/fifo", "rro", "rnosuid"))), "/fifo")
	if !has(m.options, "ro") || !has(m.options, "nosuid") {
		t.Errorf("%+v", m)
	}
}

// MNT-20: a tmpfs takes the mode of the directory that it covers.
func TestTmpfsMode(t *testing.T) {
	r := newRuntime(t)
	tmpfs := func(destination string, options ...string) specs.Mount {
		return specs.Mount{Destination: destination, Type: "tmpfs", Source: "tmpfs", Options: options}
	}
	out := r.sh("stat -c '%n %a' /tmp /home /root /new", mounts(tmpfs("/tmp"), tmpfs("/home", "mode=700"), tmpfs("/root", "mode=1777"), tmpfs("/new")))
	wantLines(t, out, "/tmp 1777", "/home 700", "/root 1777", "/new 1777")
}

// MNT-23 MNT-24
func TestCgroupMount(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/sh", "-c", "ls /sys/fs/cgroup; echo ---; cat /proc/self/mountinfo"))
	parts := strings.Split(r.run(b).stdout, "---\n")
	if len(parts) != 2 {
		t.Fatalf("the program printed %q", parts)
	}
	for _, root := range suite.cgroups {
		for _, controller := range root.controllers {
			name := strings.TrimPrefix(controller, "name=")
			if !strings.Contains("\n"+parts[0], "\n"+name+"\n") {
				t.Errorf("/sys/fs/cgroup lacks %s: %s", name, parts[0])
			}
		}
	}
	// On v1 it is a tmpfs, which is to be read-only too.
	if m := mustMountAt(t, parts[1], "/sys/fs/cgroup"); !has(m.options, "ro") {
		t.Errorf("/sys/fs/cgroup is %+v", m)
	}
	for _, m := range parseMounts(parts[1]) {
		if strings.HasPrefix(m.fstype, "cgroup") && (m.root != "/" && m.root != b.cgroup || !has(m.options, "ro")) {
			t.Errorf("a cgroup mount shows more than the container's: %+v", m)
		}
	}
}
