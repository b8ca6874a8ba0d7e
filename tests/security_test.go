package tests

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// readKeys shows the container's keys, which the usual configuration masks.
func readKeys() edit {
	return func(s *specs.Spec) {
		s.Linux.MaskedPaths = nil
		s.Process.Args = []string{"/bin/cat", "/proc/keys"}
	}
}

// callerKeyring gives what this test starts a session keyring of a known name. The test's thread ends with it.
func callerKeyring(t *testing.T, name string) {
	t.Helper()
	runtime.LockOSThread()
	if _, err := unix.KeyctlJoinSessionKeyring(name); err != nil {
		t.Fatal(err)
	}
}

// LSM-07 LSM-08
func TestSessionKeyring(t *testing.T) {
	r := newRuntime(t)
	callers := "_ses.caller-" + suite.mark
	callerKeyring(t, callers)
	for name, c := range map[string]struct {
		flags []string
		edits []edit
		own   bool
	}{
		"new":            {nil, nil, true},
		"the caller's":   {[]string{"--no-new-keyring"}, nil, false},
		"user namespace": {nil, []edit{userNamespace()}, true},
	} {
		// A user who owns neither of them sees the one that is joined.
		b := newBundle(t, append(c.edits, user(1000, 1000), readKeys())...)
		line := r.runLine(b, c.flags...)
		keys := r.succeed(call{args: line}).stdout
		// Permissions: everything for who possesses it, and its user may search for it.
		own := " 3f1b0000 "
		mine := "_ses." + line[len(line)-1] + ": empty"
		if has := strings.Contains(keys, own) && strings.Contains(keys, mine); has != c.own {
			t.Errorf("%s: a keyring of its own: %v\n%s", name, has, keys)
		}
		if has := strings.Contains(keys, callers+": "); has == c.own {
			t.Errorf("%s: the caller's keyring: %v\n%s", name, has, keys)
		}
	}
}

// LSM-07: an outer runtime's filter may forbid keys, or not know them.
func TestSessionKeyringForbidden(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/echo", "ran"))
	for _, errno := range []unix.Errno{unix.EPERM, unix.ENOSYS} {
		var res result
		done := make(chan struct{})
		go func() { // its thread ends with it: it never gets rid of the filter
			defer close(done)
			runtime.LockOSThread()
			if err := forbidKeys(errno); err != nil {
				t.Error(err)
				return
			}
			res = r.run(b)
		}()
		<-done
		if res.code != 0 || res.stdout != "ran\n" || !strings.Contains(res.stderr, "keyring") || !strings.Contains(res.stderr, errno.Error()) {
			t.Errorf("%v: exit %d, %q, %q", errno, res.code, res.stdout, res.stderr)
		}
	}
	res := r.run(b, "--no-new-keyring")
	if res.code != 0 || res.stderr != "" {
		t.Errorf("no new keyring: exit %d, %q", res.code, res.stderr)
	}
}

// forbidKeys loads a filter into the calling thread, under which keyctl fails.
func forbidKeys(errno unix.Errno) error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the system call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_KEYCTL, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, failed := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program)))
	if failed != 0 {
		return failed
	}
	return nil
}

// profiled is a process under an AppArmor profile.
func profiled(name string) edit { return proc(func(p *specs.Process) { p.ApparmorProfile = name }) }

