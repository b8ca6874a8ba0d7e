package tests

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ociRuntime is the runtime under test with a state directory of its own.
type ociRuntime struct {
	t      *testing.T
	binary string
	root   string
	driver driver
	ids    int                 // how many ids were handed out
	live   []string            // containers to remove when the test ends
	as     *syscall.Credential // who calls it, unless a call says otherwise
	cgroup *os.File            // where in cgroup v2 it is called, nil for that of the tests
}

// newRuntime also starts the leak check of the test.
func newRuntime(t *testing.T) *ociRuntime {
	t.Helper()
	return newRuntimeOf(t, suite.binary)
}

func newRuntimeOf(t *testing.T, binary string) *ociRuntime {
	t.Helper()
	leakCheck(t)
	if binary != suite.binary {
		t.Cleanup(sweep) // runc's delete gives up on a cgroup that is busy for a moment; that is not what is tested
	}
	r := &ociRuntime{t: t, binary: binary, root: filepath.Join(tempDir(t), "root"), driver: suite.driver}
	if err := os.Mkdir(r.root, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, id := range r.live {
			if res := r.do("delete", "--force", id); res.code != 0 {
				t.Errorf("delete --force %s: %s", id, res.stderr)
			}
		}
		for _, e := range r.entries() {
			t.Errorf("left in the runtime's root: %s", e)
		}
		eventually(t, "no unit is left", func() bool { return len(suite.driver.units(t)) == 0 })
	})
	return r
}

// entries lists the state directories. The seccomp cache may stay, and no
// container id can have its name.
func (r *ociRuntime) entries() []string {
	r.t.Helper()
	list, err := os.ReadDir(r.root)
	if err != nil {
		r.t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		if e.Name() != "@seccomp" {
			names = append(names, e.Name())
		}
	}
	return names
}

// id makes a container id that is unique on this machine.
func (r *ociRuntime) id() string {
	r.ids++
	return suite.mark + "-" + strconv.Itoa(r.ids)
}

// call is one invocation of the runtime.
type call struct {
	args  []string
	wrap  []string   // a command line to put before the runtime's
	stdin string     // read through a pipe; empty: /dev/null
	extra []*os.File // descriptors from 3
	env   []string   // added to the caller's environment
	dir   string
	user  *syscall.Credential
	bare  bool // without --root
}

// result is what one invocation did. Output goes to files: a container that
// lives on would keep a pipe open.
type result struct {
	stdout, stderr string
	code           int
	outFile        string // for what a detached container still writes
}

// later returns what is in the standard output by now.
func (res result) later(t *testing.T) string {
	t.Helper()
	return readFile(t, res.outFile)
}

func (r *ociRuntime) call(c call) result {
	r.t.Helper()
	res, err := r.start(c)()
	if err != nil {
		r.t.Fatal(err)
	}
	return res
}

