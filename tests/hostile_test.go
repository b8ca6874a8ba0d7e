package tests

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// trap is a directory of the host that nothing of a container may change.
type trap struct {
	t      *testing.T
	dir    string
	before []string
}

// setTrap fills a directory with what a container could change: a file, a node
// and a directory for each name that the runtime works on.
func setTrap(t *testing.T) *trap {
	t.Helper()
	dir := filepath.Join(tempDir(t), "trap")
	for _, name := range []string{"pts", "shm", "mqueue", "cgroup", "fs/cgroup"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"hosts", "null", "ptmx", "secret"} {
		writeFile(t, filepath.Join(dir, name), "the host's\n")
	}
	tr := &trap{t: t, dir: dir}
	tr.before = tr.look()
	return tr
}

// look describes all that is in the directory.
func (tr *trap) look() (seen []string) {
	tr.t.Helper()
	err := filepath.Walk(tr.dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		line := strings.TrimPrefix(path, tr.dir) + " " + info.Mode().String()
		if info.Mode().IsRegular() {
			line += " " + readFile(tr.t, path)
		}
		seen = append(seen, line)
		return nil
	})
	if err != nil {
		tr.t.Fatal(err)
	}
	return seen
}

// check looks for changes, and for mounts that are left on the host.
func (tr *trap) check() {
	tr.t.Helper()
	if now := tr.look(); !slices.Equal(now, tr.before) {
		tr.t.Errorf("the host's directory was\n%q\nand is\n%q", tr.before, now)
	}
	for _, m := range parseMounts(readFile(tr.t, "/proc/self/mountinfo")) {
		if strings.HasPrefix(m.point, tr.dir) {
			tr.t.Errorf("on the host is mounted %+v", m)
		}
	}
}

// bare leaves the image's own /dev and /sys in sight, links and all.
func bare(keep ...string) edit {
	return func(s *specs.Spec) {
		s.Mounts = slices.DeleteFunc(s.Mounts, func(m specs.Mount) bool {
			return m.Destination != "/proc" && !slices.Contains(keep, m.Destination)
		})
		s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil
	}
}

// MNT-04 MNT-17 PRP-08 PROC-06 DEV-04 DDEV-01: images whose links lead where the runtime makes mounts, nodes and
// directories. It may fail or work below the root; the host does not notice.
func TestImageLinksToTheHost(t *testing.T) {
	null := specs.LinuxDevice{Path: "/dev/x", Type: "c", Major: 1, Minor: 3}
	for name, test := range map[string]struct {
		link, to string // to is below the trap
		edits    []edit
	}{
		"/dev":                 {"dev", "", []edit{bare()}},
		"/dev with devices":    {"dev", "", []edit{bare(), linux(func(l *specs.Linux) { l.Devices = []specs.LinuxDevice{null} })}},
		"/dev/pts":             {"dev/pts", "pts", []edit{bare("/dev/pts")}},
		"/dev/shm":             {"dev/shm", "shm", []edit{bare("/dev/shm")}},
		"/dev/mqueue":          {"dev/mqueue", "mqueue", []edit{bare("/dev/mqueue")}},
		"/dev/ptmx":            {"dev/ptmx", "ptmx", []edit{bare()}},
		"/dev/null":            {"dev/null", "null", []edit{bare()}},
		"a device's name":      {"dev/x", "null", []edit{bare(), linux(func(l *specs.Linux) { l.Devices = []specs.LinuxDevice{null} })}},
		"a device's directory": {"dev/deep", "", []edit{bare(), linux(func(l *specs.Linux) { l.Devices = []specs.LinuxDevice{{Path: "/dev/deep/x", Type: "b", Major: 7}} })}},
		"a device elsewhere": {"nodes", "", []edit{linux(func(l *specs.Linux) {
			l.Devices = []specs.LinuxDevice{{Path: "/nodes/x", Type: "c", Major: 1, Minor: 3}}
		})}},
		"a fifo elsewhere":         {"nodes", "", []edit{linux(func(l *specs.Linux) { l.Devices = []specs.LinuxDevice{{Path: "/nodes/x", Type: "p"}} })}},
		"/proc":                    {"proc", "", nil},
		"/sys":                     {"sys", "", nil},
		"/sys/fs":                  {"sys/fs", "fs", []edit{bare("/sys/fs/cgroup")}},
		"/sys/fs/cgroup":           {"sys/fs/cgroup", "cgroup", []edit{bare("/sys/fs/cgroup")}},
		"/etc":                     {"etc", "", []edit{mounts(bind("/etc/passwd", "/etc/hosts"), bind("/etc/passwd", "/etc/new"))}},
		"a file below /etc":        {"etc/hosts", "hosts", []edit{mounts(bind("/etc/passwd", "/etc/hosts"))}},
		"a tmpfs":                  {"data", "", []edit{mounts(tmpfsAt("/data/deep/er"))}},
		"a copy":                   {"data", "", []edit{mounts(tmpfsAt("/data", "tmpcopyup"))}},
		"cwd":                      {"work", "", []edit{proc(func(p *specs.Process) { p.Cwd = "/work/made/here" })}},
		"what is masked":           {"hidden", "secret", []edit{linux(func(l *specs.Linux) { l.MaskedPaths = []string{"/hidden"} })}},
		"what is read-only":        {"kept", "", []edit{linux(func(l *specs.Linux) { l.ReadonlyPaths = []string{"/kept", "/kept/pts"} })}},
		"/dev in a user namespace": {"dev", "", []edit{bare(), userNamespace()}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRuntime(t)
			tr := setTrap(t)
			for _, target := range []string{filepath.Join(tr.dir, test.to), strings.Repeat("../", 20) + filepath.Join(tr.dir, test.to)} {
				b := newBundle(t, append(slices.Clone(test.edits), args("/bin/true"))...)
				b.link(target, test.link)
				if b.spec.Linux.UIDMappings != nil {
					b.chown(int(b.spec.Linux.UIDMappings[0].HostID), int(b.spec.Linux.GIDMappings[0].HostID))
				}
				if res := r.run(b); res.code == 1 {
					checkError(t, "run", res.stderr)
				} else if res.code != 0 && res.code != 127 {
					t.Errorf("exit %d, %s", res.code, res.stderr)
				}
				tr.check()
			}
		})
	}
}

