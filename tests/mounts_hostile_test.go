package tests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func tmpfsAt(destination string, options ...string) specs.Mount {
	return specs.Mount{Destination: destination, Type: "tmpfs", Source: "inner", Options: options}
}

// link replaces a name of the root filesystem by a symlink.
func (b bundle) link(target, name string) {
	b.t.Helper()
	path := filepath.Join(b.rootfs, name)
	if err := os.RemoveAll(path); err != nil {
		b.t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		b.t.Fatal(err)
	}
}

// MNT-05: what a symlink of the image leads to is made, where it leads nowhere.
func TestDanglingDestinations(t *testing.T) {
	r := newRuntime(t)
	file := filepath.Join(tempDir(t), "file")
	writeFile(t, file, "bound\n")
	for name, test := range map[string]struct {
		target, link string
		mount        specs.Mount
		point        string
	}{
		"/var/run":           {"/run", "var/run", tmpfsAt("/var/run/lock"), "/run/lock"},
		"relative":           {"../gone/run", "var/run", tmpfsAt("/var/run"), "/gone/run"},
		"resolv.conf":        {"../run/x/resolv.conf", "etc/resolv.conf", bind(file, "/etc/resolv.conf"), "/run/x/resolv.conf"},
		"more than the root": {"../../../../skep-gone/x", "etc/up", tmpfsAt("/etc/up/deep"), "/skep-gone/x/deep"},
		"mounted before":     {"/gone", "var/run", tmpfsAt("/var/run/x"), "/var/run/x"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBundle(t, args("/bin/cat", "/proc/self/mountinfo"))
			if name == "mounted before" { // the link is covered, and what it leads to is no business of this mount
				b.spec.Mounts = append(b.spec.Mounts, tmpfsAt("/var"))
			}
			b.spec.Mounts = append(b.spec.Mounts, test.mount)
			b.save()
			if err := os.RemoveAll(b.rootfs + "/run"); err != nil {
				t.Fatal(err)
			}
			b.link(test.target, test.link)
			mustMountAt(t, r.output(b), test.point)
			if name == "mounted before" && b.exists("gone") {
				t.Error("the target of a covered link was made")
			}
		})
	}
	t.Run("cwd", func(t *testing.T) {
		b := newBundle(t, args("/bin/pwd"), proc(func(p *specs.Process) { p.Cwd = "/home/x" }))
		b.link("/gone/home", "home")
		wantLines(t, r.output(b), "/gone/home/x")
	})
	t.Run("a loop", func(t *testing.T) {
		b := newBundle(t, mounts(tmpfsAt("/home/x")))
		b.link("home", "home")
		r.fails("/home/x", "create", "--bundle", b.dir, r.id())
	})
}

// MNT-18: nor through a symlink of the image.
func TestNoMountBelowProc(t *testing.T) {
	r := newRuntime(t)
	dir := tempDir(t)
	for _, destination := range []string{"/a/self/attr", "/a", "/a/sys/kernel", "/b"} {
		for _, m := range []specs.Mount{bind(dir, destination), tmpfsAt(destination)} {
			b := newBundle(t, mounts(m))
			b.link("/proc", "a")
			b.link("a/self/task/1/attr", "b")
			r.fails(destination, "create", "--bundle", b.dir, r.id())
		}
	}
	file := filepath.Join(dir, "uptime")
	writeFile(t, file, "fake\n")
	wantLines(t, r.sh("cat /proc/uptime", mounts(bind(file, "/proc/uptime"))), "fake")
	b := newBundle(t, userNamespace(), mounts(tmpfsAt("/a/self")))
	b.chown(100_000, 100_000)
	b.link("/proc", "a")
	r.fails("on a procfs", "create", "--bundle", b.dir, r.id())
}

// MNT-17 PRP-08: images that put links where the runtime works.
func TestHostileImages(t *testing.T) {
	r := newRuntime(t)
	for name, target := range map[string]string{"proc": "/tmp", "sys": "../../../../sys", "dev": "../../tmp"} {
		b := newBundle(t)
		b.link(target, name)
		r.fails("/"+name, "create", "--bundle", b.dir, r.id())
		if entries, err := os.ReadDir(b.rootfs + "/tmp"); err != nil || len(entries) > 0 {
			t.Errorf("%s: the target has %v; %v", name, entries, err)
		}
	}
	// Links in masked and read-only paths stay inside.
	host := tempDir(t)
	writeFile(t, filepath.Join(host, "file"), "host\n")
	b := newBundle(t, linux(func(l *specs.Linux) {
		l.MaskedPaths, l.ReadonlyPaths = []string{"/m", "/out/file"}, []string{"/r", "/out"}
	}), args("/bin/sh", "-c", "cat /secret; touch /kept/x 2>/dev/null || echo kept"))
	b.write("secret", "seen\n", 0o644)
	b.write("kept/y", "", 0o644)
	b.link("/secret", "m")
	b.link("kept", "r")
	b.link("../../../../../.."+host, "out")
	wantLines(t, r.output(b), "kept")
	writeFile(t, filepath.Join(host, "file"), "still writable\n")
}

// MNT-28: hundreds of binds under the usual limit, and under a tight one.
func TestManyBinds(t *testing.T) {
	r := newRuntime(t)
	const n = 600
	host := tempDir(t)
	writeFile(t, filepath.Join(host, "file"), "")
	var list []specs.Mount
	for i := range n {
		list = append(list, bind(host, "/many/"+itoa(i)))
	}
	b := newBundle(t, mounts(list...), args("/bin/sh", "-c", "ls /many/*/file | wc -l; ls /proc/self/fd | wc -l"))
	for _, limit := range []string{"1024", "64"} {
		line := call{args: r.runLine(b), wrap: []string{"/bin/sh", "-c", "ulimit -n " + limit + `; exec "$@"`, "sh"}}
		b.spec.Process.Rlimits = nil
		b.save()
		wantLines(t, r.succeed(line).stdout, itoa(n), "4")
	}
}

// MNT-04: CVE-2021-30465 CVE-2019-19921 CVE-2023-27561, a neighbour with access to the image swaps a directory and a link all the time.
func TestRacingNeighbour(t *testing.T) {
	r := newRuntime(t)
	outside := filepath.Join(tempDir(t), "outside")
	source := tempDir(t)
	writeFile(t, filepath.Join(source, "file"), "")
	if err := os.Mkdir(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	b := newBundle(t, args("/bin/true"), mounts(
		tmpfsAt("/a/x/y"), bind(source, "/a/bound"), bind(filepath.Join(source, "file"), "/a/file"),
	), linux(func(l *specs.Linux) {
		l.Devices = []specs.LinuxDevice{{Path: "/a/node", Type: "c", Major: 1, Minor: 3}}
		l.MaskedPaths, l.ReadonlyPaths = []string{"/a/masked", "/a"}, []string{"/a/readonly"}
	}))
	b.write("a/masked/keep", "", 0o644)
	b.link(outside, "other-a")
	b.write(outside+"/masked/keep", "", 0o644) // the same path inside
	r.output(b)                                // as long as nobody is in the way
	r.race(b, "a")
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("the host's directory now has %v; %v", entries, err)
	}
	for _, m := range parseMounts(readFile(t, "/proc/self/mountinfo")) {
		if strings.HasPrefix(m.point, outside) || strings.HasPrefix(m.point, b.dir) {
			t.Errorf("on the host is mounted %+v", m)
		}
	}
}
