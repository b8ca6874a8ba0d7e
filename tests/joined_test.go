package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

var hostIDs = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100_000, Size: 65_536}}

// bindNamespace keeps a namespace by a bind mount, as ip-netns(8) does.
func bindNamespace(t *testing.T, pid int, file, name string) string {
	t.Helper()
	path := filepath.Join(tempDir(t), name)
	writeFile(t, path, "")
	if err := unix.Mount(procPath(pid, "ns/"+file), path, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return path
}

func wantJoined(t *testing.T, c *container, pid int, files ...string) {
	t.Helper()
	for _, file := range files {
		if namespaceOf(t, c.pid, file) != namespaceOf(t, pid, file) {
			t.Errorf("%s: the container is not in the namespace of its path", file)
		}
	}
}

// NS-18 NS-19: a bind-mounted namespace, under a name with a comma.
func TestNamespaceBindMounted(t *testing.T) {
	r := newRuntime(t)
	pid := holder(t, unix.CLONE_NEWNET, nil)
	c := r.runDetached(newBundle(t, namespace(specs.NetworkNamespace, bindNamespace(t, pid, "net", "a,b net:c"))))
	wantJoined(t, c, pid, "net")
	c.delete("--force")
}

// NS-16: a joined pid namespace costs no second process in the cgroup, init is the runtime's child, not the holder's,
// and SIGKILL ends what init leaves behind in a namespace that outlives it.
func TestPidNamespaceJoined(t *testing.T) {
	r := newRuntime(t)
	pid := holder(t, unix.CLONE_NEWPID, nil)
	join := namespace(specs.PIDNamespace, procPath(pid, "ns/pid"))
	b := newBundle(t, join, args("/bin/sh", "-c", "exec sleep 1000"), resources(func(res *specs.LinuxResources) {
		res.Pids = &specs.LinuxPids{Limit: ptr(int64(1))}
	}))
	c := r.create(b)
	wantJoined(t, c, pid, "pid")
	if got := readFile(t, filepath.Join(cgroupDir(t, "pids", b.cgroup), "pids.current")); got != "1\n" {
		t.Errorf("%s processes in the cgroup", got)
	}
	if got := statusFields(readFile(t, procPath(c.pid, "status")))["NSpid"]; len(strings.Fields(got)) != 2 {
		t.Errorf("NSpid is %q", got)
	}
	c.start()
	c.stop()
	c.delete()

	c = r.runDetached(newBundle(t, join, args("/bin/sh", "-c", "sleep 1000 & sleep 1000")))
	eventually(t, "a second process", func() bool {
		return strings.Count(readFile(t, filepath.Join(cgroupDir(t, "pids", c.bundle.cgroup), "cgroup.procs")), "\n") == 2
	})
	c.stop()
	c.delete()

	// The exit status is that of init, which is not the process that was cloned.
	if res := r.run(newBundle(t, join, args("/bin/sh", "-c", "exit 7"))); res.code != 7 || res.stderr != "" {
		t.Errorf("exit %d, %s", res.code, res.stderr)
	}
}

// NS-16: the namespace still has a path, but nobody can be born there.
func TestPidNamespaceDead(t *testing.T) {
	r := newRuntime(t)
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	if err := startChild(cmd); err != nil {
		t.Fatal(err)
	}
	path := bindNamespace(t, cmd.Process.Pid, "pid", "pid")
	_ = cmd.Process.Kill()
	_ = waitChild(cmd)
	r.refuse(call{args: []string{"create", "--bundle", newBundle(t, namespace(specs.PIDNamespace, path)).dir, r.id()}},
		"linux.namespaces[", path, "first process of the pid namespace")
}

// NS-15: a new user namespace with namespaces of others, and a joined one with namespaces that it does not own.
func TestNamespaceOwners(t *testing.T) {
	net := holder(t, unix.CLONE_NEWNET|unix.CLONE_NEWUTS, nil)
	user := holder(t, unix.CLONE_NEWUSER|unix.CLONE_NEWIPC, hostIDs)
	foreign := []edit{
		namespace(specs.NetworkNamespace, procPath(net, "ns/net")), namespace(specs.UTSNamespace, procPath(net, "ns/uts")),
		func(s *specs.Spec) { s.Hostname = "" }, args("/bin/sh", "-c", "id -u; ls /sys >/dev/null && sleep 1000"),
	}
	for name, edits := range map[string][]edit{
		"new":    append([]edit{userNamespace()}, foreign...),
		"joined": append([]edit{namespace(specs.UserNamespace, procPath(user, "ns/user")), namespace(specs.IPCNamespace, procPath(user, "ns/ipc")), namespace(specs.TimeNamespace, "")}, foreign...),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRuntime(t)
			b := newBundle(t, edits...)
			b.chown(100_000, 100_000)
			c := r.runDetached(b)
			wantJoined(t, c, net, "net", "uts")
			if name == "joined" {
				wantJoined(t, c, user, "user", "ipc")
			}
			if namespaceOf(t, c.pid, "user") == namespaceOf(t, os.Getpid(), "user") {
				t.Error("the container is in the host's user namespace")
			}
			wantStatus(t, readFile(t, procPath(c.pid, "status")), map[string]string{"Uid": "100000 100000 100000 100000", "CapEff": defaultCaps, "CapInh": noCaps})
			eventually(t, "output", func() bool { return c.made.later(t) == "0\n" })
			for line := range strings.Lines(readFile(t, procPath(c.pid, "cgroup"))) {
				if !strings.HasSuffix(strings.TrimSpace(line), b.cgroup) {
					t.Errorf("not in its cgroup: %s", line)
				}
			}
			c.stop()
			c.delete()
		})
	}
}

