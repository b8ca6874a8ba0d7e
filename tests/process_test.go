package tests

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func user(uid, gid uint32, more ...uint32) edit {
	return proc(func(p *specs.Process) { p.User = specs.User{UID: uid, GID: gid, AdditionalGids: more} })
}

// USR-01 USR-02 USR-05
func TestUser(t *testing.T) {
	r := newRuntime(t)
	const show = `grep -E '^(Uid|Gid|Groups):' /proc/self/status`
	for _, u := range []struct {
		edit             edit
		uid, gid, groups string
	}{
		{user(0, 0), "0", "0", ""},
		{user(1000, 100), "1000", "100", ""},
		{user(1234, 1234, 77, 4321), "1234", "1234", "77 4321"},
	} {
		four := func(id string) string { return strings.Repeat(id+" ", 3) + id }
		wantStatus(t, r.sh(show, u.edit), map[string]string{"Uid": four(u.uid), "Gid": four(u.gid), "Groups": u.groups})
	}
}

// USR-08: a pipe is the user's, a file and a device of the host are not.
func TestStreamsOwner(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, user(1000, 1000), args("/bin/stat", "-L", "-c", "%u:%g", "/proc/self/fd/0", "/proc/self/fd/1"))
	wantLines(t, r.succeed(call{args: r.runLine(b), stdin: "x"}).stdout, "1000:0", "0:0")
	b.spec.Process.Args = []string{"/bin/sh", "-c", "read x; echo $x; echo again >/dev/stdout"}
	b.save()
	echoed := []string{"/bin/sh", "-c", `"$@" | cat`, "sh"}
	wantLines(t, r.succeed(call{args: r.runLine(b), stdin: "said\n", wrap: echoed}).stdout, "said", "again")
	var before, after unix.Stat_t
	if err := unix.Stat("/dev/null", &before); err != nil {
		t.Fatal(err)
	}
	r.output(newBundle(t, user(1000, 1000), args("/bin/true")))
	if err := unix.Stat("/dev/null", &after); err != nil || before.Uid != after.Uid {
		t.Errorf("/dev/null belongs to %d, %v", after.Uid, err)
	}
}

// USR-03 USR-04 DEV-10
func TestUmask(t *testing.T) {
	r := newRuntime(t)
	strict := []string{"/bin/sh", "-c", `umask 077; exec "$@"`, "sh"}
	b := newBundle(t, args("/bin/sh", "-c", "umask; stat -c %a /dev/null /new/dir /new"), proc(func(p *specs.Process) { p.Cwd = "/new/dir" }))
	wantLines(t, r.succeed(call{args: r.runLine(b), wrap: strict}).stdout, "0022", "666", "755", "755")
	wantLines(t, r.sh("umask", proc(func(p *specs.Process) { p.User.Umask = ptr(uint32(0o27)) })), "0027")
}

// PROC-09 PROC-10 PROC-12
func TestEnvironment(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/cat", "/proc/self/environ"))
	b.spec.Process.Env = []string{"PATH=/bin", "A=1", "B=with = and blank", "A=2", "EMPTY=", "HOME=/custom"}
	b.save()
	res := r.succeed(call{args: r.runLine(b), env: []string{"HOST_VARIABLE=leak"}})
	got := strings.Split(strings.Trim(res.stdout, "\x00"), "\x00")
	// Whether the first A stays in the list is nobody's business; readers
	// of the environment must find the last.
	value := make(map[string]string)
	for _, e := range got {
		k, v, _ := strings.Cut(e, "=")
		value[k] = v
	}
	for k, want := range map[string]string{"PATH": "/bin", "A": "2", "B": "with = and blank", "EMPTY": "", "HOME": "/custom"} {
		if v, ok := value[k]; !ok || v != want {
			t.Errorf("%s is %q, want %q", k, v, want)
		}
	}
	if len(value) != 5 || slices.Contains(got, "A=1") {
		t.Errorf("environment: %q", got)
	}
}

// PROC-11: HOME is the container's affair, never the host's.
func TestHome(t *testing.T) {
	r := newRuntime(t)
	for _, h := range []struct {
		uid  uint32
		env  []string
		want string
	}{
		{0, nil, "/root"}, {1000, nil, "/home/user"}, {1000, []string{"HOME="}, "/home/user"},
		{4242, nil, "/"}, {0, []string{"HOME=/given"}, "/given"},
	} {
		got := r.sh("echo $HOME", user(h.uid, h.uid), proc(func(p *specs.Process) { p.Env = append(p.Env, h.env...) }))
		if got != h.want {
			t.Errorf("uid %d, env %v: HOME is %q, want %q", h.uid, h.env, got, h.want)
		}
	}
	b := newBundle(t, args("/bin/sh", "-c", "echo $HOME"))
	if err := os.Remove(b.rootfs + "/etc/passwd"); err != nil {
		t.Fatal(err)
	}
	if got := r.output(b); got != "/" {
		t.Errorf("without /etc/passwd: HOME is %q", got)
	}
}

