package tests

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// execLine is the command line of an exec: its flags, and after the id the
// program.
func (c *container) execLine(flags []string, program ...string) []string {
	return append(append(append([]string{"exec"}, flags...), c.id), program...)
}

// exec runs a shell script by exec, which must succeed, and returns what it
// printed.
func (c *container) exec(script string, flags ...string) string {
	c.t.Helper()
	return strings.TrimSpace(c.succeed(call{args: c.execLine(flags, "/bin/sh", "-ec", script)}).stdout)
}

// refuseExec runs an exec that must fail as exec does.
func (c *container) refuseExec(want string, flags []string, program ...string) {
	c.t.Helper()
	line := c.execLine(flags, program...)
	res := c.do(line...)
	if res.code != 255 {
		c.t.Errorf("%s: exit %d, want 255\n%s", strings.Join(line, " "), res.code, res.stderr)
	}
	checkError(c.t, strings.Join(line, " "), res.stderr, want)
	if res.stdout != "" {
		c.t.Errorf("%s: failed, but wrote to stdout: %s", strings.Join(line, " "), res.stdout)
	}
}

// execDetached runs a program by exec and returns its pid.
func (c *container) execDetached(flags []string, program ...string) int {
	c.t.Helper()
	file := filepath.Join(tempDir(c.t), "pid")
	c.succeed(call{args: c.execLine(append([]string{"--detach", "--pid-file", file}, flags...), program...)})
	pid, err := strconv.Atoi(readFile(c.t, file)) // CLI-11: decimal, no newline
	if err != nil {
		c.t.Fatal(err)
	}
	return pid
}

// wantBeside checks that a process is where init is: in all its namespaces and
// cgroups.
func (c *container) wantBeside(pid int) {
	c.t.Helper()
	for _, kind := range []string{"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"} {
		if got, want := namespaceOf(c.t, pid, kind), namespaceOf(c.t, c.pid, kind); got != want {
			c.t.Errorf("%s namespace: %s, init has %s", kind, got, want)
		}
	}
	if got, want := readFile(c.t, procPath(pid, "cgroup")), readFile(c.t, procPath(c.pid, "cgroup")); got != want {
		c.t.Errorf("cgroups:\n%swant\n%s", got, want)
	}
}

// CGP-12 NS-16 TIME-06: exec is in all of init's namespaces and cgroups,
// whichever of them are the container's own.
func TestExecBesideInit(t *testing.T) {
	for name, edits := range map[string][]edit{
		"plain":                  nil,
		"user namespace":         {userNamespace()},
		"cgroup namespace":       {namespace(specs.CgroupNamespace, "")},
		"time namespace":         {namespace(specs.TimeNamespace, "")},
		"time but pid namespace": {namespace(specs.TimeNamespace, ""), without(specs.PIDNamespace)},
		"host's pid namespace":   {without(specs.PIDNamespace)},
		"host's network":         {without(specs.NetworkNamespace), without(specs.IPCNamespace)},
		"user and all others":    {userNamespace(), namespace(specs.CgroupNamespace, ""), namespace(specs.TimeNamespace, "")},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRuntime(t)
			c := r.runDetached(newBundle(t, edits...))
			pid := c.execDetached(nil, "/bin/sleep", "1000")
			c.wantBeside(pid)
			wantLines(t, c.exec("readlink /proc/self/exe"), "/bin/busybox")
			if err := unix.Kill(pid, unix.SIGKILL); err != nil {
				t.Error(err)
			}
			c.delete("--force")
		})
	}
}

// NS-16: namespaces of others.
func TestExecJoinedNamespaces(t *testing.T) {
	r := newRuntime(t)
	user := holder(t, unix.CLONE_NEWUSER|unix.CLONE_NEWPID|unix.CLONE_NEWIPC, hostIDs)
	net := holder(t, unix.CLONE_NEWNET, nil)
	b := newBundle(t, namespace(specs.UserNamespace, procPath(user, "ns/user")), namespace(specs.IPCNamespace, procPath(user, "ns/ipc")),
		namespace(specs.PIDNamespace, procPath(user, "ns/pid")), namespace(specs.NetworkNamespace, procPath(net, "ns/net")),
		args("/bin/sh", "-c", "exec sleep 1000"))
	b.chown(100_000, 100_000)
	c := r.runDetached(b)
	pid := c.execDetached(nil, "/bin/sleep", "1000")
	c.wantBeside(pid)
	wantLines(t, c.exec("id -u"), "0")
	own := namespaceOf(t, c.pid, "mnt")
	c.delete("--force")
	if mnt, err := os.Readlink(procPath(pid, "ns/mnt")); err == nil && mnt == own { // a zombie has none
		t.Error("the process has outlived the container")
	}
}

