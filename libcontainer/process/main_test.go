package process

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter"
	"skep/nsenter/plan"
	"skep/spec"
)

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests change ids and capabilities: run them as root")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// path is a Source: a file of the host, opened with these flags.
type path struct {
	name  string
	flags int
}

func (p path) Open() (int, error) { return unix.Open(p.name, p.flags|unix.O_CLOEXEC, 0) }
func (p path) String() string     { return p.name }

// container is a child on its way through the phases of a process, with the host's root as its own.
type container struct {
	*nsenter.Child
	t    *testing.T
	dir  string // open to every user
	host Host
	tail plan.Tail
}

// openDir is a directory that every user may enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// launch starts a child that ends with the test.
func launch(t *testing.T, flags uintptr) *container {
	t.Helper()
	child, err := nsenter.Start(nsenter.Options{Flags: flags, Cgroup: -1, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		child.Kill()
		child.Release()
	})
	c := &container{Child: child, t: t, dir: openDir(t), host: hostOf(t)}
	inputs := c.inputs(map[plan.Slot]path{plan.Root: {"/", unix.O_PATH | unix.O_DIRECTORY}})
	inputs.Add(plan.ResetSignals{}) // the caller of the tests may ignore some
	c.play(inputs)
	return c
}

// hostOf is what this machine lets the test's children have.
func hostOf(t *testing.T) Host {
	t.Helper()
	last, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		t.Fatal(err)
	}
	h := Host{}
	if h.LastCap, err = strconv.Atoi(strings.TrimSpace(string(last))); err != nil {
		t.Fatal(err)
	}
	own := statusOf(t, "self")
	h.Grantable = hex(t, own["CapPrm"]) & hex(t, own["CapBnd"])
	return h
}

// inputs is a phase that brings descriptors.
func (c *container) inputs(files map[plan.Slot]path) *plan.Phase {
	p := &plan.Phase{Name: "inputs"}
	for slot, file := range files {
		p.Add(plan.Keep{From: p.Take(file), As: slot})
	}
	return p
}

func (c *container) play(p *plan.Phase) *nsenter.Results {
	c.t.Helper()
	res, err := c.Run(p)
	if err != nil {
		c.t.Fatal(err)
	}
	return res
}

// settle plays the phase of the process and looks the program up.
func (c *container) settle(p *specs.Process, filter *Filter) (string, error) {
	c.t.Helper()
	phase, warnings, err := Settle(p, c.host, filter != nil)
	if err != nil || len(warnings) > 0 {
		c.t.Fatalf("%v, warnings %q", err, warnings)
	}
	answers := []func(plan.Slot) unix.Errno{c.play(phase).Errno}
	for _, more := range MoreProbes(p) {
		answers = append(answers, c.play(more).Errno)
	}
	return Choose(p, answers...)
}

// await brings the child to the gate.
func (c *container) await(p *specs.Process, program string, env []string, filter *Filter) {
	c.t.Helper()
	fifos := map[plan.Slot]path{
		plan.Gate: {c.dir + "/gate", os.O_RDWR}, plan.Verdict: {c.dir + "/verdict", os.O_RDWR},
	}
	for _, f := range fifos {
		if err := unix.Mkfifo(f.name, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	release := Release(p, program, env, c.host, filter)
	var keep []plan.Step
	for slot, file := range fifos {
		keep = append(keep, plan.Keep{From: release.Take(file), As: slot})
	}
	release.Steps = append(keep, release.Steps...)
	c.tail = plan.TailOf(release)
	if err := c.Finish(release); err != nil {
		c.t.Fatal(err)
	}
}

// atGate plays all of a process up to the gate and returns its /proc/PID/status there.
func (c *container) atGate(p *specs.Process, filter *Filter) map[string]string {
	c.t.Helper()
	program, err := c.settle(p, filter)
	if err != nil {
		c.t.Fatal(err)
	}
	c.await(p, program, nil, filter)
	return statusOf(c.t, strconv.Itoa(c.Pid))
}

// open lets the child go and returns the errno of its exec, and its status once it has ended.
func (c *container) open() (unix.Errno, unix.WaitStatus) {
	c.t.Helper()
	verdict, err := os.OpenFile(c.dir+"/verdict", os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	defer verdict.Close()
	gate, err := os.OpenFile(c.dir+"/gate", os.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	defer gate.Close()
	if _, err := gate.Write([]byte{plan.StartByte}); err != nil {
		c.t.Fatal(err)
	}
	status := c.Wait() // a refused init ends after its answer
	answer := make([]byte, 512)
	n, _ := unix.Read(int(verdict.Fd()), answer)
	if n < 8 {
		return 0, status
	}
	if step, last := c.tail.At(int(binary.NativeEndian.Uint32(answer))); !last {
		c.t.Errorf("%s failed", step)
	}
	return unix.Errno(binary.NativeEndian.Uint32(answer[4:])), status
}

// statusOf reads /proc/PID/status.
func statusOf(t *testing.T, pid string) map[string]string {
	t.Helper()
	b, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal(err)
	}
	return fields(string(b))
}

// fields are the lines of a /proc/PID/status.
func fields(status string) map[string]string {
	all := make(map[string]string)
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		all[name] = strings.Join(strings.Fields(value), " ")
	}
	return all
}

func hex(t *testing.T, s string) uint64 {
	t.Helper()
	v, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// grantable names the capabilities that this machine can grant.
func grantable(h Host) []string {
	var all []string
	for _, c := range spec.Capabilities {
		if h.Grantable>>c.Value&1 != 0 {
			all = append(all, c.Name)
		}
	}
	return all
}
