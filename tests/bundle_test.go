package tests

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// edit changes a configuration.
type edit func(*specs.Spec)

// bundle is a bundle directory with the small root filesystem.
type bundle struct {
	t      *testing.T
	dir    string
	rootfs string
	cgroup string // where linux.cgroupsPath leads
	spec   *specs.Spec
}

func newBundle(t *testing.T, edits ...edit) bundle {
	t.Helper()
	spec := defaultSpec()
	spec.Linux.CgroupsPath = suite.driver.newPath()
	for _, e := range edits {
		e(spec)
	}
	b := bundle{t: t, dir: tempDir(t), cgroup: cgroupOf(spec.Linux.CgroupsPath), spec: spec}
	b.rootfs = filepath.Join(b.dir, "rootfs")
	if err := copyImage(b.rootfs); err != nil {
		t.Fatal(err)
	}
	b.save()
	return b
}

// save writes config.json again.
func (b bundle) save() {
	b.t.Helper()
	config, err := json.Marshal(b.spec)
	if err != nil {
		b.t.Fatal(err)
	}
	writeFile(b.t, b.config(), string(config))
}

func (b bundle) config() string { return filepath.Join(b.dir, "config.json") }

// write puts a file into the root filesystem.
func (b bundle) write(name, content string, mode os.FileMode) {
	b.t.Helper()
	path := filepath.Join(b.rootfs, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	writeFile(b.t, path, content)
	if err := os.Chmod(path, mode); err != nil {
		b.t.Fatal(err)
	}
}

// exists says whether a name is in the root filesystem, seen from the host.
func (b bundle) exists(name string) bool {
	_, err := os.Lstat(filepath.Join(b.rootfs, name))
	return err == nil
}

// chown gives the directories of the root filesystem to somebody. The files
// are links shared by all bundles and can be read by everybody.
func (b bundle) chown(uid, gid int) {
	b.t.Helper()
	err := filepath.WalkDir(b.rootfs, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			err = os.Lchown(path, uid, gid)
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// hostPrograms shows the container the host's programs and their libraries.
func hostPrograms() edit {
	return func(s *specs.Spec) {
		for _, dir := range []string{"/usr", "/lib", "/lib64"} {
			if _, err := os.Stat(dir); err == nil { // not every architecture has all of them
				s.Mounts = append(s.Mounts, specs.Mount{Destination: dir, Type: "bind", Source: dir, Options: []string{"bind", "ro"}})
			}
		}
	}
}

// copyImage copies the directories of the image; the files are hard links.
func copyImage(to string) error {
	return filepath.WalkDir(suite.image, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		dest := filepath.Join(to, strings.TrimPrefix(path, suite.image))
		if !e.IsDir() {
			return os.Link(path, dest)
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		return errors.Join(os.Mkdir(dest, 0o755), os.Chmod(dest, info.Mode()))
	})
}

// tempDir is a temporary directory that other users can reach into: the root
// of a user namespace is one. The testing package makes the parent 0700.
func tempDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	// Never through a hard link into the image.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func createFile(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// defaultSpec is close to what the spec command writes: no terminal, a
// writable root, a shell.
func defaultSpec() *specs.Spec {
	caps := []string{"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"}
	return &specs.Spec{
		Version:  "1.0.2",
		Hostname: "skep-test",
		Root:     &specs.Root{Path: "rootfs"},
		Process: &specs.Process{
			Args: []string{"/bin/sh", "-c", "sleep 1000"},
			Env:  []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"},
			Cwd:  "/",
			Capabilities: &specs.LinuxCapabilities{
				Bounding: caps, Effective: slices.Clone(caps), Permitted: slices.Clone(caps),
			},
			Rlimits:         []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Hard: 1024, Soft: 1024}},
			NoNewPrivileges: true,
		},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
			{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
			{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}},
		},
		Linux: &specs.Linux{
			Resources: &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}},
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.NetworkNamespace}, {Type: specs.IPCNamespace},
				{Type: specs.UTSNamespace}, {Type: specs.MountNamespace},
			},
			MaskedPaths: []string{
				"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
				"/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
			},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
}

// args replaces the program.
func args(args ...string) edit {
	return func(s *specs.Spec) { s.Process.Args = args }
}

// proc changes the process object.
func proc(change func(*specs.Process)) edit {
	return func(s *specs.Spec) { change(s.Process) }
}

// linux changes the linux object.
func linux(change func(*specs.Linux)) edit {
	return func(s *specs.Spec) { change(s.Linux) }
}

// resources changes linux.resources.
func resources(change func(*specs.LinuxResources)) edit {
	return func(s *specs.Spec) { change(s.Linux.Resources) }
}

// mounts appends mounts.
func mounts(m ...specs.Mount) edit {
	return func(s *specs.Spec) { s.Mounts = append(s.Mounts, m...) }
}

// capabilities sets all sets but inheritable and ambient.
func capabilities(names ...string) edit {
	return func(s *specs.Spec) {
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: names, Effective: names, Permitted: names}
	}
}

// without removes a namespace.
func without(kind specs.LinuxNamespaceType) edit {
	return func(s *specs.Spec) {
		s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == kind })
	}
}

// namespace lists a namespace, in place of one of the same type.
func namespace(kind specs.LinuxNamespaceType, path string) edit {
	return func(s *specs.Spec) {
		without(kind)(s)
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: kind, Path: path})
	}
}

func ptr[T any](v T) *T { return &v }