// LSM-01 LSM-03: where AppArmor is enabled, the profile is the program's; elsewhere it is refused.
func TestAppArmor(t *testing.T) {
	r := newRuntime(t)
	name := "skep-test-" + suite.mark
	edits := []edit{profiled(name), args("/bin/sh", "-c", "cat /proc/self/attr/current; cat /etc/passwd || echo denied")}
	if enabled, _ := os.ReadFile("/sys/module/apparmor/parameters/enabled"); !strings.HasPrefix(string(enabled), "Y") {
		r.fails("process.apparmorProfile: AppArmor is not enabled", r.runLine(newBundle(t, edits...))...)
		return
	}
	// podman looks for the path in backquotes.
	r.fails("write exec "+name+" to `/proc/thread-self/attr/apparmor/exec`: ", r.runLine(newBundle(t, edits...))...)
	profile := "profile " + name + " flags=(attach_disconnected,mediate_deleted) { file, capability, signal, network, deny /etc/passwd r, }"
	parser(t, "--add", profile)
	t.Cleanup(func() { parser(t, "--remove", profile) })
	for kind, more := range map[string][]edit{
		"root": nil, "user": {user(1000, 1000)}, "user namespace": {userNamespace()},
		"new privileges": {proc(func(p *specs.Process) { p.NoNewPrivileges = false })},
		"with a sysctl":  {linux(func(l *specs.Linux) { l.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"} })},
	} {
		b := newBundle(t, append(more, edits...)...)
		res := r.run(b)
		if res.code != 0 || res.stdout != name+" (enforce)\ndenied\n" {
			t.Errorf("%s: exit %d, %q, %s", kind, res.code, res.stdout, res.stderr)
		}
	}
}

func parser(t *testing.T, action, profile string) {
	t.Helper()
	cmd := exec.Command("apparmor_parser", action)
	cmd.Stdin = strings.NewReader(profile)
	if out, err := childOutput(cmd); err != nil {
		t.Fatalf("apparmor_parser %s: %v\n%s", action, err, out)
	}
}

// LSM-05: labels on a host without SELinux.
func TestSELinuxOff(t *testing.T) {
	if _, err := os.Stat("/sys/fs/selinux/enforce"); err == nil {
		t.Fatal("this test is for a host without SELinux")
	}
	r := newRuntime(t)
	b := newBundle(t, proc(func(p *specs.Process) { p.SelinuxLabel = "system_u:system_r:container_t:s0" }))
	r.fails("process.selinuxLabel: SELinux is not enabled", r.runLine(b)...)
	b = newBundle(t, linux(func(l *specs.Linux) { l.MountLabel = "system_u:object_r:container_file_t:s0" }))
	r.fails("linux.mountLabel: SELinux is not enabled", r.runLine(b)...)
}

// PROC-22 LSM-02 LSM-05 LSM-06 LSM-07: what would be labelled where there is SELinux, and through which files.
func TestSELinuxPlan(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, func(s *specs.Spec) {
		s.Process.SelinuxLabel, s.Linux.MountLabel = "system_u:system_r:container_t:s0:c1,c2", "system_u:object_r:container_file_t:s0:c1,c2"
	})
	out := r.ok("plan", "--bundle", b.dir).stdout
	for _, line := range []string{
		"new proc nosuid nodev noexec → procfs", // not the one that the image or the configuration has
		"write system_u:system_r:container_t:s0:c1,c2 to `/proc/thread-self/attr/exec`",
		"write system_u:system_r:container_t:s0:c1,c2 to `/proc/thread-self/attr/keycreate`",
		"new tmpfs mode=1777 size=65536k context=system_u:object_r:container_file_t:s0:c1,c2 nosuid nodev noexec",
		"label mount system_u:object_r:container_file_t:s0:c1,c2",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("no %q in\n%s", line, out)
		}
	}
	if keycreate, keyring := strings.Index(out, "attr/keycreate"), strings.Index(out, "join the session keyring"); keycreate < 0 || keyring < keycreate {
		t.Error("the keyring is made before its label is known")
	}
}

// FD-02 FD-04: descriptors of both kinds, in their order, and what the program is told of them.
func TestListenFdsAndMore(t *testing.T) {
	r := newRuntime(t)
	dir := tempDir(t)
	var files []*os.File
	for i := range 4 {
		f := createFile(t, dir+"/"+strconv.Itoa(3+i))
		defer f.Close()
		files = append(files, f)
	}
	script := "echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES; for i in 3 4 5; do eval \"echo $i >&$i\"; done; ls /proc/$$/fd; true"
	activate := []string{"/bin/sh", "-c", `export LISTEN_FDS=2 LISTEN_PID=$$ LISTEN_FDNAMES=a:b; exec "$@"`, "sh"}
	for name, more := range map[string][]edit{"root": nil, "user namespace": {userNamespace()}, "user": {user(1000, 1000)}} {
		b := newBundle(t, append(more, args("/bin/sh", "-c", script))...)
		line := r.runLine(b, "--preserve-fds", "1")
		res := r.succeed(call{args: line, wrap: activate, extra: files})
		wantLines(t, res.stdout, "2 1 a:b", "0", "1", "2", "3", "4", "5")
		for fd := 3; fd < 6; fd++ {
			if got, want := readFile(t, files[fd-3].Name()), strconv.Itoa(fd)+"\n"; !strings.HasSuffix(got, want) {
				t.Errorf("%s: %s holds %q", name, files[fd-3].Name(), got)
			}
		}
	}
	if got := readFile(t, files[3].Name()); got != "" {
		t.Errorf("a descriptor that nobody asked for holds %q", got)
	}
}

// FD-02 FD-04
func TestPreserveFdsRefused(t *testing.T) {
	r := newRuntime(t)
	file := createFile(t, tempDir(t)+"/file")
	defer file.Close()
	b := newBundle(t, args("/bin/sh", "-c", "echo none:$LISTEN_FDS; ls /proc/$$/fd; true"))
	one := []*os.File{file}
	r.refuse(call{args: r.runLine(b, "--preserve-fds", "2"), extra: one}, "preserve", "descriptor 4 is not open")
	r.refuse(call{args: r.runLine(b, "--preserve-fds=-1"), extra: one}, "--preserve-fds -1")
	own := []string{"/bin/sh", "-c", `export LISTEN_FDS=2 LISTEN_PID=$$; exec "$@"`, "sh"}
	r.refuse(call{args: r.runLine(b), wrap: own, extra: one}, "descriptor 4 is not open")
	many := make([]*os.File, 40)
	for i := range many {
		many[i] = file
	}
	r.refuse(call{args: r.runLine(b, "--preserve-fds", "40"), extra: many}, "40 descriptors", "at most")
	// Meant for somebody else, who left them open.
	res := r.succeed(call{args: r.runLine(b), env: []string{"LISTEN_FDS=1", "LISTEN_PID=1"}, extra: one})
	wantLines(t, res.stdout, "none:", "0", "1", "2")
}
