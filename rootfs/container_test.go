package rootfs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
	"skep/rootfs"
)

// MNT-16 DDEV-01 … DDEV-12 PRP-06 PRP-08 PRP-11 PRP-12 ROOT-07 ROOT-10: what every container has.
func TestExampleContainer(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			b := newBox(t, k)
			b.spec.Root.Readonly = true
			b.spec.Process.Terminal = true
			b.up()
			for point, fstype := range map[string]string{
				"/proc": "proc", "/dev": "tmpfs", "/dev/pts": "devpts", "/dev/shm": "tmpfs", "/dev/mqueue": "mqueue", "/sys": "sysfs",
			} {
				if m := b.at(point); m.fstype != fstype {
					t.Errorf("%s: %+v", point, m)
				}
			}
			b.checkNodes()
			b.checkLinks()
			b.checkMasks()
			b.checkConsole()
			b.checkForeignMounts()
			if !b.at("/").has("ro") || b.writable("") || b.writable("/work") {
				t.Error("the root can be written")
			}
			if !b.writable("/dev/shm") {
				t.Error("/dev/shm cannot be written")
			}
		})
	}
}

func (b *box) checkNodes() {
	b.t.Helper()
	for name, rdev := range map[string]uint64{
		"null": unix.Mkdev(1, 3), "zero": unix.Mkdev(1, 5), "full": unix.Mkdev(1, 7),
		"random": unix.Mkdev(1, 8), "urandom": unix.Mkdev(1, 9), "tty": unix.Mkdev(5, 0),
	} {
		st := b.stat("/dev/" + name)
		var host unix.Stat_t
		must(b.t, unix.Stat("/dev/"+name, &host))
		owner := uint32(0)
		if st.Dev == host.Dev { // the host's node is bound
			owner = host.Uid
		}
		if st.Mode != unix.S_IFCHR|0o666 || st.Rdev != rdev || st.Uid != owner {
			b.t.Errorf("/dev/%s: mode %o, device %#x, owner %d", name, st.Mode, st.Rdev, st.Uid)
		}
		if f, err := os.OpenFile(b.path("/dev/"+name), os.O_RDWR|unix.O_NOCTTY, 0); err == nil {
			f.Close()
		} else if name != "tty" { // ENXIO: the test has no terminal
			b.t.Error(err)
		}
	}
}

func (b *box) checkLinks() {
	b.t.Helper()
	links := map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1",
		"stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx"}
	if _, err := os.Stat("/proc/kcore"); err == nil {
		links["core"] = "/proc/kcore"
	}
	for name, target := range links {
		if got, err := os.Readlink(b.path("/dev/" + name)); got != target {
			b.t.Errorf("/dev/%s → %s, %v; want %s", name, got, err, target)
		}
	}
}

func (b *box) checkMasks() {
	b.t.Helper()
	supers := map[uint64]bool{}
	for _, name := range b.spec.Linux.MaskedPaths {
		var st unix.Stat_t
		switch err := unix.Lstat(b.path(name), &st); {
		case err == unix.ENOENT:
			continue
		case err != nil:
			b.t.Errorf("%s: %v", name, err)
		case st.Mode&unix.S_IFMT == unix.S_IFDIR:
			supers[st.Dev] = true
			if entries, err := os.ReadDir(b.path(name)); err != nil || len(entries) > 0 || b.writable(name) || !b.at(name).has("ro") {
				b.t.Errorf("%s is not hidden: %v, %v", name, entries, err)
			}
		case st.Rdev != unix.Mkdev(1, 3) || b.read(name) != "":
			b.t.Errorf("%s is not hidden", name)
		}
	}
	if len(supers) > 1 {
		b.t.Errorf("%d filesystems hide directories", len(supers))
	}
	for _, name := range b.spec.Linux.ReadonlyPaths {
		var st unix.Stat_t
		if unix.Lstat(b.path(name), &st) == nil && !b.at(name).has("ro") {
			b.t.Errorf("%s is %+v", name, b.at(name))
		}
	}
}