// CLI-08: the program's exit status, 128+n when a signal ends it, 255 when
// nothing runs.
func TestExecExitStatus(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t))
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "exit 255": 255, "kill -TERM $$": 143, "kill -9 $$": 137} {
		if res := r.do(c.execLine(nil, "/bin/sh", "-c", script)...); res.code != want || res.stderr != "" {
			t.Errorf("%s: exit %d, want %d: %s", script, res.code, want, res.stderr)
		}
	}
	c.delete("--force")
}

// exec waits for the program, and not for whoever else holds its streams.
func TestExecStreams(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t))
	res := r.call(call{args: c.execLine(nil, "/bin/sh", "-c", "cat; echo to stderr >&2; sleep 1000 & exit 3"), stdin: "through stdin\n"})
	if res.code != 3 || res.stdout != "through stdin\n" || res.stderr != "to stderr\n" {
		t.Errorf("exit %d, stdout %q, stderr %q", res.code, res.stdout, res.stderr)
	}
	c.delete("--force")
}

// CLI-18: signals to a foreground exec go to the program.
func TestExecForwardsSignals(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t))
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1} {
		wait := r.start(call{args: c.execLine(nil, "/bin/sh", "-c",
			`trap "echo got; exit 9" TERM INT HUP USR1; echo ready; while :; do sleep 0.01; done`)})
		var runner int
		eventually(t, "the program is ready", func() bool {
			for _, p := range descendants() {
				if p.parent == os.Getpid() && strings.Contains(p.command, "exec") && strings.Contains(p.command, r.root) {
					runner = p.pid
				}
			}
			return runner != 0 && strings.Contains(runOutput(runner), "ready")
		})
		if err := unix.Kill(runner, signal); err != nil {
			t.Fatal(err)
		}
		res, err := wait()
		if err != nil {
			t.Fatal(err)
		}
		if res.code != 9 || res.stdout != "ready\ngot\n" {
			t.Errorf("%v: exit %d, %q %s", signal, res.code, res.stdout, res.stderr)
		}
	}
	c.delete("--force")
}

// PROC-13 PROC-14 CLI-07: the program is looked up in the container, with the
// process's PATH, cwd and user.
func TestExecProgramLookup(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t)
	b.write("opt/bin/hello", "#!/bin/sh\necho from opt\n", 0o755)
	b.write("opt/bad", "#!/bin/nosuch\n", 0o755)
	c := r.runDetached(b)
	for _, p := range []struct {
		flags   []string
		program string
	}{
		{[]string{"-e", "PATH=/nowhere:/opt/bin:/bin"}, "hello"}, {[]string{"--cwd", "/opt"}, "bin/hello"},
		{[]string{"-e", "PATH=bin", "--cwd=/opt"}, "hello"}, {nil, "/opt/bin/hello"},
	} {
		wantLines(t, r.succeed(call{args: c.execLine(p.flags, p.program)}).stdout, "from opt")
	}
	for program, want := range map[string]string{
		"nosuch": `exec: "nosuch": executable file not found in $PATH`, "/bin/nosuch": `exec: "/bin/nosuch": stat /bin/nosuch: no such file or directory`,
		"/etc/passwd": `exec: "/etc/passwd": permission denied`, "/etc": "permission denied", "/etc/passwd/x": "not a directory",
		"/opt/bad": "no such file or directory (the file was there when it was looked up: is the interpreter",
	} {
		c.refuseExec(want, nil, program)
		file := filepath.Join(tempDir(t), "pid")
		c.refuseExec(want, []string{"-d", "--pid-file", file}, program)
		if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) > 0 {
			t.Errorf("%s: left %v, %v", program, left, err)
		}
	}
	c.delete("--force")
}