// SYS-08: CVE-2025-52881, sysctls go past what an image, or a volume, has in the place of /proc.
func TestSysctlsOfTheImage(t *testing.T) {
	r := newRuntime(t)
	const name = "/proc/sys/net/ipv4/ip_default_ttl"
	b := newBundle(t, bare(), linux(func(l *specs.Linux) { l.Sysctl = map[string]string{"net.ipv4.ip_default_ttl": "77"} }))
	b.spec.Mounts = nil
	b.save()
	b.write(name, "the image's\n", 0o666)
	c := r.create(b)
	if inside, err := childOutput(exec.Command("nsenter", "--target", itoa(c.pid), "--net", "cat", name)); err != nil || inside != "77\n" {
		t.Errorf("it is %q, %v", inside, err)
	}
	wantLines(t, readFile(t, b.rootfs+name), "the image's")
	c.delete()
}

// MNT-04: a volume of the host is under the control of those who write to it, containers among them.
func TestLinksInVolumes(t *testing.T) {
	r := newRuntime(t)
	tr := setTrap(t)
	volume := tempDir(t)
	if err := unix.Mount(volume, volume, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(volume, 0); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Mount("", volume, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(volume, "inner"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(tr.dir, filepath.Join(volume, "link")); err != nil {
		t.Fatal(err)
	}
	before := readFile(t, "/proc/self/mountinfo")
	b := newBundle(t, mounts(bind(volume, "/volume"), tmpfsAt("/volume/inner"), tmpfsAt("/volume/link"), bind("/etc/passwd", "/volume/link/secret")),
		linux(func(l *specs.Linux) {
			l.Devices = []specs.LinuxDevice{{Path: "/volume/link/node", Type: "c", Major: 1, Minor: 3}}
			l.MaskedPaths = append(l.MaskedPaths, "/volume/link/hosts")
		}), proc(func(p *specs.Process) { p.Cwd = "/volume/link/work" }), args("/bin/cat", "/proc/self/mountinfo"))
	if err := os.MkdirAll(filepath.Join(b.rootfs, tr.dir), 0o755); err != nil { // where the link leads inside
		t.Fatal(err)
	}
	table := r.output(b)
	mustMountAt(t, table, "/volume/inner")
	mustMountAt(t, table, tr.dir) // below the root
	if after := readFile(t, "/proc/self/mountinfo"); after != before {
		t.Errorf("the host has other mounts:\n%s", after)
	}
	tr.check()
}

// MNT-04 DEV-04 DDEV-01 PROC-06: CVE-2026-41579, while the runtime makes nodes, links and directories, somebody swaps
// the directories for links.
func TestRacingDirectories(t *testing.T) {
	r := newRuntime(t)
	tr := setTrap(t)
	b := newBundle(t, bare("/dev/pts", "/dev/shm"), mounts(tmpfsAt("/work/tmp", "tmpcopyup")), args("/bin/true"),
		proc(func(p *specs.Process) { p.Cwd = "/work/a/b" }), linux(func(l *specs.Linux) {
			l.Devices = []specs.LinuxDevice{{Path: "/dev/deep/x", Type: "c", Major: 1, Minor: 3}, {Path: "/work/x", Type: "p"}}
			l.MaskedPaths, l.ReadonlyPaths = []string{"/work/masked"}, []string{"/work/readonly"}
		}))
	b.write("work/tmp/file", "", 0o644)
	b.write("work/masked", "", 0o644)
	b.write("work/readonly/file", "", 0o644)
	r.output(b) // as long as nobody is in the way
	for _, name := range []string{"dev", "work"} {
		b.link(tr.dir, "other-"+name)
	}
	r.race(b, "dev", "work")
	tr.check()
}

// race runs a bundle while somebody exchanges names of its root filesystem with others, which "other-" begins, all the
// time. The runs may fail; where they went is the question.
func (r *ociRuntime) race(b bundle, names ...string) {
	r.t.Helper()
	var stopped atomic.Bool
	var swaps atomic.Int64
	done := make(chan error)
	go func() {
		var err error
		for ; err == nil && !stopped.Load(); swaps.Add(1) {
			err = b.swap(names[rand.N(len(names))])
		}
		done <- err
	}()
	for tries := 0; tries < 25 || swaps.Load() < 1000; tries++ {
		r.run(b)
	}
	stopped.Store(true)
	if err := <-done; err != nil {
		r.t.Error(err)
	}
}

// swap exchanges a name of the root filesystem with the one that has "other-" before it.
func (b bundle) swap(name string) error {
	one, other := filepath.Join(b.rootfs, name), filepath.Join(b.rootfs, "other-"+name)
	return unix.Renameat2(unix.AT_FDCWD, one, unix.AT_FDCWD, other, unix.RENAME_EXCHANGE)
}
