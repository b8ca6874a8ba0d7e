package tests

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func itoa[N int | uint64](n N) string { return fmt.Sprint(n) }

// namespaceFiles maps the types of the specification to /proc/PID/ns.
var namespaceFiles = map[specs.LinuxNamespaceType]string{
	specs.PIDNamespace: "pid", specs.NetworkNamespace: "net", specs.MountNamespace: "mnt", specs.IPCNamespace: "ipc",
	specs.UTSNamespace: "uts", specs.CgroupNamespace: "cgroup", specs.TimeNamespace: "time", specs.UserNamespace: "user",
}

// NS-01 NS-02 NS-03 NS-04 NS-05 NS-07 NS-08 NS-11 NS-12
func TestNamespacesNewAndInherited(t *testing.T) {
	r := newRuntime(t)
	for kind, file := range namespaceFiles {
		if kind == specs.UserNamespace {
			continue // needs mappings: TestUserNamespace
		}
		c := r.runDetached(newBundle(t, namespace(kind, "")))
		if namespaceOf(t, c.pid, file) == namespaceOf(t, os.Getpid(), file) {
			t.Errorf("%s: listed, but the container is in the host's", kind)
		}
		c.delete("--force")
		if kind == specs.MountNamespace {
			continue // TestHostMountNamespace
		}
		// Without what only its own namespaces allow.
		c = r.runDetached(newBundle(t, without(kind), func(s *specs.Spec) {
			if kind == specs.UTSNamespace {
				s.Hostname = ""
			}
		}))
		if namespaceOf(t, c.pid, file) != namespaceOf(t, os.Getpid(), file) {
			t.Errorf("%s: not listed, but the container has its own", kind)
		}
		c.delete("--force")
	}
}

// holder starts a process that holds new namespaces for others to join.
func holder(t *testing.T, flags uintptr, ids []syscall.SysProcIDMap) int {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, UidMappings: ids, GidMappings: ids}
	if err := startChild(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // gone already is as good
		_ = waitChild(cmd)     // always the kill
	})
	return cmd.Process.Pid
}

// NS-09 NS-16 NS-18
func TestNamespacesJoined(t *testing.T) {
	r := newRuntime(t)
	pid := holder(t, unix.CLONE_NEWNET|unix.CLONE_NEWIPC|unix.CLONE_NEWUTS|unix.CLONE_NEWPID|unix.CLONE_NEWCGROUP, nil)
	var edits []edit
	kinds := []specs.LinuxNamespaceType{
		specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.PIDNamespace, specs.CgroupNamespace,
	}
	for _, kind := range kinds {
		edits = append(edits, namespace(kind, procPath(pid, "ns/"+namespaceFiles[kind])))
	}
	c := r.runDetached(newBundle(t, edits...))
	for _, kind := range kinds {
		if namespaceOf(t, c.pid, namespaceFiles[kind]) != namespaceOf(t, pid, namespaceFiles[kind]) {
			t.Errorf("%s: the container is not in the namespace of its path", kind)
		}
	}
	// UTS-04: the host name is that of the joined namespace.
	host, err := childOutput(exec.Command("nsenter", "--target", itoa(pid), "--uts", "hostname"))
	if err != nil || host != "skep-test\n" {
		t.Errorf("its host name is %q, %v", host, err)
	}
	// The namespaces are somebody else's and outlive the container.
	c.stop()
	c.delete()
	if err := unix.Kill(pid, 0); err != nil {
		t.Error(err)
	}
}

// NS-10 NS-09
func TestNamespacePathErrors(t *testing.T) {
	r := newRuntime(t)
	pid := holder(t, unix.CLONE_NEWUTS, nil)
	for path, want := range map[string]string{
		procPath(pid, "ns/uts"): "/ns/uts is a uts namespace, not a network one", "/proc/self/nosuch": "open /proc/self/nosuch: no such file or directory",
		"/etc/passwd": "/etc/passwd is not a namespace, let alone a network one", "proc/self/ns/net": `"proc/self/ns/net" is not an absolute path`,
	} {
		b := newBundle(t, namespace(specs.NetworkNamespace, path))
		r.fails(want, "create", "--bundle", b.dir, r.id())
	}
}

// NS-17
func TestLoopbackIsUp(t *testing.T) {
	r := newRuntime(t)
	out := r.sh("ip -o link; ip -o -4 address")
	if !strings.Contains(out, "LOOPBACK,UP") || !strings.Contains(out, "127.0.0.1/8") || strings.Contains(out, "eth0") {
		t.Errorf("ip says %s", out)
	}
}

// NS-01
func TestPidNamespace(t *testing.T) {
	r := newRuntime(t)
	wantLines(t, r.sh("echo $$; ls -d /proc/[0-9]*"), "1", "/proc/1")
}

// NS-07
func TestCgroupNamespace(t *testing.T) {
	r := newRuntime(t)
	out := r.sh("cat /proc/self/cgroup", namespace(specs.CgroupNamespace, ""))
	for line := range strings.Lines(out) {
		if path := strings.TrimSpace(line[strings.LastIndex(line, ":"):]); path != ":/" {
			t.Errorf("in a cgroup namespace: %s", line)
		}
	}
}