// JSON-13: exec goes by the configuration as it was at create.
func TestExecKeepsConfiguration(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t, proc(func(p *specs.Process) { p.Env = append(p.Env, "OF=create") })))
	for _, content := range []string{`{"process":{"env":["OF=edit"]}}`, "no JSON"} {
		writeFile(t, c.bundle.config(), content)
		wantLines(t, c.exec("echo $OF"), "create")
	}
	if err := os.Remove(c.bundle.config()); err != nil {
		t.Fatal(err)
	}
	wantLines(t, c.exec("echo $OF"), "create")
	c.delete("--force")
}

// CLI-04 CLI-03: what follows the id is the program's, and values keep their
// commas, blanks and colons.
func TestExecArguments(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t, user(1000, 1000), proc(func(p *specs.Process) { p.Env = append(p.Env, "A=of the container", "B=b") })))
	out := r.succeed(call{args: c.execLine([]string{"-e", "A=1,2", "-env", "C= x ", "--env=D=a:b,c=d"}, "/bin/sh", "-c",
		`printf '%s\n' "$A|$B|$C|$D|$HOME" "$@"`, "sh", "-t", "--tty", "-e", "A=3", "--", "")}).stdout
	if want := "1,2|b| x |a:b,c=d|/home/user\n-t\n--tty\n-e\nA=3\n--\n\n"; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
	wantLines(t, c.exec("pwd; id -u", "--cwd", "/tmp", "-u", "0"), "/tmp", "0")
	c.delete("--force")
}

// USR-01 USR-02 PROC-11: numbers only (CVE-2026-30892).
func TestExecUser(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t, user(5, 6, 7)))
	const show = "id -u; id -g; id -G; echo $HOME"
	for _, u := range []struct {
		flags []string
		want  []string
	}{
		{nil, []string{"5", "6", "6 7", "/"}},
		{[]string{"-u", "1000"}, []string{"1000", "6", "6 7", "/home/user"}},
		{[]string{"--user", "0:0", "-g", "8", "--additional-gids", "9"}, []string{"0", "0", "0 7 8 9", "/root"}},
		{[]string{"-u", "4294967294:4294967294"}, []string{"4294967294", "4294967294", "4294967294 7", "/"}},
	} {
		wantLines(t, c.exec(show, u.flags...), u.want...)
	}
	for _, bad := range []string{"root", "0:", ":0", "0:root", "-1", "+1", "1:2:3", "0x0", " 0", "0 ", "4294967296", "4294967295", "1_0", "1e3", "01000:x"} {
		c.refuseExec("", []string{"--user=" + bad}, "/bin/true")
	}
	for _, bad := range []string{"root", "", "-1", "1,2", "4294967295"} {
		c.refuseExec("", []string{"--additional-gids=" + bad}, "/bin/true")
	}
	c.delete("--force")
}

// CAP-08 CAP-11 PROC-17: the container's capabilities, and more; never
// inheritable ones (CVE-2022-29162, CVE-2022-27650).
func TestExecPrivileges(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t, noNewPrivileges(false)))
	show := func(flags ...string) string { return c.exec(showCaps, flags...) }
	wantStatus(t, show(), map[string]string{
		"CapInh": noCaps, "CapPrm": defaultCaps, "CapEff": defaultCaps, "CapBnd": defaultCaps, "CapAmb": noCaps, "NoNewPrivs": "0"})
	const withChown = "0000000020000421"
	wantStatus(t, show("-c", "CAP_CHOWN", "--cap", "CAP_KILL", "--no-new-privs"), map[string]string{
		"CapInh": noCaps, "CapPrm": withChown, "CapEff": withChown, "CapBnd": withChown, "CapAmb": noCaps, "NoNewPrivs": "1"})
	wantStatus(t, show("--cap", "CAP_CHOWN", "-u", "1000"), map[string]string{
		"CapInh": noCaps, "CapPrm": noCaps, "CapEff": noCaps, "CapBnd": withChown, "CapAmb": noCaps})
	c.refuseExec("CAP_NO_SUCH: unknown capability", []string{"--cap", "CAP_NO_SUCH"}, "/bin/true")
	c.delete("--force")

	kill := []string{"CAP_KILL"}
	c = r.runDetached(newBundle(t, proc(func(p *specs.Process) {
		p.Capabilities = &specs.LinuxCapabilities{Bounding: kill, Effective: kill, Permitted: kill, Inheritable: kill}
	})))
	wantStatus(t, show("-u", "1000", "-c", "CAP_KILL", "-c", "CAP_CHOWN"), map[string]string{"CapInh": capKill, "CapAmb": capKill, "CapEff": capKill})
	wantStatus(t, show("--no-new-privs=false"), map[string]string{"NoNewPrivs": "0"})
	c.delete("--force")
}

