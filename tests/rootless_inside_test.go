package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// MOPT-48 DEV-11 SEC-17: what a user mounts, with the flags of the host's
// mounts kept.
func TestRootlessMounts(t *testing.T) {
	r, a := newRootless(t)
	source := filepath.Join(tempDir(t), "source")
	for _, dir := range []string{"", "lower", "upper", "work"} {
		path := filepath.Join(source, dir)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		a.own(t, path)
	}
	writeFile(t, filepath.Join(source, "lower/file"), "lower\n")
	a.own(t, filepath.Join(source, "lower/file"))
	overlay := specs.Mount{Destination: "/over", Type: "overlay", Source: "overlay", Options: []string{
		"userxattr", "lowerdir=" + source + "/lower", "upperdir=" + source + "/upper", "workdir=" + source + "/work",
	}}
	b := a.bundle(t, mounts(
		specs.Mount{Destination: "/data", Type: "bind", Source: source, Options: []string{"bind", "nosuid"}},
		specs.Mount{Destination: "/ro", Type: "bind", Source: source, Options: []string{"rbind", "ro"}},
		specs.Mount{Destination: "/hostproc", Type: "bind", Source: "/proc", Options: []string{"rbind", "ro"}},
		specs.Mount{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs", Options: []string{"mode=1777", "uid=1000"}}, overlay,
	), linux(func(l *specs.Linux) {
		l.MaskedPaths, l.ReadonlyPaths = append(l.MaskedPaths, "/etc/group"), append(l.ReadonlyPaths, "/etc/passwd")
		l.Sysctl = map[string]string{"net.ipv4.ip_unprivileged_port_start": "80"}
	}), args("/bin/sh", "-c", strings.Join([]string{
		"echo new >/data/made", "(echo x >/ro/made) 2>/dev/null || echo read-only", "cat /ro/made",
		"cat /over/file", "echo upper >/over/file", "stat -c %a:%u /tmp", "wc -c </etc/group",
		"(echo x >>/etc/passwd) 2>/dev/null || echo protected", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start",
		"cat /proc/self/mountinfo",
	}, "; ")))
	out := r.output(b)
	lines, table, _ := strings.Cut(out, "\n80\n")
	wantLines(t, lines, "read-only", "new", "lower", "1777:1000", "0", "protected")
	if m := mustMountAt(t, table, "/data"); !has(m.options, "nosuid") || !has(m.options, "rw") {
		t.Errorf("/data: %+v", m)
	}
	wantLines(t, readFile(t, filepath.Join(source, "upper/file")), "upper")

	// The procfs of the host is nosuid, nodev and noexec wherever systemd or a sandbox has mounted it.
	host, _ := mountAt(readFile(t, "/proc/self/mountinfo"), "/proc")
	inside := mustMountAt(t, table, "/hostproc")
	for _, flag := range []string{"nosuid", "nodev", "noexec"} {
		if has(host.options, flag) != has(inside.options, flag) {
			t.Errorf("%s: the host's /proc is %s, its bind mount %s", flag, host.options, inside.options)
		}
	}
}

// lockedMount is a mount of the host that is nosuid and nodev.
func lockedMount(t *testing.T, a *account) string {
	t.Helper()
	if a.as == nil {
		return "/dev/shm" // as systemd mounts it
	}
	dir := tempDir(t)
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// MOPT-48: the error lists the flags that are asked to be cleared and locked,
// whoever clones the mount.
func TestRootlessLockedFlags(t *testing.T) {
	r, a := newRootless(t)
	source := lockedMount(t, a)
	want := []string{"mounts[7] /x", "suid", "dev", "not permitted", "the host's mount at " + source + " is nosuid nodev"}
	clear := mounts(specs.Mount{Destination: "/x", Type: "bind", Source: source, Options: []string{"bind", "suid", "dev"}})
	b := a.bundle(t, clear)
	r.refuse(call{args: []string{"create", "--bundle", b.dir, r.id()}}, want...)
	b = a.bundle(t, a.single, clear, func(s *specs.Spec) { s.Linux.UIDMappings, s.Linux.GIDMappings = ids(0, 0, 1), ids(0, 0, 1) })
	r.refuse(call{
		args: []string{"create", "--bundle", b.dir, r.id()}, wrap: []string{"unshare", "--user", "--map-root-user", "--mount"},
	}, want...)
}

// What is mounted below a source cannot be left out.
func TestRootlessBindNeedsAll(t *testing.T) {
	r, a := newRootless(t)
	b := a.bundle(t, mounts(specs.Mount{Destination: "/x", Type: "bind", Source: "/sys", Options: []string{"bind"}}))
	r.refuse(call{args: []string{"create", "--bundle", b.dir, r.id()}}, "mounts[7] /x", "/sys", "rbind")
}

// SYS-08: sysctls where the pid namespace is the host's, so that no procfs can be mounted.
func TestRootlessSharedPidNamespace(t *testing.T) {
	r, a := newRootless(t)
	b := a.bundle(t, bindProc, without(specs.PIDNamespace), linux(func(l *specs.Linux) {
		l.Sysctl = map[string]string{"net.ipv4.ip_unprivileged_port_start": "80", "kernel.msgmax": "4096"}
	}), args("/bin/sh", "-c", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax; readlink /proc/self/ns/pid"))
	create := []string{"create", "--bundle", b.dir, r.id()}
	if _, ok := a.delegate(r); !ok {
		r.refuse(call{args: create}, "pid namespace of its own") // for want of cgroups
	} else {
		wantLines(t, r.output(b), "80", "4096", namespaceOf(t, os.Getpid(), "pid"))
	}
	b.spec.Mounts[0] = specs.Mount{Destination: "/proc", Type: "proc", Source: "proc"}
	b.save()
	if _, ok := onlyV2(); ok {
		r.refuse(call{args: []string{"create", "--bundle", b.dir, r.id()}}, "mounts[0] /proc", "not permitted", "pid namespace of its own")
	}
}

// HKW-09 HK-15 SEC-19: hooks on the host run as the user, those in the
// container as its root; a filter needs no no_new_privs in a user namespace.
func TestRootlessHooks(t *testing.T) {
	r, a := newRootless(t)
	dir := tempDir(t)
	a.own(t, dir)
	hook := func(name string) []specs.Hook {
		return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "id -u > " + dir + "/" + name + "; cat /proc/self/uid_map | wc -l >> " + dir + "/" + name}, Env: []string{"PATH=/usr/bin:/bin"}}}
	}
	b := a.bundle(t, args("/bin/cat", "/started"), func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{
			CreateRuntime: hook("createRuntime"), CreateContainer: hook("createContainer"), Poststart: hook("poststart"), Poststop: hook("poststop"),
			StartContainer: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "id -u >/started"}}},
		}
		s.Process.NoNewPrivileges = false
		s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{
			Names: []string{"sync"}, Action: specs.ActErrno,
		}}}
	})
	wantLines(t, r.output(b), "0")
	user := itoa(uint64(a.uid))
	for name, want := range map[string][]string{
		"createRuntime": {user, "1"}, "createContainer": {"0", "2"}, "poststart": {user, "1"}, "poststop": {user, "1"},
	} {
		wantLines(t, readFile(t, filepath.Join(dir, name)), want...)
	}
}

// CLI-17: the example for a user runs as it is, on a terminal.
func TestRootlessSpec(t *testing.T) {
	r, a := newRootless(t)
	b := a.bundle(t)
	if err := os.Remove(b.config()); err != nil {
		t.Fatal(err)
	}
	r.ok("spec", "--rootless", "--bundle", b.dir)
	line := strings.Join(append([]string{r.binary, "--root", r.root}, r.runLine(b)...), " ")
	cmd := exec.Command("script", "--quiet", "--return", "--command", line, "/dev/null")
	cmd.Stdin = strings.NewReader("echo $((6*7)) $(id -u); exit 3\n")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.as}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := startChild(cmd); err != nil {
		t.Fatal(err)
	}
	_ = waitChild(cmd) // the exit status is looked at
	if code := cmd.ProcessState.ExitCode(); code != 3 || !strings.Contains(out.String(), "42 0") {
		t.Errorf("exit %d: %s", code, out.String())
	}
}
