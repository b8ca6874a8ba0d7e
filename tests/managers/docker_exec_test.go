package managers

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// dockerExecCases: other programs in a container that runs.
var dockerExecCases = []dockerCase{
	{"Exec", func(c *docker) {
		c.detach(`exec sleep 1000`, "--env", "ADDED=more", "--workdir", "/tmp")
		c.equal("environment and directory", c.exec("sh", "-c", `echo $ADDED; pwd`), "more\n/tmp")
		call := c.execCall([]string{"--interactive"}, "cat")
		call.stdin = strings.Repeat("0123456789abcde\n", 1<<14)
		c.equal("standard input", c.output(call), strings.TrimSpace(call.stdin))
		call = c.execCall(nil, "cat") // without --interactive it is empty
		call.stdin = "a line\n"
		c.equal("no standard input", call.succeed(c.T), "")
	}},
	{"ExecExitCodes", func(c *docker) {
		c.detach(`exec sleep 1000`)
		for _, test := range []struct {
			flags, line []string
			codes       []int  // of Docker 20.10, and of 28 where that differs
			output      string // the runtime's error comes where the program's output would be
		}{
			{nil, []string{"true"}, []int{0}, ""},
			{nil, []string{"sh", "-c", "echo problem >&2; exit 9"}, []int{9}, "problem"},
			{nil, []string{"sh", "-c", "kill -TERM $$"}, []int{143}, ""},
			{nil, []string{"no-such-program"}, []int{126, 127}, `exec: "no-such-program": executable file not found in $PATH`},
			{nil, []string{"/no/such/program"}, []int{126, 127}, "no such file or directory"},
			{nil, []string{"/etc/passwd"}, []int{126}, "permission denied"},
			{[]string{"--workdir", "/no/such"}, []string{"true"}, []int{126, 127}, "/no/such"},
			{[]string{"--user", "nobody-s"}, []string{"true"}, []int{126, 1}, "nobody-s"},
		} {
			res := c.execCall(test.flags, test.line...).run(c.T)
			if !slices.Contains(test.codes, res.code) || !strings.Contains(res.stdout+res.stderr, test.output) {
				c.Errorf("%v %q: %+v, want %d", test.flags, test.line, res, test.codes)
			}
		}
		c.equal("afterwards", c.exec("echo", "alive"), "alive")
	}},
	{"ExecOptions", func(c *docker) {
		c.detach(`exec sleep 1000`, "--group-add", "1234")
		file := filepath.Join(tempDir(c.T), "env")
		writeFile(c.T, file, "FILED=away\n")
		for _, test := range []struct {
			flags []string
			want  string
		}{
			{[]string{"--workdir", "/tmp"}, "0:0 0,1234 /tmp /root"},
			{[]string{"--user", "1000"}, "1000:1000 1000,50,1234 / /home/user"},
			{[]string{"--user", "user"}, "1000:1000 1000,50,1234 / /home/user"},
			{[]string{"--user", "2000:3000"}, "2000:3000 3000,1234 / /"},
			{[]string{"--env", "ADDED=more", "--env-file", file}, "0:0 0,1234 / /root more away"},
		} {
			got := c.output(c.execCall(test.flags, "sh", "-c", `echo $(id -u):$(id -g) $(id -G | tr ' ' ,) $(pwd) $HOME $ADDED $FILED`))
			c.equal(strings.Join(test.flags, " "), got, test.want)
		}
	}},
	{"ExecIsInside", func(c *docker) {
		c.detach(`exec sleep 1000`, "--cap-drop", "CHOWN", "--security-opt", "no-new-privileges", "--ulimit", "nofile=111:222")
		script := `for ns in pid ipc uts mnt net user cgroup; do readlink /proc/%[1]s/ns/$ns; done; readlink /proc/%[1]s/root
			grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/%[1]s/status; cat /proc/%[1]s/cgroup; grep files /proc/%[1]s/limits`
		init := c.exec("sh", "-c", fmt.Sprintf(script, "1"))
		c.equal("exec, compared with init", c.exec("sh", "-c", fmt.Sprintf(script, "self")), init)
		c.contains("init", init, "Seccomp:\t2", "NoNewPrivs:\t1")
	}},
	{"ExecDetached", func(c *docker) {
		c.detach(`exec sleep 1000`)
		c.equal("output", c.execCall([]string{"--detach"}, "sh", "-c", `echo $$ >/started; exec sleep 2000`).succeed(c.T), "")
		script := `until [ -s /started ]; do :; done; until grep -q 2000 /proc/$(cat /started)/cmdline; do :; done; tr '\0' ' ' </proc/$(cat /started)/cmdline`
		c.equal("its command line", c.exec("sh", "-c", script), "sleep 2000")
	}},
	{"ExecPrivileged", func(c *docker) {
		c.detach(`exec sleep 1000`)
		c.wantPrivileges(c.execCall([]string{"--privileged"}, "grep", "-E", "^Cap(Eff|Bnd)", "/proc/self/status").run(c.T))
	}},
	{"Privileged", func(c *docker) {
		c.wantPrivileges(c.scriptCall(`grep -E '^Cap(Eff|Bnd)' /proc/1/status; [ -w /proc/sys/kernel/msgmax ] && mount -t tmpfs t /tmp`, "--privileged").run(c.T))
	}},
	{"ExecTerminal", func(c *docker) {
		c.detach(`exec sleep 1000`)
		s := onTerminal(c.T, dockerTerminal, c.execCall([]string{"--interactive", "--tty"}, "sh").line...)
		s.await("/ # ")
		s.send("tty; until [ \"$(stty size)\" = '37 91' ]; do :; done; echo si''zed\n")
		s.await("/dev/pts/", "sized")
		s.send("sleep 2000\n")
		awaitProcess(c.T, "sleep 2000")
		s.send("\x03")
		s.await("^C", "/ # ")
		s.send("exit 6\n")
		if code := s.wait(); code != 6 {
			c.Errorf("exit code %d, want 6: %s", code, s.out)
		}
	}},
	{"ExecStopped", func(c *docker) {
		c.detach(`exit 0`)
		c.docker("wait", c.id).succeed(c.T)
		c.execCall(nil, "true").refuse(c.T, "is not running")
	}},
}

// wantPrivileges looks for the capabilities of the machine in a result. Docker
// asks for all that it knows, at least the first 38; where the machine lacks
// one of them, runc refuses.
func (c *docker) wantPrivileges(res result) {
	c.Helper()
	if filepath.Base(runtimeUnderTest) == "runc" && res.code != 0 {
		c.contains("output", res.stdout+res.stderr, "unable to apply caps")
		return
	}
	own := capabilities(c.checks, readFile(c.T, "/proc/self/status"), "CapBnd")
	effective, bounding := capabilities(c.checks, res.stdout, "CapEff"), capabilities(c.checks, res.stdout, "CapBnd")
	if res.code != 0 || bounding != effective || effective&^own != 0 || own&(1<<38-1)&^effective != 0 {
		c.Errorf("the machine has %016x: %+v", own, res)
	}
}

// capabilities finds a set in what /proc/PID/status says.
func capabilities(c checks, status, set string) (bits uint64) {
	c.Helper()
	_, after, _ := strings.Cut(status, set+":\t")
	_, err := fmt.Sscanf(after, "%x", &bits)
	c.ok(err)
	return bits
}
