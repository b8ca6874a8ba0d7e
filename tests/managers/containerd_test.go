package managers

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// containerd is a daemon with a client and the images of the suite.
type containerd struct {
	*daemon
	address string
	config  string // path of config.toml
}

// ctrNamespace separates these containers within containerd; ctr puts their
// cgroups below a directory of this name.
const ctrNamespace = "managers"

// TestContainerd drives containerd's shim by ctr.
func TestContainerd(t *testing.T) {
	need(t, "containerd", "containerd-shim-runc-v2", "ctr", "busybox")
	d := startContainerd(t, noCRI)
	d.importImages(t)
	ownCgroup(t, ctrNamespace)
	for _, c := range slices.Concat(ctrRunCases, ctrLimitCases, ctrPrivilegeCases, ctrAgentCases, ctrTaskCases, ctrIOCases, ctrLifeCases) {
		testCase(t, c.name, d.daemon, func(t *testing.T) { c.run(newCtr(t, d)) })
	}
}

// noCRI is the configuration of a containerd that serves ctr alone.
const noCRI = `disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]`

func startContainerd(t *testing.T, configuration string) *containerd {
	t.Helper()
	dir := tempDir(t)
	d := &containerd{address: filepath.Join(dir, "sock"), config: filepath.Join(dir, "config.toml")}
	writeFile(t, d.config, `version = 2
root = "`+dir+`/root"
state = "`+dir+`/state"
`+configuration+`
[grpc]
  address = "`+d.address+`"
`)
	d.daemon = startDaemon(t, "containerd successfully booted", "containerd", "--config", d.config)
	// Registered after the daemon's stop, and so run before it: what a broken
	// runtime has left is removed with the pid namespace, but its mounts hold
	// the directory.
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return d
}

func (d *containerd) importImages(t *testing.T) {
	t.Helper()
	for _, archive := range []string{
		busyboxArchive(t, busyboxImage, defaultConfig),
		debianArchive(t, debianImage, defaultConfig),
	} {
		d.ctr("images", "import", archive).succeed(t)
	}
}

// ctr is a command of the client.
func (d *containerd) ctr(args ...string) call {
	return call{line: append([]string{"ctr", "--address", d.address, "--namespace", ctrNamespace}, args...)}
}

// ctrCase is one subtest.
type ctrCase struct {
	name string
	run  func(c *ctr)
}

// ctr is what a case has: a container's name, and how to get at it.
type ctr struct {
	checks
	*containerd
	id    string
	execs int // how many exec ids were handed out
}

func newCtr(t *testing.T, d *containerd) *ctr {
	c := &ctr{checks: checks{t}, containerd: d, id: strings.ToLower(filepath.Base(t.Name()))}
	t.Cleanup(func() {
		if t.Failed() { // it may have left what the next cases would stumble over
			for _, id := range strings.Fields(d.ctr("container", "list", "--quiet").run(t).stdout) {
				c.remove(id)
			}
		}
	})
	return c
}

// runCall is `ctr run` with the runtime under test; args begin with flags.
func (c *ctr) runCall(args ...string) call {
	return c.ctr(append([]string{"run", "--runc-binary", runtimeUnderTest}, args...)...)
}

// scriptCall runs a shell script in a container of the busybox image.
func (c *ctr) scriptCall(script string, flags ...string) call {
	return c.runCall(append(flags, busyboxImage, c.id, "sh", "-ec", script)...)
}

// sh runs a script in the foreground and returns what it has printed.
func (c *ctr) sh(script string, flags ...string) string {
	c.Helper()
	return c.output(c.scriptCall(script, append(flags, "--rm")...))
}

// detach runs a script in the background until the case ends.
func (c *ctr) detach(script string, flags ...string) {
	c.Helper()
	c.scriptCall(script, append(flags, "--detach")...).succeed(c.T)
	c.Cleanup(func() { c.remove(c.id) })
}

// remove kills and deletes a container.
func (c *ctr) remove(id string) {
	c.Helper()
	if _, status := c.task(id); status != "none" {
		c.ctr("task", "delete", "--force", id).succeed(c.T)
	}
	c.ctr("container", "delete", id).succeed(c.T)
}

// exec runs a command in the container and returns what it has printed.
func (c *ctr) exec(line ...string) string {
	c.Helper()
	return c.output(c.execCall(nil, line...))
}

// execCall is an exec with flags of ctr's.
func (c *ctr) execCall(flags []string, line ...string) call {
	c.execs++
	args := []string{"task", "exec", "--exec-id", fmt.Sprintf("exec-%d", c.execs)}
	return c.ctr(slices.Concat(args, flags, []string{c.id}, line)...)
}

// streams are what a program is known to write to.
type streams int

const (
	stdout streams = 1 << iota
	stderr
)

// outcome runs a program in the foreground, and again when nothing arrives on
// one of its streams: ctr does not hear what it has not begun to listen to
// when the program ends, which happens on a busy machine, whatever the
// runtime.
func (c *ctr) outcome(call call, writes streams) (res result) {
	c.Helper()
	for range 5 {
		res = call.run(c.T)
		if (writes&stdout == 0 || res.stdout != "") && (writes&stderr == 0 || res.stderr != "") {
			break
		}
	}
	return res
}

// output returns what a program writes, which must succeed.
func (c *ctr) output(call call) string {
	c.Helper()
	res := c.outcome(call, stdout)
	if res.code != 0 {
		c.Fatalf("%s: %+v", strings.Join(call.line, " "), res)
	}
	return res.stdout
}

// attach runs a script in the foreground, for the test to talk to.
func (c *ctr) attach(script string, flags ...string) *session {
	c.Helper()
	return onPipes(c.T, c.scriptCall(script, append(flags, "--rm")...).line...)
}

// task returns the pid and the status of a task, as ctr lists them.
func (c *ctr) task(id string) (pid int, status string) {
	c.Helper()
	for line := range strings.Lines(c.ctr("task", "list").succeed(c.T)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == id {
			pid, err := strconv.Atoi(f[1])
			if err != nil {
				c.Fatal(err)
			}
			return pid, f[2]
		}
	}
	return 0, "none"
}

func (c *ctr) pid() int {
	c.Helper()
	pid, status := c.task(c.id)
	if pid == 0 {
		c.Fatalf("task %s: %s", c.id, status)
	}
	return pid
}

// proc is the path of a file of init's below /proc.
func (c *ctr) proc(name string) string {
	c.Helper()
	return fmt.Sprintf("/proc/%d/%s", c.pid(), name)
}

func (c *ctr) status() string {
	c.Helper()
	_, status := c.task(c.id)
	return status
}