// start begins an invocation and returns the function that waits for its end,
// which is an error if it does not come in time.
func (r *ociRuntime) start(c call) func() (result, error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	line := append(slices.Clone(c.wrap), r.binary)
	if !c.bare {
		line = append(append(line, "--root", r.root), r.driver.flags(c)...)
	}
	line = append(line, c.args...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Dir, cmd.ExtraFiles = c.dir, c.extra
	cmd.Env = append(os.Environ(), c.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cmp.Or(c.user, r.as)}
	if r.cgroup != nil {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(r.cgroup.Fd())
	}
	if c.stdin != "" {
		cmd.Stdin = strings.NewReader(c.stdin)
	}
	dir := tempDir(r.t)
	var res result
	res.outFile = filepath.Join(dir, "stdout")
	stdout, stderr := createFile(r.t, res.outFile), createFile(r.t, filepath.Join(dir, "stderr"))
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := startChild(cmd); err != nil {
		r.t.Fatal(err)
	}
	return func() (result, error) {
		defer cancel()
		err := waitChild(cmd)
		stdout.Close()
		stderr.Close()
		res.stdout, res.stderr = readFile(r.t, stdout.Name()), readFile(r.t, stderr.Name())
		res.code = cmd.ProcessState.ExitCode()
		var exit *exec.ExitError
		switch {
		case ctx.Err() != nil:
			return res, errors.New(strings.Join(line, " ") + ": no end within " + patience.String() + "\n" + res.stderr)
		case err != nil && !errors.As(err, &exit):
			return res, err
		case strings.Contains(res.stderr, "goroutine 1 ["):
			return res, errors.New(strings.Join(line, " ") + ": panic\n" + res.stderr)
		}
		return res, nil
	}
}

func (r *ociRuntime) do(args ...string) result {
	r.t.Helper()
	return r.call(call{args: args})
}

// ok runs a command that must succeed, and in silence on stderr: go-runc
// joins both streams before it parses them (CLI-06, OPQ-03).
func (r *ociRuntime) ok(args ...string) result {
	r.t.Helper()
	return r.succeed(call{args: args})
}

func (r *ociRuntime) succeed(c call) result {
	r.t.Helper()
	res := r.call(c)
	if res.code != 0 || res.stderr != "" {
		r.t.Fatalf("%s: exit %d\nstdout: %s\nstderr: %s", strings.Join(c.args, " "), res.code, res.stdout, res.stderr)
	}
	return res
}

// refuse runs a command that must fail with exit code 1 and one sentence that
// holds all the wanted texts (CLI-07, CLI-08, ERR-03).
func (r *ociRuntime) refuse(c call, want ...string) {
	r.t.Helper()
	res := r.call(c)
	line := strings.Join(c.args, " ")
	if res.code == 0 && len(c.args) > 1 { // what should not be there is still to be removed
		r.live = append(r.live, c.args[len(c.args)-1])
	}
	if res.code != 1 {
		r.t.Errorf("%s: exit %d, want 1\nstderr: %s", line, res.code, res.stderr)
	}
	checkError(r.t, line, res.stderr, want...)
	if res.stdout != "" {
		r.t.Errorf("%s: failed, but wrote to stdout: %s", line, res.stdout)
	}
}

func (r *ociRuntime) fails(want string, args ...string) {
	r.t.Helper()
	r.refuse(call{args: args}, want)
}

func checkError(t *testing.T, line, stderr string, want ...string) {
	t.Helper()
	if stderr == "" {
		t.Errorf("%s: failed without a word", line)
	}
	for _, w := range want {
		if !strings.Contains(stderr, w) {
			t.Errorf("%s: the error lacks %q: %s", line, w, stderr)
		}
	}
	for _, dump := range []string{"&{", "map[", "0xc0", "%!"} {
		if strings.Contains(stderr, dump) {
			t.Errorf("%s: the error shows Go's internals: %s", line, stderr)
		}
	}
}

// state is what `state` prints, as go-runc reads it.
type state struct {
	Version     string            `json:"ociVersion"`
	ID          string            `json:"id"`
	Pid         int               `json:"pid"`
	Status      string            `json:"status"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Created     time.Time         `json:"created"`
	Annotations map[string]string `json:"annotations"`
}

func (r *ociRuntime) state(id string) state {
	r.t.Helper()
	var s state
	if err := json.Unmarshal([]byte(r.ok("state", id).stdout), &s); err != nil {
		r.t.Fatalf("state %s: %v", id, err)
	}
	return s
}

// container is one that create or run -d has made.
type container struct {
	*ociRuntime
	id     string
	bundle bundle
	pid    int
	made   result // of the command that made it
}

func (r *ociRuntime) create(b bundle, flags ...string) *container {
	r.t.Helper()
	return r.make(b, call{args: append([]string{"create"}, flags...)})
}

func (r *ociRuntime) runDetached(b bundle, flags ...string) *container {
	r.t.Helper()
	return r.make(b, call{args: append([]string{"run", "--detach"}, flags...)})
}

// make completes and runs a create or a detached run.
func (r *ociRuntime) make(b bundle, c call) *container {
	r.t.Helper()
	id := r.id()
	c.args = append(c.args, "--bundle", b.dir, id)
	made := r.succeed(c)
	r.live = append(r.live, id)
	return &container{ociRuntime: r, id: id, bundle: b, pid: r.state(id).Pid, made: made}
}

func (c *container) start() {
	c.t.Helper()
	c.ok("start", c.id)
}

func (c *container) status() string {
	c.t.Helper()
	return c.state(c.id).Status
}

func (c *container) awaitStatus(want string) {
	c.t.Helper()
	eventually(c.t, c.id+" is "+want, func() bool { return c.status() == want })
}

// stop kills the container and waits for its end.
func (c *container) stop() {
	c.t.Helper()
	c.ok("kill", c.id, "KILL")
	c.awaitStatus("stopped")
}

func (c *container) delete(flags ...string) {
	c.t.Helper()
	c.ok(append(append([]string{"delete"}, flags...), c.id)...)
	c.live = slices.DeleteFunc(c.live, func(id string) bool { return id == c.id })
}

// run runs the bundle in the foreground.
func (r *ociRuntime) run(b bundle, flags ...string) result {
	r.t.Helper()
	return r.call(call{args: r.runLine(b, flags...)})
}

func (r *ociRuntime) runLine(b bundle, flags ...string) []string {
	return append(append([]string{"run"}, flags...), "--bundle", b.dir, r.id())
}

// sh runs a shell script in a container and returns what it printed.
func (r *ociRuntime) sh(script string, edits ...edit) string {
	r.t.Helper()
	return r.output(newBundle(r.t, append(edits, args("/bin/sh", "-ec", script))...))
}

// output runs a bundle whose program must succeed.
func (r *ociRuntime) output(b bundle, flags ...string) string {
	r.t.Helper()
	return strings.TrimSpace(r.succeed(call{args: r.runLine(b, flags...)}).stdout)
}
