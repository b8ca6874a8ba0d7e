package tests

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// HK-02: args are argv with argv[0]; without them it is the path. HK-14: the
// working directory is the bundle, inside the container its root. HK-15: no
// descriptor of the runtime leaks. Nor do its signals, its process group and
// its timer slack.
func TestHookProcess(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/true"))
	b.write("bin/self", "#!/bin/sh\necho $0 >/self\n", 0o755)
	self := filepath.Join(b.dir, "self.sh")
	writeFile(t, self, "#!/bin/sh\necho $0 >>"+b.rootfs+"/self\n")
	if err := os.Chmod(self, 0o755); err != nil {
		t.Fatal(err)
	}
	// createContainer sees the host's /proc, in which $$ is somebody else.
	const look = `; read pid name state parent group rest </proc/self/stat; tr '\0' ' ' </proc/$pid/cmdline; echo; pwd; ` +
		`(cd /proc/$pid/fd; echo *); echo $pid $group; ` +
		`grep -E 'Sig(Blk|Ign)' /proc/self/status; cat /proc/self/timerslack_ns`
	for _, l := range hookLists() {
		path := self
		if l.name == "startContainer" {
			path = "/bin/self"
		}
		addHooks(b, l, specs.Hook{Path: "/bin/sh", Args: []string{"ash", "-c", "exec >" + l.file(b, l.name) + look}}, specs.Hook{Path: path})
	}
	leak := createFile(t, filepath.Join(t.TempDir(), "leak"))
	r.succeed(call{args: r.runLine(b), extra: []*os.File{leak}, wrap: []string{"setpriv", "--nnp"}})
	slack := strings.TrimSpace(readFile(t, "/proc/self/timerslack_ns"))
	for _, l := range hookLists() {
		dir := b.dir
		if l.name == "startContainer" {
			dir = "/"
		}
		lines := strings.Split(strings.TrimSpace(readFile(t, filepath.Join(b.rootfs, l.name))), "\n")
		if len(lines) != 7 {
			t.Fatalf("%s: %q", l.name, lines)
		}
		if !strings.HasPrefix(lines[0], "ash -c ") || lines[1] != dir || lines[2] != "0 1 2" {
			t.Errorf("%s: command line, directory, descriptors: %q", l.name, lines[:3])
		}
		if pid, group, _ := strings.Cut(lines[3], " "); pid != group {
			t.Errorf("%s: process %s is in group %s", l.name, pid, group)
		}
		wantStatus(t, strings.Join(lines[4:6], "\n"), map[string]string{"SigBlk": "0000000000000000", "SigIgn": "0000000000000000"})
		if lines[6] != slack {
			t.Errorf("%s: timer slack %s, want %s", l.name, lines[6], slack)
		}
	}
	wantLines(t, readFile(t, filepath.Join(b.rootfs, "self")), "/bin/self", self, self)
}

// HK-03 HK-04
func TestHookEnvironment(t *testing.T) {
	r := newRuntime(t)
	environ := func(env []string) map[string]string {
		b := newBundle(t, args("/bin/true"), proc(func(p *specs.Process) { p.Env = []string{"PATH=/bin", "OF=program"} }))
		for _, l := range hookLists() {
			hook := shHook(`read pid rest </proc/self/stat; tr '\0' '\n' </proc/$pid/environ | sort >` + l.file(b, l.name))
			if l.name == "createContainer" { // no PATH when it has no environment
				hook.Args[2] = "export PATH=/usr/bin:/bin; " + hook.Args[2]
			}
			hook.Env = env
			addHooks(b, l, hook)
		}
		r.succeed(call{args: r.runLine(b), env: []string{"OF=caller"}})
		seen := make(map[string]string)
		for _, l := range hookLists() {
			seen[l.name] = strings.TrimSpace(readFile(t, filepath.Join(b.rootfs, l.name)))
		}
		return seen
	}
	for name, got := range environ([]string{"A=b c", "PATH=/usr/bin:/bin"}) {
		if got != "A=b c\nPATH=/usr/bin:/bin" {
			t.Errorf("%s: given an environment, has %q", name, got)
		}
	}
	for name, got := range environ(nil) {
		switch name {
		case "createContainer":
			if got != "" {
				t.Errorf("createContainer: has %q", got)
			}
		case "startContainer":
			wantLines(t, got, "OF=program", "PATH=/bin")
		default:
			if lines := strings.Split(got, "\n"); !slices.Contains(lines, "OF=caller") || slices.Contains(lines, "OF=program") {
				t.Errorf("%s: has %q", name, got)
			}
		}
	}
}

// HKW-01 HKW-02 HKW-03 HKW-04 HKW-09
func TestHookNamespaces(t *testing.T) {
	files := []string{"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"}
	look := "for n in " + strings.Join(files, " ") + "; do readlink /proc/self/ns/$n; done >"
	for _, user := range []bool{false, true} {
		r := newRuntime(t)
		b := newBundle(t, args("/bin/sleep", "1000"), namespace(specs.CgroupNamespace, ""))
		if user {
			userNamespace()(b.spec)
			b.chown(100_000, 100_000)
			b.save()
		}
		if err := unix.Chmod(b.rootfs, 0o777); err != nil {
			t.Fatal(err)
		}
		for _, l := range hookLists() {
			addHooks(b, l, shHook(look+l.file(b, l.name)))
		}
		c := r.runDetached(b)
		for _, l := range hookLists()[:5] {
			pid := os.Getpid()
			if l.inside {
				pid = c.pid
			}
			var want []string
			for _, f := range files {
				want = append(want, namespaceOf(t, pid, f))
			}
			if got := strings.Fields(readFile(t, filepath.Join(b.rootfs, l.name))); !slices.Equal(got, want) {
				t.Errorf("%s, user namespace %v: in %v, want %v", l.name, user, got, want)
			}
		}
		c.delete("--force")
	}
}