// TIME-01 TIME-02
func TestTimeNamespace(t *testing.T) {
	r := newRuntime(t)
	out := r.sh("cat /proc/self/timens_offsets; cut -d. -f1 /proc/uptime", namespace(specs.TimeNamespace, ""), linux(func(l *specs.Linux) {
		l.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 1000, Nanosecs: 5}, "boottime": {Secs: 100_000_000}}
	}))
	lines := strings.Split(out, "\n")
	wantLines(t, strings.Join(strings.Fields(lines[0]), " ")+"\n"+strings.Join(strings.Fields(lines[1]), " "), "monotonic 1000 5", "boottime 100000000 0")
	if len(lines[2]) < 9 {
		t.Errorf("the uptime is %s s", lines[2])
	}
}

// userNamespace maps the container's ids 0–65535 to the host's from 100000.
func userNamespace() edit {
	return func(s *specs.Spec) {
		namespace(specs.UserNamespace, "")(s)
		ids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100_000, Size: 65_536}}
		s.Linux.UIDMappings, s.Linux.GIDMappings = ids, ids
	}
}

// NS-06 UIDM-01 UIDM-02 USR-01
func TestUserNamespace(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, userNamespace(), args("/bin/sh", "-c", "id -u; id -g; echo >/made; stat -c %u /made /bin; sleep 1000"))
	b.chown(100_000, 100_000)
	c := r.create(b)
	if namespaceOf(t, c.pid, "user") == namespaceOf(t, os.Getpid(), "user") {
		t.Error("the container is in the host's user namespace")
	}
	for _, file := range []string{"uid_map", "gid_map"} {
		wantLines(t, strings.Join(strings.Fields(readFile(t, procPath(c.pid, file))), " "), "0 100000 65536")
	}
	c.start()
	eventually(t, "output", func() bool { return strings.Count(c.made.later(t), "\n") == 4 })
	wantLines(t, c.made.later(t), "0", "0", "0", "0")
	wantStatus(t, readFile(t, procPath(c.pid, "status")), map[string]string{
		"Uid": "100000 100000 100000 100000", "Gid": "100000 100000 100000 100000", "CapEff": defaultCaps, "CapInh": noCaps,
	})
	var st unix.Stat_t
	if err := unix.Stat(b.rootfs+"/made", &st); err != nil || st.Uid != 100_000 {
		t.Errorf("a file of the container belongs to %d; %v", st.Uid, err)
	}
	if err := unix.Stat(b.rootfs+"/bin/busybox", &st); err != nil || st.Uid != 0 {
		t.Errorf("the owner of a file changed to %d; %v", st.Uid, err)
	}
	c.stop()
	c.delete()
}

// USR-01 USR-05: another user, in groups, with what the kernel keeps root-only.
func TestUserNamespaceUser(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, userNamespace(), user(1000, 1000, 5, 6), args("/bin/sh", "-c", "id -u; id -G; echo ok >/dev/null; stat -c %t,%T /dev/null"))
	b.chown(100_000, 100_000)
	wantLines(t, r.output(b), "1000", "1000 5 6", "1,3")
	b.spec.Process.User.UID = 70_000
	b.save()
	r.fails("70000", "create", "--bundle", b.dir, r.id())
}

// UIDM-06: as many mappings as the kernel takes.
func TestUserNamespaceMappings(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, userNamespace(), args("/bin/sh", "-c", "wc -l </proc/self/uid_map"), func(s *specs.Spec) {
		s.Linux.UIDMappings = nil
		for i := range uint32(340) {
			s.Linux.UIDMappings = append(s.Linux.UIDMappings, specs.LinuxIDMapping{ContainerID: i, HostID: 1000 + i, Size: 1})
		}
	})
	b.chown(1000, 100_000)
	wantLines(t, r.output(b), "340")
	b.spec.Linux.UIDMappings = append(b.spec.Linux.UIDMappings, specs.LinuxIDMapping{ContainerID: 340, HostID: 1340, Size: 1})
	b.save()
	r.fails("linux.uidMappings: 341 mappings are more than the kernel takes", "create", "--bundle", b.dir, r.id())
}

// UIDM-08: root need not be mapped.
func TestUserNamespaceWithoutRoot(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, userNamespace(), user(1000, 1000), args("/bin/id", "-u"), func(s *specs.Spec) {
		ids := []specs.LinuxIDMapping{{ContainerID: 1000, HostID: 101_000, Size: 1}}
		s.Linux.UIDMappings, s.Linux.GIDMappings = ids, ids
		// Nothing can be made in a filesystem by a root that is not mapped.
		s.Mounts = append(s.Mounts[:1], specs.Mount{Destination: "/dev", Source: "/dev", Options: []string{"rbind"}})
		s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil
	})
	if res := r.run(b); res.code != 0 || res.stdout != "1000\n" {
		t.Errorf("exit %d, %q %s", res.code, res.stdout, res.stderr)
	}
}

// NS-15: a joined user namespace, and a network namespace that it owns.
func TestUserNamespaceJoined(t *testing.T) {
	r := newRuntime(t)
	pid := holder(t, unix.CLONE_NEWUSER|unix.CLONE_NEWNET, []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100_000, Size: 65_536}})
	b := newBundle(t, namespace(specs.UserNamespace, procPath(pid, "ns/user")), namespace(specs.NetworkNamespace, procPath(pid, "ns/net")))
	b.chown(100_000, 100_000)
	c := r.runDetached(b)
	for _, file := range []string{"user", "net"} {
		if namespaceOf(t, c.pid, file) != namespaceOf(t, pid, file) {
			t.Errorf("%s: not joined", file)
		}
	}
	c.stop()
	c.delete()
}