// UIDM-05
func TestMappingsBesidesPath(t *testing.T) {
	r := newRuntime(t)
	pid := holder(t, unix.CLONE_NEWUSER, hostIDs)
	b := newBundle(t, userNamespace(), namespace(specs.UserNamespace, procPath(pid, "ns/user")), args("/bin/id", "-u"))
	b.chown(100_000, 100_000)
	res := r.run(b)
	if res.code != 0 || res.stdout != "0\n" || strings.Count(res.stderr, "warning") != 2 || !strings.Contains(res.stderr, "linux.uidMappings") {
		t.Errorf("exit %d, %q, %s", res.code, res.stdout, res.stderr)
	}
	b.spec.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 300_000, Size: 65_536}}
	b.save()
	r.refuse(call{args: []string{"create", "--bundle", b.dir, r.id()}}, "linux.gidMappings", procPath(pid, "ns/user"), "0 100000 65536")
}

// SYS-02 UTS-01: the host by a detour.
func TestOwnNamespaceByPath(t *testing.T) {
	r := newRuntime(t)
	for want, edits := range map[string][]edit{
		"net.ipv4.ip_forward": {namespace(specs.NetworkNamespace, procPath(os.Getpid(), "ns/net")), linux(func(l *specs.Linux) {
			l.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
		})},
		"hostname":           {namespace(specs.UTSNamespace, procPath(os.Getpid(), "ns/uts"))},
		"own user namespace": {namespace(specs.UserNamespace, procPath(os.Getpid(), "ns/user"))},
	} {
		r.fails(want, "create", "--bundle", newBundle(t, edits...).dir, r.id())
	}
	// Without such wishes there is no harm in it.
	r.output(newBundle(t, namespace(specs.NetworkNamespace, procPath(os.Getpid(), "ns/net")), args("/bin/true")))
}

// TIME-01 TIME-02: in a user namespace, with a pid namespace; and what the kernel does not take.
func TestTimeNamespaceOffsets(t *testing.T) {
	r := newRuntime(t)
	offsets := func(clock string, secs int64) edit {
		return linux(func(l *specs.Linux) { l.TimeOffsets = map[string]specs.LinuxTimeOffset{clock: {Secs: secs}} })
	}
	b := newBundle(t, userNamespace(), namespace(specs.TimeNamespace, ""), offsets("boottime", 200_000_000), args("/bin/sh", "-c", "echo $$; cut -c1-2 /proc/uptime"))
	b.chown(100_000, 100_000)
	wantLines(t, r.output(b), "1", "20")
	for clock, secs := range map[string]int64{"boottime": -1 << 40, "monotonic": 1 << 40} {
		b := newBundle(t, namespace(specs.TimeNamespace, ""), offsets(clock, secs))
		r.refuse(call{args: []string{"create", "--bundle", b.dir, r.id()}}, "linux.timeOffsets."+clock, itoa(uint64(max(secs, -secs))), "146 years")
	}
}

// NS-15: without privileges on the host a namespace can be joined from within the user namespace that owns it only.
func TestJoinedByUnprivileged(t *testing.T) {
	const nobody = 65_534
	r := newRuntime(t)
	user := &syscall.Credential{Uid: nobody, Gid: nobody}
	cmd := exec.Command("unshare", "--user", "--map-root-user", "--net", "sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	if err := startChild(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // gone already is as good
		_ = waitChild(cmd)     // always the kill
	})
	pid := cmd.Process.Pid
	eventually(t, "unshare is done", func() bool { return readFile(t, procPath(pid, "comm")) == "sleep\n" })
	b := newBundle(t, namespace(specs.UserNamespace, procPath(pid, "ns/user")), namespace(specs.NetworkNamespace, procPath(pid, "ns/net")),
		namespace(specs.TimeNamespace, ""), args("/bin/sh", "-c", "echo $$; id -u; cat /proc/self/uid_map; readlink /proc/self/ns/net; readlink /proc/self/ns/user"),
		func(s *specs.Spec) {
			s.Mounts[2].Options = s.Mounts[2].Options[:5] // without a gid that is not mapped
			s.Linux.Resources, s.Linux.CgroupsPath = nil, ""
		})
	b.chown(nobody, nobody)
	for _, dir := range []string{r.root, filepath.Dir(b.dir), b.dir} {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	out := r.succeed(call{args: r.runLine(b), user: user}).stdout
	wantLines(t, strings.Join(strings.Fields(out), "\n"), "1", "0", "0", "65534", "1", namespaceOf(t, pid, "net"), namespaceOf(t, pid, "user"))

	namespace(specs.NetworkNamespace, procPath(holder(t, unix.CLONE_NEWNET, nil), "ns/net"))(b.spec)
	b.save()
	r.refuse(call{args: []string{"create", "--bundle", b.dir, r.id()}, user: user}, "linux.namespaces[", "permission denied")
}