// CLI-08 CLI-07: what cannot be done is one sentence, and exit status 255.
func TestExecRefusals(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t))
	for _, bad := range []struct {
		flags   []string
		program []string
		want    string
	}{
		{nil, nil, "COMMAND is missing"},
		{nil, []string{""}, "process.args[0]"},
		{[]string{"--cwd", "tmp"}, []string{"/bin/true"}, "not an absolute path"},
		{[]string{"--cwd", "/proc/self/fd/7"}, []string{"/bin/true"}, "process.cwd"},
		{[]string{"--cwd", "/nosuch"}, []string{"/bin/true"}, "process.cwd: enter /nosuch: openat2: no such file or directory"},
		{[]string{"-e", "NOVALUE"}, []string{"/bin/true"}, "NAME=value"},
		{[]string{"-e", "=x"}, []string{"/bin/true"}, "process.env"},
		{[]string{"--nosuch"}, []string{"/bin/true"}, "-nosuch"},
		{[]string{"--process", "/nosuch"}, nil, "no such file or directory"},
		{[]string{"--preserve-fds", "1"}, []string{"/bin/true"}, "descriptor 3 is not open"},
		{[]string{"--preserve-fds", "-1"}, []string{"/bin/true"}, "want a number"},
		{[]string{"--apparmor", "nosuch"}, []string{"/bin/true"}, "process.apparmorProfile"},
		{[]string{"--process-label", "a:b:c"}, []string{"/bin/true"}, "process.selinuxLabel: SELinux is not enabled"},
		{[]string{"--console-socket", "/nosuch"}, []string{"/bin/true"}, "process.terminal"},
		{[]string{"--detach", "--tty"}, []string{"/bin/true"}, "process.terminal"},
		{[]string{"--pid-file", "/nosuch/pid"}, []string{"/bin/touch", "/tmp/ran"}, "pid file"},
		{[]string{"--pidfd-socket", "/nosuch"}, []string{"/bin/touch", "/tmp/ran"}, "pidfd socket /nosuch"},
		{[]string{"--cgroup", "../x"}, []string{"/bin/true"}, "not below the container's"},
		{[]string{"--cgroup", "nosuch"}, []string{"/bin/true"}, "no such file or directory"},
		{[]string{"--cgroup", "a", "--cgroup", "b"}, []string{"/bin/true"}, "CONTROLLER"},
		{[]string{"--cgroup", "nosuch:a"}, []string{"/bin/true"}, "nosuch"},
		{[]string{"--cgroup", ":a"}, []string{"/bin/true"}, "empty"},
		{[]string{"--cgroup", "cpu,,memory:a"}, []string{"/bin/true"}, "empty"},
		{[]string{"--cgroup", "cpu:a", "--cgroup", "cpu:b"}, []string{"/bin/true"}, "twice"},
	} {
		c.refuseExec(bad.want, bad.flags, bad.program...)
	}
	if c.bundle.exists("tmp/ran") {
		t.Error("a program ran whose pid could not be told")
	}
	if got := cgroupProcs(t, c.bundle, "memory"); !slices.Equal(got, []string{strconv.Itoa(c.pid)}) {
		t.Errorf("processes in the cgroup: %v", got)
	}
	res := r.do("exec")
	if res.code != 255 || !strings.Contains(res.stderr, "ID is missing") {
		t.Errorf("exit %d, %s", res.code, res.stderr)
	}
	c.delete("--force")
}
