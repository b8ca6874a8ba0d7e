package tests

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// SEC-24 PRP-16: the container's filter, with the privileges that loading it takes.
func TestExecSeccomp(t *testing.T) {
	r := newRuntime(t)
	deny := seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"mkdir", "mkdirat"}, Action: specs.ActErrno, ErrnoRet: ptr(uint(unix.ENOSPC))},
	}})
	for name, edits := range map[string][]edit{
		"no_new_privs": {noNewPrivileges(true)}, "privileges": {noNewPrivileges(false)},
		"user namespace": {userNamespace(), noNewPrivileges(false)},
	} {
		t.Run(name, func(t *testing.T) {
			c := r.runDetached(newBundle(t, append(edits, deny)...))
			for _, flags := range [][]string{nil, {"-u", "1000"}, {"--no-new-privs"}, {"--no-new-privs=false"}} {
				out := c.exec("mkdir /tmp/x 2>&1 || true; grep Seccomp: /proc/self/status", flags...)
				if !strings.Contains(out, "No space left") || statusFields(out)["Seccomp"] != "2" {
					t.Errorf("%v: %s", flags, out)
				}
			}
			c.delete("--force")
		})
	}
}

// A filter that ends the program says why nothing runs.
func TestExecSeccompKills(t *testing.T) {
	r := newRuntime(t)
	c := r.create(newBundle(t, seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"execve"}, Action: specs.ActKillProcess},
	}})))
	c.refuseExec("died in execve", nil, "/bin/true")
	c.delete()
}

// SEC-24 SEC-11 CPS-05 CPS-07: a listener of its own for each exec, over a connection of its own.
func TestExecSeccompListeners(t *testing.T) {
	for name, edits := range map[string][]edit{
		"no_new_privs": {noNewPrivileges(true)}, "privileges": {noNewPrivileges(false)}, "user namespace": {userNamespace()},
	} {
		t.Run(name, func(t *testing.T) {
			r, agent := newRuntime(t), newSeccompAgent(t)
			c := r.create(newBundle(t, append(edits, notify(agent.path, "mkdir", "mkdirat"))...))
			_, listener := agent.accept()
			serve(listener, kernelDecides)
			c.start()
			for range 2 {
				pid := c.execDetached(nil, "/bin/sh", "-c", "mkdir /tmp/no; exec sleep 1000")
				payload, listener := agent.accept()
				asked := serve(listener, func(int) unix.Errno { return unix.ENOSPC })
				var got specs.ContainerProcessState
				if err := json.Unmarshal(payload, &got); err != nil {
					t.Fatal(err)
				}
				if got.Pid != pid || got.State.Pid != c.pid || got.State.Status != specs.StateRunning || got.State.ID != c.id {
					t.Errorf("the agent got %s; exec is %d, init %d", payload, pid, c.pid)
				}
				eventually(t, "a question", func() bool { return len(asked()) == 1 })
			}
			if c.bundle.exists("tmp/no") {
				t.Error("the agent was not heeded")
			}
			agent.alone()
			agent.socket.Close()
			c.refuseExec("linux.seccomp.listenerPath "+agent.path, nil, "/bin/touch", "/tmp/ran")
			if c.bundle.exists("tmp/ran") {
				t.Error("the program ran without an agent")
			}
			c.delete("--force")
		})
	}
}

// FD-01 FD-02 FD-04: nothing but what was asked for is open (CVE-2024-21626),
// and LISTEN_PID is the pid that the program has.
func TestExecDescriptors(t *testing.T) {
	r := newRuntime(t)
	dir := tempDir(t)
	var files []*os.File
	for _, name := range []string{"3", "4", "5"} {
		f := createFile(t, filepath.Join(dir, name))
		defer f.Close()
		files = append(files, f)
	}
	activate := []string{"/bin/sh", "-c", `export LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=a; exec "$@"`, "sh"}
	for name, edits := range map[string][]edit{
		"plain": nil, "user namespace": {userNamespace()}, "host's pid namespace": {without(specs.PIDNamespace)},
	} {
		t.Run(name, func(t *testing.T) {
			c := r.runDetached(newBundle(t, edits...))
			const show = `ls /proc/$$/fd; echo end`
			list := func(flags []string, wrap ...string) string {
				t.Helper()
				return r.succeed(call{args: c.execLine(flags, "/bin/sh", "-c", show), extra: files, wrap: wrap}).stdout
			}
			wantLines(t, list(nil), "0", "1", "2", "end")
			wantLines(t, list([]string{"--preserve-fds", "2"}), "0", "1", "2", "3", "4", "end")
			wantLines(t, list(nil, activate...), "0", "1", "2", "3", "end")
			told := `test $LISTEN_PID = $$ && echo $LISTEN_FDS $LISTEN_FDNAMES; echo third >&3; echo fourth >&4`
			res := r.succeed(call{args: c.execLine([]string{"--preserve-fds=1"}, "/bin/sh", "-c", told), extra: files, wrap: activate})
			wantLines(t, res.stdout, "1 a")
			if third, fourth := readFile(t, files[0].Name()), readFile(t, files[1].Name()); !strings.HasSuffix(third, "third\n") || !strings.HasSuffix(fourth, "fourth\n") {
				t.Errorf("the files hold %q and %q", third, fourth)
			}
			for _, cwd := range []string{"/proc/self/fd/3", "/proc/self/fd/4", "/proc/thread-self/fd/8", "/proc/self/fd/7/../.."} {
				c.refuseExec("process.cwd", []string{"--cwd", cwd}, "/bin/pwd")
			}
			c.delete("--force")
		})
	}
}