func (b *box) checkConsole() {
	b.t.Helper()
	master := b.results[plan.PtyMaster]
	if master == nil {
		b.t.Fatal("no terminal came out")
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	must(b.t, err)
	console, slave := b.stat("/dev/console"), b.stat(fmt.Sprintf("/dev/pts/%d", n))
	if console.Mode&unix.S_IFMT != unix.S_IFCHR || console.Rdev != slave.Rdev || console.Dev != slave.Dev {
		b.t.Errorf("/dev/console is %#x on %#x, the terminal %#x on %#x", console.Rdev, console.Dev, slave.Rdev, slave.Dev)
	}
}

// checkForeignMounts looks for mounts of the host.
func (b *box) checkForeignMounts() {
	b.t.Helper()
	for _, m := range b.mounts() {
		known := m.point == "/" && strings.HasSuffix(m.root, "/rootfs")
		for _, dir := range []string{"/proc", "/dev", "/sys"} {
			known = known || m.point == dir || strings.HasPrefix(m.point, dir+"/")
		}
		if !known || strings.Contains(m.tags, "shared:") {
			b.t.Errorf("inside is mounted %+v", m)
		}
	}
}

// DEV-01 … DEV-13 JSON-11
func TestDevices(t *testing.T) {
	mode := func(m os.FileMode) *os.FileMode { return &m }
	id := func(n uint32) *uint32 { return &n }
	list := []specs.LinuxDevice{
		{Path: "/dev/mine", Type: "c", Major: 1, Minor: 5, FileMode: mode(0o640), UID: id(7), GID: id(8)},
		{Path: "/dev/loud", Type: "u", Major: 1, Minor: 5, FileMode: mode(0o20644)}, // with the type, as Podman sends it
		{Path: "/a/b/block", Type: "b", Major: 7, Minor: 1},
		{Path: "/a/../dev/pipe", Type: "p", FileMode: mode(0o600)},
		{Path: "/dev/null", Type: "c", Major: 1, Minor: 3, FileMode: mode(0o600)},
		{Path: "/dev/ptmx", Type: "c", Major: 5, Minor: 2},
		{Path: "/dev/again", Type: "c", Major: 1, Minor: 5},
		{Path: "/dev/again", Type: "c", Major: 1, Minor: 5},
	}
	old := unix.Umask(0o077) // of the caller: init must not inherit it
	defer unix.Umask(old)
	b := newBox(t, kinds[0])
	b.spec.Linux.Devices = list
	b.up()
	for name, want := range map[string]unix.Stat_t{
		"/dev/mine": {Mode: unix.S_IFCHR | 0o640, Rdev: unix.Mkdev(1, 5), Uid: 7, Gid: 8},
		"/dev/loud": {Mode: unix.S_IFCHR | 0o644, Rdev: unix.Mkdev(1, 5)}, "/a/b/block": {Mode: unix.S_IFBLK | 0o666, Rdev: unix.Mkdev(7, 1)},
		"/dev/pipe": {Mode: unix.S_IFIFO | 0o600}, "/dev/null": {Mode: unix.S_IFCHR | 0o600, Rdev: unix.Mkdev(1, 3)},
		"/dev/again": {Mode: unix.S_IFCHR | 0o666, Rdev: unix.Mkdev(1, 5)}, "/dev/zero": {Mode: unix.S_IFCHR | 0o666, Rdev: unix.Mkdev(1, 5)},
	} {
		if st := b.stat(name); st.Mode != want.Mode || st.Rdev != want.Rdev || st.Uid != want.Uid || st.Gid != want.Gid {
			t.Errorf("%s: mode %o, device %#x, owner %d:%d", name, st.Mode, st.Rdev, st.Uid, st.Gid)
		}
	}
	if st := b.stat("/a"); st.Mode != unix.S_IFDIR|0o755 {
		t.Errorf("/a has the mode %o", st.Mode)
	}
	if got, err := os.Readlink(b.path("/dev/ptmx")); got != "pts/ptmx" {
		t.Errorf("/dev/ptmx: %q, %v", got, err)
	}
}

// DEV-04: what is there has to be the device.
func TestDeviceMismatch(t *testing.T) {
	zero := specs.LinuxDevice{Path: "/data/zero", Type: "c", Major: 1, Minor: 5}
	for name, prepare := range map[string]func(b *box){
		"file":   func(b *box) { b.write("data/zero", "") },
		"number": func(b *box) { must(t, unix.Mknod(b.image("data/zero"), unix.S_IFCHR, int(unix.Mkdev(1, 3)))) },
		"type":   func(b *box) { must(t, unix.Mknod(b.image("data/zero"), unix.S_IFBLK, int(unix.Mkdev(1, 5)))) },
		"link":   func(b *box) { b.link("/dev/zero", "data/zero") },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, kinds[0])
			b.mkdir("data", 0o755)
			prepare(b)
			b.spec.Linux.Devices = []specs.LinuxDevice{zero}
			b.fails("linux.devices[0] /data/zero: make node", "file exists")
		})
	}
	b := newBox(t, kinds[0])
	b.mkdir("data", 0o755)
	must(t, unix.Mknod(b.image("data/zero"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))))
	b.spec.Linux.Devices = []specs.LinuxDevice{zero}
	b.up()
}

