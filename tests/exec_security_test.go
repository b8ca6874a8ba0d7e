package tests

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// LSM-04: the labels of exec come from its flags, its process file, or the container, in this order.
func TestExecLabels(t *testing.T) {
	r := newRuntime(t)
	file := filepath.Join(tempDir(t), "process.json")
	process := func(change func(*specs.Process)) string {
		p := *defaultSpec().Process
		p.Args = []string{"/bin/cat", "/proc/self/attr/current"}
		change(&p)
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, file, string(text))
		return file
	}
	if enabled, _ := os.ReadFile("/sys/module/apparmor/parameters/enabled"); !strings.HasPrefix(string(enabled), "Y") {
		c := r.runDetached(newBundle(t))
		for want, flags := range map[string][]string{
			"process.apparmorProfile: AppArmor is not enabled": {"--apparmor", "web", c.id, "/bin/true"},
			"process.selinuxLabel: SELinux is not enabled":     {"--process-label", "u:r:t:s0", c.id, "/bin/true"},
			"process.apparmorProfile: AppArmor is not":         {"--process", process(func(p *specs.Process) { p.ApparmorProfile = "web" }), c.id},
		} {
			if res := r.do(append([]string{"exec"}, flags...)...); res.code != 255 || !strings.Contains(res.stderr, want) {
				t.Errorf("%q: exit %d, %s", flags, res.code, res.stderr)
			}
		}
		c.delete("--force")
		return
	}
	names := make([]string, 3)
	for i := range names {
		names[i] = "skep-test-" + suite.mark + "-" + itoa(i)
		profile := "profile " + names[i] + " flags=(attach_disconnected,mediate_deleted) { file, capability, signal, network, }"
		parser(t, "--add", profile)
		t.Cleanup(func() { parser(t, "--remove", profile) })
	}
	c := r.runDetached(newBundle(t, profiled(names[0])))
	wantLines(t, r.ok("exec", c.id, "/bin/cat", "/proc/self/attr/current").stdout, names[0]+" (enforce)")
	wantLines(t, r.ok("exec", "--apparmor", names[1], c.id, "/bin/cat", "/proc/self/attr/current").stdout, names[1]+" (enforce)")
	process(func(p *specs.Process) { p.ApparmorProfile = names[2] })
	wantLines(t, r.ok("exec", "--process", file, c.id).stdout, names[2]+" (enforce)")
	c.delete("--force")
}

// NS-03: whoever enters a container is in its mount namespace before the container's processes can see it. Those
// with CAP_SYS_PTRACE could otherwise reach the host through the root of its directory in /proc.
func TestExecBringsNoHostRoot(t *testing.T) {
	r := newRuntime(t)
	mark := filepath.Join(tempDir(t), "host")
	writeFile(t, mark, "")
	const execs = 8 // each has the next pid
	pids := ""
	for i := range execs {
		pids += " " + itoa(2+i)
	}
	watch := "echo ready; while :; do for p in" + pids + "; do [ -e /proc/$p/root" + mark + " ] && echo $p has the root of the host; done; done"
	for _, edits := range [][]edit{nil, {namespace(specs.CgroupNamespace, "")}} {
		c := r.runDetached(newBundle(t, append(edits, capabilities("CAP_SYS_PTRACE"), args("/bin/sh", "-c", watch))...))
		eventually(t, "watching", func() bool { return strings.HasPrefix(c.made.later(t), "ready\n") })
		for range execs {
			r.ok("exec", c.id, "/bin/true")
		}
		wantLines(t, c.made.later(t), "ready")
		c.delete("--force")
	}
}

// SEC-24 SEC-11 CPS-05 CPS-07: exec is below the same filter, and its agent gets a listener of its own.
func TestExecSeccompNotify(t *testing.T) {
	for name, more := range map[string]edit{"no_new_privs": noNewPrivileges(true), "privileges": noNewPrivileges(false)} {
		t.Run(name, func(t *testing.T) {
			r, agent := newRuntime(t), newSeccompAgent(t)
			c := r.create(newBundle(t, more, notify(agent.path, "mkdir", "mkdirat"), func(s *specs.Spec) { s.Linux.Seccomp.ListenerMetadata = "mine" }))
			_, first := agent.accept()
			asked := serve(first, func(int) unix.Errno { return unix.ENOSPC })
			c.start()
			wait := r.start(call{args: []string{"exec", c.id, "/bin/sh", "-c", "mkdir /tmp/no || echo refused; exit 9"}})
			payload, second := agent.accept()
			var got specs.ContainerProcessState
			if err := json.Unmarshal(payload, &got); err != nil {
				t.Fatalf("%v: %s", err, payload)
			}
			if got.State.Status != specs.StateRunning || got.State.Pid != c.pid || got.Pid == c.pid || got.Pid == 0 || got.Metadata != "mine" {
				t.Errorf("the agent got %s", payload)
			}
			askedOfExec := serve(second, func(int) unix.Errno { return unix.EROFS })
			res, err := wait()
			if err != nil || res.code != 9 || !strings.Contains(res.stderr, "Read-only file system") || res.stdout != "refused\n" {
				t.Errorf("exit %d, %q %s%v", res.code, res.stdout, res.stderr, err)
			}
			if len(askedOfExec()) != 1 || len(asked()) != 0 {
				t.Errorf("asked %v, and of init %v", askedOfExec(), asked())
			}
			agent.alone()
			c.delete("--force")
		})
	}
}
