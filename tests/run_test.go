package tests

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// CLI-08 HKW-11
func TestRunExitCode(t *testing.T) {
	r := newRuntime(t)
	for script, want := range map[string]int{
		"exit 0": 0, "exit 7": 7, "exit 255": 255, "/bin/false": 1,
		"kill -TERM $$":                      0, // the first process of a pid namespace has no default actions
		"(exec sh -c 'kill -9 $$'); exit $?": 137,
	} {
		if res := r.run(newBundle(t, args("/bin/sh", "-c", script))); res.code != want {
			t.Errorf("%s: exit %d, want %d\n%s", script, res.code, want, res.stderr)
		}
	}
}

// CLI-08: 128+n when a signal ends the program.
func TestRunKilledBySignal(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/sh", "-c", "echo ready; exec sleep 1000"))
	line := r.runLine(b)
	wait := r.start(call{args: line})
	id := line[len(line)-1]
	eventually(t, "running", func() bool { return strings.Contains(r.do("state", id).stdout, `"running"`) })
	r.ok("kill", id, "KILL")
	res, err := wait()
	if err != nil {
		t.Fatal(err)
	}
	if res.code != 128+9 {
		t.Errorf("exit %d, want 137\n%s", res.code, res.stderr)
	}
}

// CLI-18: signals to a foreground run go to the program, but for those that are the runtime's own affair.
func TestRunForwardsSignals(t *testing.T) {
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1, unix.SIGPWR} {
		r := newRuntime(t)
		script := `trap "echo got; exit 9" TERM INT HUP USR1 PWR; trap "echo forwarded" CHLD URG; echo ready; sleep 1000 & while :; do wait; done`
		wait := r.start(call{args: r.runLine(newBundle(t, args("/bin/sh", "-c", script)))})
		var runner int
		eventually(t, "the program is ready", func() bool {
			for _, p := range descendants() {
				if p.parent == os.Getpid() && strings.Contains(p.command, r.root) {
					runner = p.pid
				}
			}
			return runner != 0 && strings.Contains(runOutput(runner), "ready")
		})
		for _, s := range []unix.Signal{unix.SIGCHLD, unix.SIGURG, signal} {
			if err := unix.Kill(runner, s); err != nil {
				t.Fatal(err)
			}
		}
		res, err := wait()
		if err != nil {
			t.Fatal(err)
		}
		if res.code != 9 || res.stdout != "ready\ngot\n" {
			t.Errorf("%v: exit %d, %q %s", signal, res.code, res.stdout, res.stderr)
		}
	}
}

// runOutput reads what a process has written to its standard output, a file.
func runOutput(pid int) string {
	content, _ := os.ReadFile(procPath(pid, "fd/1")) // gone: nothing
	return string(content)
}

func TestRunStreams(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/sh", "-c", "cat; echo to stderr >&2"))
	res := r.call(call{args: r.runLine(b), stdin: "through stdin\n"})
	if res.code != 0 || res.stdout != "through stdin\n" || res.stderr != "to stderr\n" {
		t.Errorf("exit %d, stdout %q, stderr %q", res.code, res.stdout, res.stderr)
	}
}

// --keep leaves the stopped container.
func TestRunKeep(t *testing.T) {
	r := newRuntime(t)
	line := r.runLine(newBundle(t, args("/bin/true")), "--keep")
	r.succeed(call{args: line})
	id := line[len(line)-1]
	if got := r.state(id).Status; got != "stopped" {
		t.Errorf("status %s", got)
	}
	r.ok("delete", id)
}

// PROC-14: create says that the program is not there.
func TestMissingProgram(t *testing.T) {
	r := newRuntime(t)
	for _, p := range []struct{ program, want string }{
		{"nosuch", `exec: "nosuch": executable file not found in $PATH`},
		{"/bin/nosuch", `exec: "/bin/nosuch": stat /bin/nosuch: no such file or directory`},
		{"./nosuch", "no such file or directory"},
		{"/etc/passwd", `exec: "/etc/passwd": permission denied`},
		{"/etc", "permission denied"},
		{"/etc/passwd/x", "not a directory"},
	} {
		for _, command := range []string{"create", "run"} {
			r.fails(p.want, command, "--bundle", newBundle(t, args(p.program)).dir, r.id())
		}
	}
}

// PROC-15: execve's own failure is start's failure.
func TestExecFailure(t *testing.T) {
	for name, program := range map[string]struct{ content, want string }{
		"interpreter": {"#!/bin/nosuch\n", "no such file or directory"},
		"format":      {"\x7fELFnot really", "exec format error"},
		"empty":       {"", "exec format error"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRuntime(t)
			b := newBundle(t, args("/bin/program"))
			b.write("bin/program", program.content, 0o755)
			r.fails(program.want, "run", "--bundle", b.dir, r.id())
			c := r.create(b)
			r.fails(program.want, "start", c.id)
			c.awaitStatus("stopped")
			c.delete()
		})
	}
}

// PROC-13: args[0] is looked up in the container's PATH, relative entries
// and names against cwd.
func TestProgramLookup(t *testing.T) {
	r := newRuntime(t)
	for _, p := range []struct{ program, path, cwd, want string }{
		{"hello", "/nowhere:/opt/bin:/bin", "/", "from opt"},
		{"./hello", "/bin", "/opt/bin", "from opt"},
		{"bin/hello", "/bin", "/opt", "from opt"},
		{"hello", "bin", "/opt", "from opt"},
		{"../opt/bin/hello", "/bin", "/etc", "from opt"},
	} {
		b := newBundle(t, args(p.program))
		b.spec.Process.Env = []string{"PATH=" + p.path}
		b.spec.Process.Cwd = p.cwd
		b.save()
		b.write("opt/bin/hello", "#!/bin/sh\necho from opt\n", 0o755)
		if got := r.output(b); got != p.want {
			t.Errorf("%+v: printed %q", p, got)
		}
	}
}