// DEV-11: in a user namespace the host's node is bound, and it has to be the one.
func TestBoundDevices(t *testing.T) {
	for _, k := range kinds[1:] {
		t.Run(k.name, func(t *testing.T) {
			b := newBox(t, k)
			b.spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/kmsg", Type: "c", Major: 1, Minor: 11}, {Path: "/dev/pipe", Type: "p"}}
			b.up()
			for _, name := range []string{"/dev/kmsg", "/dev/null"} {
				if m := b.at(name); !m.has("nosuid") || !m.has("noexec") || m.has("nodev") {
					t.Errorf("%+v", m)
				}
			}
			if st := b.stat("/dev/kmsg"); st.Rdev != unix.Mkdev(1, 11) {
				t.Errorf("/dev/kmsg is %#x", st.Rdev)
			}
			if st := b.stat("/dev/pipe"); st.Mode != unix.S_IFIFO|0o666 {
				t.Errorf("/dev/pipe has the mode %o", st.Mode)
			}
			for _, d := range []specs.LinuxDevice{
				{Path: "/dev/kmsg", Type: "c", Major: 1, Minor: 5}, {Path: "/dev/kmsg", Type: "b", Major: 1, Minor: 11}, {Path: "/dev/missing", Type: "c"},
			} {
				b := newBox(t, k)
				b.spec.Linux.Devices = []specs.LinuxDevice{d}
				b.fails("linux.devices[0] "+d.Path+": ", d.Path)
			}
		})
	}
}

// DDEV-13: a /dev that is bound stays as it is.
func TestBoundDev(t *testing.T) {
	b := newBox(t, kinds[0])
	dev := t.TempDir()
	b.spec.Mounts = []specs.Mount{b.spec.Mounts[0], {Destination: "/dev", Source: dev, Options: []string{"bind"}}}
	b.spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/new", Type: "c", Major: 1, Minor: 5}, {Path: "/opt/new", Type: "c", Major: 1, Minor: 5}}
	b.up()
	if entries, err := os.ReadDir(dev); err != nil || len(entries) > 0 {
		t.Errorf("the host's directory now has %v; %v", entries, err)
	}
	b.stat("/opt/new")
}