// PROC-11: an /etc/passwd of the image that hangs a careless reader, and files of the kernel that only the host's root
// may read: /proc/kmsg does both, and takes the messages from the host.
func TestHomeOfOddFiles(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/sh", "-c", "echo $HOME"))
	b.link("/proc/kmsg", "etc/passwd")
	wantLines(t, r.output(b), "/")
	path := b.rootfs + "/etc/passwd"
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(path, 0o644); err != nil {
		t.Fatal(err)
	}
	wantLines(t, r.output(b), "/")
}

// PROC-06 PROC-07
func TestCwd(t *testing.T) {
	r := newRuntime(t)
	cwd := func(dir string) edit { return proc(func(p *specs.Process) { p.Cwd = dir }) }
	wantLines(t, r.sh("pwd", cwd("/etc")), "/etc")
	wantLines(t, r.sh("pwd; stat -c '%a %u' /new /new/dir; touch /tmp/x", cwd("/new/dir"), user(1000, 1000)),
		"/new/dir", "755 0", "755 0")
	r.fails("process.cwd: make directory /sys/new: mkdirat: read-only file system", r.runLine(newBundle(t, cwd("/sys/new")))...)
	// It is made before the root turns read-only.
	wantLines(t, r.sh("pwd", cwd("/new/dir"), func(s *specs.Spec) { s.Root.Readonly = true }), "/new/dir")
}

// PROC-08: a directory that only the user may enter.
func TestCwdOfUser(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/pwd"), user(1000, 1000), proc(func(p *specs.Process) { p.Cwd = "/home/user" }))
	if err := os.Chown(b.rootfs+"/home/user", 1000, 1000); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(b.rootfs+"/home/user", 0o700); err != nil {
		t.Fatal(err)
	}
	wantLines(t, r.output(b), "/home/user")
}

// PROC-08 FD-05: CVE-2024-21626, a cwd that is a descriptor of the host.
func TestCwdOnHost(t *testing.T) {
	r := newRuntime(t)
	host, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	extra := make([]*os.File, 7)
	for i := range extra {
		extra[i] = host
	}
	for _, dir := range []string{"/proc/self/fd/3", "/proc/self/fd/7", "/proc/self/fd/8", "/proc/self/fd/9"} {
		b := newBundle(t, args("/bin/sh", "-c", "pwd -P; ls -d ../../etc/shadow ./work 2>/dev/null"), proc(func(p *specs.Process) { p.Cwd = dir }))
		if res := r.call(call{args: r.runLine(b), extra: extra}); res.code == 0 {
			t.Errorf("cwd %s: exit 0, printed %s", dir, res.stdout)
		}
	}
}

// FD-01: only stdio reaches the program.
func TestDescriptors(t *testing.T) {
	r := newRuntime(t)
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	b := newBundle(t, args("/bin/sh", "-c", "ls /proc/$$/fd; true"))
	res := r.succeed(call{args: r.runLine(b), extra: []*os.File{null, null, null, null}})
	wantLines(t, res.stdout, "0", "1", "2")
}

// FD-04
func TestPreserveFds(t *testing.T) {
	r := newRuntime(t)
	file := createFile(t, tempDir(t)+"/file")
	defer file.Close()
	b := newBundle(t, args("/bin/sh", "-c", "ls /proc/$$/fd; echo third >&3; echo fourth >&4"))
	line := r.runLine(b, "--preserve-fds", "2")
	wantLines(t, r.succeed(call{args: line, extra: []*os.File{file, file, file}}).stdout, "0", "1", "2", "3", "4")
	if got := readFile(t, file.Name()); got != "third\nfourth\n" {
		t.Errorf("the file holds %q", got)
	}
	r.fails("preserve", r.runLine(b, "--preserve-fds", "2")...)
}

// PROC-23: dispositions and mask are default, whatever the caller's are.
func TestSignalDispositions(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/cat", "/proc/1/status"))
	deaf := []string{"/bin/sh", "-c", `trap "" HUP INT PIPE USR1 TERM CHLD; exec "$@"`, "sh"}

	// A child starts with the mask of the thread that forks it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var blocked, before unix.Sigset_t
	blocked.Val[0] = 1<<(unix.SIGUSR2-1) | 1<<(unix.SIGTERM-1)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &blocked, &before); err != nil {
		t.Fatal(err)
	}
	wait := r.start(call{args: r.runLine(b), wrap: deaf})
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil); err != nil {
		t.Fatal(err)
	}
	res, err := wait()
	if err != nil {
		t.Fatal(err)
	}
	none := "0000000000000000"
	wantStatus(t, res.stdout, map[string]string{"SigBlk": none, "SigIgn": none, "SigCgt": none})
}

// PROC-24
func TestSessionLeader(t *testing.T) {
	r := newRuntime(t)
	c := r.create(newBundle(t))
	session := func() int {
		for _, p := range processes() {
			if p.pid == c.pid {
				return p.session
			}
		}
		return 0
	}
	c.start()
	if got := session(); got != c.pid {
		t.Errorf("init %d is in session %d", c.pid, got)
	}
}