// PROC-23 PROC-24 AFF-06: whatever the caller has done to its own signals, session and timers.
func TestExecStartsClean(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t))
	res := r.succeed(call{args: c.execLine(nil, "/bin/cat", "/proc/self/status", "/proc/self/timerslack_ns"), wrap: []string{"nohup"}})
	wantStatus(t, res.stdout, map[string]string{"SigBlk": strings.Repeat("0", 16), "SigIgn": strings.Repeat("0", 16)})
	if slack := strings.TrimSpace(readFile(t, "/proc/self/timerslack_ns")); !strings.HasSuffix(res.stdout, "\n"+slack+"\n") {
		t.Errorf("the timer slack is not %s: %s", slack, res.stdout)
	}
	pid := c.execDetached(nil, "/bin/sleep", "1000")
	if session, err := unix.Getsid(pid); err != nil || session != pid {
		t.Errorf("session %d of process %d, %v", session, pid, err)
	}
	c.delete("--force")
}

// LSM-07 LSM-08: exec joins the container's session keyring, or has its caller's as the container has.
func TestExecKeyring(t *testing.T) {
	r := newRuntime(t)
	callers := "_ses.caller-exec-" + suite.mark
	callerKeyring(t, callers)
	for kind, made := range map[string]struct {
		edits []edit
		flags []string
	}{
		"new": {}, "user namespace": {edits: []edit{userNamespace()}}, "the caller's": {flags: []string{"--no-new-keyring"}},
	} {
		c := r.runDetached(newBundle(t, append(made.edits, linux(func(l *specs.Linux) { l.MaskedPaths = nil }))...), made.flags...)
		name := "_ses." + c.id + ": "
		if kind == "the caller's" {
			name = callers + ": "
		}
		for _, user := range []string{"0", "1000"} {
			if keys := c.exec("cat /proc/keys", "-u", user); !strings.Contains(keys, name) {
				t.Errorf("%s, user %s: the keyring %s is not there:\n%s", kind, user, name, keys)
			}
		}
		c.delete("--force")
	}
}

// LSM-04 LSM-01: --apparmor and a process file's profile in place of the container's.
func TestExecAppArmor(t *testing.T) {
	if enabled, _ := os.ReadFile("/sys/module/apparmor/parameters/enabled"); !strings.HasPrefix(string(enabled), "Y") {
		r := newRuntime(t)
		c := r.runDetached(newBundle(t))
		c.refuseExec("process.apparmorProfile: AppArmor is not enabled", []string{"--apparmor", "x"}, "/bin/true")
		c.delete("--force")
		return
	}
	r := newRuntime(t)
	names := []string{"skep-test-a-" + suite.mark, "skep-test-b-" + suite.mark}
	for _, name := range names {
		profile := "profile " + name + " flags=(attach_disconnected,mediate_deleted) { file, capability, signal, network, }"
		parser(t, "--add", profile)
		t.Cleanup(func() { parser(t, "--remove", profile) })
	}
	for _, more := range [][]edit{nil, {userNamespace()}, {user(1000, 1000)}} {
		c := r.runDetached(newBundle(t, append(more, profiled(names[0]))...))
		const show = "cat /proc/self/attr/current"
		wantLines(t, c.exec(show), names[0]+" (enforce)")
		wantLines(t, c.exec(show, "--apparmor", names[1]), names[1]+" (enforce)")
		wantLines(t, c.execFile(show), names[0]+" (enforce)")
		wantLines(t, c.execFile(show, func(p *specs.Process) { p.ApparmorProfile = names[1] }), names[1]+" (enforce)")
		c.refuseExec("`/proc/thread-self/attr/apparmor/exec`: ", []string{"--apparmor", "nosuch"}, "/bin/true")
		c.delete("--force")
	}
}

// The log's last error is the reason, as the sentence on stderr is.
func TestExecLog(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t))
	log := filepath.Join(tempDir(t), "log.json")
	res := r.do("--log", log, "--log-format", "json", "exec", "--detach", c.id, "nosuch")
	var record struct{ Level, Msg string }
	lines := strings.Split(strings.TrimSpace(readFile(t, log)), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &record); err != nil {
		t.Fatal(err)
	}
	const want = `exec: "nosuch": executable file not found in $PATH`
	if res.code != 255 || record.Level != "error" || !strings.Contains(record.Msg, want) || !strings.Contains(res.stderr, want) {
		t.Errorf("exit %d, %+v, %s", res.code, record, res.stderr)
	}
	c.delete("--force")
}

// A program that is looked at while it is replaced: exec has nothing of the
// runtime's binary (CVE-2019-5736).
func TestExecExecutable(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t)
	b.write("bin/self", "#!/proc/self/exe\n", 0o755)
	c := r.runDetached(b)
	before, err := childOutput(exec.Command("sha256sum", r.binary))
	if err != nil {
		t.Fatal(err)
	}
	res := r.do(c.execLine(nil, "/bin/self")...)
	if res.code == 0 {
		t.Error("an interpreter that is the runtime ran")
	}
	after, err := childOutput(exec.Command("sha256sum", r.binary))
	if err != nil || before != after {
		t.Errorf("the runtime has changed: %v", err)
	}
	c.delete("--force")
}
