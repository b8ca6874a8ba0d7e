package process

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// write makes a file of the given mode, whatever the umask.
func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, name string, mode os.FileMode) {
	t.Helper()
	if err := os.Mkdir(name, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

// tree makes files of all sorts: in dir itself, and in bin and closed below it.
func tree(t *testing.T, dir string) {
	t.Helper()
	mkdir(t, dir+"/bin", 0o755)
	mkdir(t, dir+"/closed", 0o700)
	mkdir(t, dir+"/bin/subdir", 0o755)
	write(t, dir+"/bin/prog", "", 0o755)
	write(t, dir+"/prog", "", 0o755)
	write(t, dir+"/closed/prog", "", 0o755)
	write(t, dir+"/bin/data", "", 0o644)
	write(t, dir+"/data", "", 0o755)
	write(t, dir+"/bin/roots", "", 0o700)
	write(t, dir+"/bin/plain", "", 0o644)
	symlink(t, "prog", dir+"/bin/link")
	symlink(t, "nowhere", dir+"/bin/dangling")
	symlink(t, "circle", dir+"/bin/circle")
	symlink(t, "subdir", dir+"/bin/dirlink")
}

// PROC-13 PROC-14: D stands for the directory of the tree, which is the working directory too.
func TestPlayLookUp(t *testing.T) {
	for _, c := range []struct {
		uid       uint32
		name      string
		path      string
		want, err string
	}{
		{0, "prog", "D/bin", "D/bin/prog", ""},
		{1000, "prog", "D/bin", "D/bin/prog", ""},
		{1000, "prog", "/no/such:/etc/passwd:D/bin", "D/bin/prog", ""},
		{1000, "prog", "D/closed:D/bin", "D/bin/prog", ""},
		{0, "prog", "D/closed:D/bin", "D/closed/prog", ""},
		{1000, "data", "D/bin:D", "D/data", ""},
		{1000, "link", "D/bin", "D/bin/link", ""},
		{1000, "prog", ":D/bin", "./prog", ""},
		{1000, "prog", "bin", "bin/prog", ""},
		{1000, "prog", strings.Repeat("/no/such:", 17) + "D/bin", "D/bin/prog", ""},
		{0, "roots", "D/bin", "D/bin/roots", ""},
		{1000, "roots", "D/bin", "", `exec: "roots": permission denied`},
		{1000, "plain", "D/bin:/bin", "", `exec: "plain": permission denied`},
		{0, "plain", "D/bin:/bin", "", `exec: "plain": permission denied`},
		{1000, "subdir", "D/bin", "", `exec: "subdir": permission denied`},
		{1000, "dangling", "D/bin", "", `exec: "dangling": executable file not found in $PATH`},
		{1000, "prog", "D/closed", "", `exec: "prog": executable file not found in $PATH`},
		{1000, "nope", strings.Repeat("D/bin:", 17) + "D", "", `exec: "nope": executable file not found in $PATH`},
		{1000, "D/bin/prog", "", "D/bin/prog", ""},
		{1000, "bin/link", "", "bin/link", ""},
		{1000, "./prog", "", "./prog", ""},
		{1000, "D/nope", "", "", `exec: "D/nope": stat D/nope: no such file or directory`},
		{1000, "D/bin/dangling", "", "", `exec: "D/bin/dangling": stat D/bin/dangling: no such file or directory`},
		{1000, "D/bin/circle", "", "", `exec: "D/bin/circle": stat D/bin/circle: too many levels of symbolic links`},
		{1000, "D/bin/prog/x", "", "", `exec: "D/bin/prog/x": stat D/bin/prog/x: not a directory`},
		{1000, "D/bin/plain", "", "", `exec: "D/bin/plain": permission denied`},
		{1000, "D/closed/prog", "", "", `exec: "D/closed/prog": permission denied`},
		{1000, "D/bin/subdir", "", "", `exec: "D/bin/subdir": is a directory: permission denied`},
		{0, "D/bin/dirlink", "", "", `exec: "D/bin/dirlink": is a directory: permission denied`},
	} {
		init := launch(t, 0)
		tree(t, init.dir)
		in := func(s string) string { return strings.ReplaceAll(s, "D", init.dir) }
		got, err := init.settle(example(at(init.dir), user(c.uid, c.uid), func(p *specs.Process) {
			p.Args, p.Env = []string{in(c.name)}, []string{"PATH=" + in(c.path)}
		}), nil)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != in(c.want) || text != in(c.err) {
			t.Errorf("uid %d, %s in %q: %q, %s", c.uid, c.name, c.path, got, text)
		}
	}
}

// A program that only capabilities let the user reach.
func TestPlayOverride(t *testing.T) {
	c := launch(t, 0)
	mkdir(t, c.dir+"/closed", 0o700)
	write(t, c.dir+"/closed/prog", "#!/bin/sh\nexit 3\n", 0o755)
	p := example(at("/"), user(1000, 1000), func(p *specs.Process) {
		p.Args, p.Capabilities = []string{c.dir + "/closed/prog"}, allSets("CAP_DAC_OVERRIDE")
	})
	c.atGate(p, nil)
	if errno, status := c.open(); errno != 0 || status.ExitStatus() != 3 {
		t.Errorf("%v, exit %d", errno, status.ExitStatus())
	}
}

// PROC-09 PROC-13 CAP-05 FD-01: the program is executed with its arguments, environment, capabilities and only the
// standard streams.
func TestPlayExec(t *testing.T) {
	for name, c := range map[string]struct {
		uid    uint32
		caps   *specs.LinuxCapabilities
		filter *Filter
		want   map[string]string
	}{
		"root": {0, example().Capabilities, nil, map[string]string{
			"Uid": four(0), "CapInh": "0000000000000000", "CapPrm": "0000000000000420", "CapEff": "0000000000000420",
			"CapBnd": "0000000000000420", "CapAmb": "0000000000000000", "SigIgn": "0000000000000000",
		}},
		"user": {1000, example().Capabilities, allow, map[string]string{
			"Uid": four(1000), "CapPrm": "0000000000000000", "CapBnd": "0000000000000420", "Seccomp": "2",
		}},
		"ambient": {1000, allSets("CAP_KILL"), nil, map[string]string{
			"CapInh": "0000000000000020", "CapPrm": "0000000000000020", "CapEff": "0000000000000020",
			"CapBnd": "0000000000000020", "CapAmb": "0000000000000020",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			init := launch(t, 0)
			mkdir(t, init.dir+"/out", 0o777)
			const script = `cat /proc/self/status >status; echo "$1 $A" >words; (ls /proc/$$/fd; true) >fds; exit 7`
			p := example(at(init.dir+"/out"), user(c.uid, 0), func(p *specs.Process) {
				p.Args, p.Capabilities = []string{"busybox", "sh", "-c", script, "sh", "one"}, c.caps
				p.User.Umask = ptr(uint32(0))
			})
			program, err := init.settle(p, c.filter)
			if err != nil || !strings.HasSuffix(program, "/busybox") {
				t.Fatal(program, err)
			}
			init.await(p, program, []string{"A=two", "PATH=/bin"}, c.filter)
			if errno, status := init.open(); errno != 0 || status.ExitStatus() != 7 {
				t.Fatalf("errno %v, exit status %d", errno, status.ExitStatus())
			}
			got := make(map[string]string)
			for _, file := range []string{"status", "words", "fds"} {
				b, err := os.ReadFile(init.dir + "/out/" + file)
				if err != nil {
					t.Fatal(err)
				}
				got[file] = string(b)
			}
			same(t, fields(got["status"]), c.want)
			same(t, got, map[string]string{"words": "one two\n", "fds": "0\n1\n2\n"})
		})
	}
}

// PROC-15: why execve failed arrives at the verdict.
func TestPlayExecFails(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		edit func(p *specs.Process)
		hold bool // open for writing
		want unix.Errno
	}{
		"interpreter missing": {text: "#!/no/such/interpreter\n", want: unix.ENOENT},
		"interpreter closed":  {text: "#!/etc/passwd\n", want: unix.EACCES},
		"no format":           {text: "echo\n", want: unix.ENOEXEC},
		"busy":                {text: "#!/bin/sh\n", hold: true, want: unix.ETXTBSY},
		"arguments too long": {text: "#!/bin/sh\n", want: unix.E2BIG, edit: func(p *specs.Process) {
			p.Args = append(p.Args, strings.Repeat("x", 128<<10))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			init := launch(t, 0)
			file := init.dir + "/prog"
			write(t, file, c.text, 0o755)
			p := example(at("/"), user(1000, 1000), func(p *specs.Process) { p.Args = []string{file} })
			if c.edit != nil {
				c.edit(p)
			}
			if c.hold {
				f, err := os.OpenFile(file, os.O_WRONLY, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
			}
			init.atGate(p, nil)
			errno, status := init.open()
			if errno != c.want {
				t.Errorf("errno %v, want %v (status %d)", errno, c.want, status)
			}
		})
	}
}

// RLIM-03: a limit that nobody raised for the child is an error that names it.
func TestPlayLimitTooHigh(t *testing.T) {
	c := launch(t, 0)
	low := unix.Rlimit{Cur: 5, Max: 5}
	if err := unix.Prlimit(c.Pid, unix.RLIMIT_CORE, &low, nil); err != nil {
		t.Fatal(err)
	}
	p := example(at("/"), user(1000, 0), func(p *specs.Process) {
		p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_CORE", Soft: 6, Hard: 6}}
	})
	program, err := c.settle(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	release := Release(p, program, nil, c.host, nil)
	in := c.inputs(map[plan.Slot]path{plan.Gate: {"/dev/null", os.O_RDWR}, plan.Verdict: {"/dev/null", os.O_RDWR}})
	release.Inputs, release.Steps = in.Inputs, append(in.Steps, release.Steps...)
	const want = "process.rlimits[0]: limit RLIMIT_CORE 6 6: prlimit64: operation not permitted"
	if err := c.Finish(release); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