// Hooks inside follow the container into the namespaces of others, too.
func TestHookNamespacesJoined(t *testing.T) {
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100_000, Size: 65_536}}
	for name, kinds := range map[string][]specs.LinuxNamespaceType{
		"pid":  {specs.NetworkNamespace, specs.PIDNamespace, specs.TimeNamespace},
		"user": {specs.UserNamespace, specs.NetworkNamespace, specs.IPCNamespace},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRuntime(t)
			b := newBundle(t, args("/bin/sleep", "1000"))
			var pid int
			if name == "user" {
				pid = holder(t, unix.CLONE_NEWUSER|unix.CLONE_NEWNET|unix.CLONE_NEWIPC, ids)
				b.chown(100_000, 100_000)
			} else {
				pid = holder(t, unix.CLONE_NEWNET|unix.CLONE_NEWPID, nil)
			}
			for _, kind := range kinds {
				path := procPath(pid, "ns/"+namespaceFiles[kind])
				if kind == specs.TimeNamespace {
					path = ""
				}
				namespace(kind, path)(b.spec)
			}
			if err := unix.Chmod(b.rootfs, 0o777); err != nil {
				t.Fatal(err)
			}
			for _, l := range hookLists()[2:4] {
				addHooks(b, l, shHook("for n in cgroup ipc mnt net pid time user uts; do readlink /proc/self/ns/$n; done >"+l.file(b, l.name)))
			}
			c := r.runDetached(b)
			var want []string
			for _, f := range []string{"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"} {
				want = append(want, namespaceOf(t, c.pid, f))
			}
			for _, l := range hookLists()[2:4] {
				if got := strings.Fields(readFile(t, filepath.Join(b.rootfs, l.name))); !slices.Equal(got, want) {
					t.Errorf("%s: in %v, want %v", l.name, got, want)
				}
			}
			c.stop()
			c.delete()
		})
	}
}

// HKW-03: the path is the host's, and the host's tree is in sight beside the
// container's mounts. HKW-04: the path is the image's. HKW-09: both are in the
// container's cgroups.
func TestHookSight(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/true"))
	tool := filepath.Join(b.dir, "tool.sh")
	writeFile(t, tool, "#!/bin/sh\nset -e\ntest -e "+b.config()+"\ntest -e "+b.rootfs+"/proc/self/status\ncat /proc/self/cgroup >"+b.rootfs+"/groups\n")
	if err := os.Chmod(tool, 0o755); err != nil {
		t.Fatal(err)
	}
	b.write("only/here", "#!/bin/sh\nset -e\ntest ! -e "+b.config()+"\ncat /proc/self/cgroup >>/groups\nhostname >/name\n", 0o755)
	lists := hookLists()
	addHooks(b, lists[2], specs.Hook{Path: tool})
	addHooks(b, lists[3], specs.Hook{Path: "/only/here"})
	r.output(b)
	wantLines(t, readFile(t, b.rootfs+"/name"), "skep-test")
	groups := strings.Split(strings.TrimSpace(readFile(t, b.rootfs+"/groups")), "\n")
	for _, line := range groups {
		if !strings.HasSuffix(line, ":"+b.cgroup) {
			t.Errorf("a hook is in %s", line)
		}
	}
	if len(groups) != 2*len(suite.cgroups) {
		t.Errorf("%d lines of cgroups for two hooks and %d hierarchies", len(groups), len(suite.cgroups))
	}
}

// A hook whose program is the image's is root in the container and no more.
func TestStartContainerPrivileges(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, user(1000, 1000), args("/bin/true"), linux(func(l *specs.Linux) {
		l.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"chroot"}, Action: specs.ActErrno, ErrnoRet: ptr(uint(unix.EXDEV))},
		}}
	}))
	addHooks(b, hookLists()[3], shHook("cat /proc/self/status >/status; chroot / /bin/true 2>/chroot; true"))
	r.output(b)
	if got := readFile(t, b.rootfs+"/chroot"); !strings.Contains(got, "nvalid cross-device link") {
		t.Errorf("the filter is not there: chroot says %q", got)
	}
	wantStatus(t, readFile(t, b.rootfs+"/status"), map[string]string{
		"Uid": "0 0 0 0", "CapBnd": defaultCaps, "CapEff": defaultCaps, "CapPrm": defaultCaps, "CapInh": noCaps, "CapAmb": noCaps,
		"NoNewPrivs": "1", "Seccomp": "2",
	})
}

// An unprivileged user has hooks too: those inside run as root of the user
// namespace.
func TestHooksRootless(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/true"), userNamespace(), func(s *specs.Spec) {
		ids := []specs.LinuxIDMapping{{HostID: 65_534, Size: 1}}
		s.Linux.UIDMappings, s.Linux.GIDMappings = ids, ids
		s.Linux.CgroupsPath, s.Linux.Resources = "", nil
		s.Mounts = s.Mounts[:1] // no devpts for a group that is not mapped, no cgroup
	})
	b.chown(65_534, 65_534)
	for _, dir := range []string{b.dir, r.root} {
		if err := os.Chown(dir, 65_534, 65_534); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range hookLists() {
		addHooks(b, l, shHook("id -u >"+l.file(b, l.name)))
	}
	r.succeed(call{args: r.runLine(b), user: &syscall.Credential{Uid: 65_534, Gid: 65_534}})
	for _, l := range hookLists() {
		want := "65534"
		if l.inside {
			want = "0"
		}
		wantLines(t, readFile(t, filepath.Join(b.rootfs, l.name)), want)
	}
}