// MNT-21 MNT-22: read-only, but filled.
func TestReadonlyTmpfs(t *testing.T) {
	b := newBox(t, kinds[0])
	b.spec.Process.Terminal = true
	b.mkdir("tmp", 0o1777)
	for i := range b.spec.Mounts {
		if m := &b.spec.Mounts[i]; m.Destination == "/dev" {
			m.Options = append(m.Options, "ro")
		}
	}
	b.mount(specs.Mount{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs", Options: []string{"ro"}})
	b.up()
	b.checkNodes()
	b.checkLinks()
	b.checkConsole()
	for _, name := range []string{"/dev", "/tmp"} {
		if !b.at(name).has("ro") || b.writable(name) {
			t.Errorf("%s can be written: %+v", name, b.at(name))
		}
	}
	if st := b.stat("/tmp"); st.Mode&0o7777 != 0o1777 {
		t.Errorf("/tmp has the mode %o", st.Mode)
	}
}

// PROC-07
func TestWorkingDirectory(t *testing.T) {
	b := newBox(t, kinds[0])
	b.spec.Root.Readonly = true
	b.spec.Process.Cwd = "/new/deep"
	b.up()
	if st := b.stat("/new/deep"); st.Mode != unix.S_IFDIR|0o755 {
		t.Errorf("mode %o", st.Mode)
	}
	b = newBox(t, kinds[0])
	b.spec.Process.Cwd = "/proc/self/fd/7"
	b.fails("process.cwd: ")
}

// SYS-01 SYS-07 SYS-09
func TestSysctls(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			b := newBox(t, k)
			b.spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1", "net/ipv4/conf/lo/forwarding": "0", "kernel.domainname": "example.org"}
			b.up()
			// A reader sees its own namespaces in /proc/sys: read in the container's.
			want := map[string]string{"sys/net/ipv4/ip_forward": "1\n", "sys/net/ipv4/conf/lo/forwarding": "0\n", "sys/kernel/domainname": "example.org\n"}
			for name, value := range want {
				if got := b.readInside("/proc/" + name); got != value {
					t.Errorf("%s is %q, want %q", name, got, value)
				}
			}
		})
	}
	b := newBox(t, kinds[0])
	b.spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "zork"}
	b.fails(`linux.sysctl["net.ipv4.ip_forward"]: write zork to /proc/sys/net/ipv4/ip_forward: write: invalid argument`)
}

// readInside has init read a file.
func (b *box) readInside(name string) string {
	b.t.Helper()
	r, w, err := os.Pipe()
	must(b.t, err)
	defer r.Close()
	phase := &plan.Phase{Name: "read"}
	out := phase.Take(descriptor{w})
	phase.Add(sendFile{name, out})
	must(b.t, b.run(phase))
	w.Close()
	buf := make([]byte, 4096)
	n, err := r.Read(buf)
	must(b.t, err)
	return strings.TrimRight(string(buf[:n]), "\x00")
}

// descriptor is a Source of an open file.
type descriptor struct{ *os.File }

func (d descriptor) Open() (int, error) { return unix.Dup(int(d.Fd())) }
func (d descriptor) String() string     { return d.Name() }

// sendFile is a step: it copies a file to a descriptor.
type sendFile struct {
	name string
	to   plan.Slot
}

func (s sendFile) String() string { return "read " + s.name }
func (s sendFile) Lower(l *plan.Lowering) {
	buf := l.Bytes(make([]byte, 256))
	l.Call(unix.SYS_OPENAT, plan.Imm(unix.AT_FDCWD), l.String(s.name), plan.Imm(unix.O_RDONLY)).Into(plan.Mount)
	l.Call(unix.SYS_READ, plan.Value(plan.Mount), buf, plan.Imm(255))
	l.Call(unix.SYS_CLOSE, plan.Value(plan.Mount))
	l.Call(unix.SYS_WRITE, plan.Value(s.to), buf, plan.Imm(64))
	l.Call(unix.SYS_CLOSE, plan.Value(s.to))
}

// PRP-07: --no-pivot.
func TestNoPivot(t *testing.T) {
	hooks := &specs.Hooks{CreateContainer: []specs.Hook{{Path: "/bin/true"}}}
	for name, hooks := range map[string]*specs.Hooks{"on the root": nil, "at its path": hooks} {
		for _, k := range kinds {
			t.Run(name+" "+k.name, func(t *testing.T) {
				b := newBox(t, k)
				b.host.NoPivot, b.spec.Hooks = true, hooks
				b.write("mark", "image\n")
				b.up()
				if got := b.read("/mark"); got != "image\n" {
					t.Errorf("/mark holds %q", got)
				}
				b.checkMasks()
				b.checkForeignMounts()
			})
		}
	}
}

// HKW-03: a createContainer hook sees the root at its path, with all mounts.
func TestRootAtItsPath(t *testing.T) {
	b := newBox(t, kinds[0])
	b.spec.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{{Path: "/bin/true"}}}
	p, err := rootfs.Compile(b.spec, b.host)
	must(t, err)
	b.start()
	for _, phase := range p.Rootfs {
		must(t, b.run(phase))
	}
	if m := b.at(filepath.Join(b.host.Root, "proc")); m.fstype != "proc" {
		t.Errorf("%+v", m)
	}
	must(t, b.run(p.Pivot))
	b.checkNodes()
	b.checkForeignMounts()
}
