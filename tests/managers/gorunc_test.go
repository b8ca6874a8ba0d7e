package managers

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/go-runc"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// goruncGroup is where the containers of TestGoRunc have their cgroups.
const goruncGroup = "/gorunc"

// TestGoRunc uses the runtime as containerd's shim does, through the client
// library that the shim uses; every call of it but Checkpoint and Restore.
func TestGoRunc(t *testing.T) {
	ownCgroup(t, goruncGroup)
	tree := busyboxTree(t)
	for name, run := range map[string]func(c *goRunc){
		"Lifecycle":   (*goRunc).lifecycle,
		"Run":         (*goRunc).run,
		"RunDetached": (*goRunc).runDetached,
		"ExtraFiles":  (*goRunc).extraFiles,
		"Console":     (*goRunc).console,
		"PidfdSocket": (*goRunc).pidfd,
		"Exec":        (*goRunc).exec,
		"ExecConsole": (*goRunc).execConsole,
		"Kill":        (*goRunc).kill,
		"List":        (*goRunc).list,
		"Pause":       (*goRunc).pause,
		"Processes":   (*goRunc).processes,
		"Update":      (*goRunc).update,
		"Stats":       (*goRunc).stats,
		"Events":      (*goRunc).events,
		"Errors":      (*goRunc).errors,
		"About":       (*goRunc).about,
	} {
		testCase(t, name, nil, func(t *testing.T) { run(newGoRunc(t, tree)) })
	}
}

// goRunc is one case: a client with a state directory, and the next container.
type goRunc struct {
	*testing.T
	runc.Runc
	ctx    context.Context
	id     string
	bundle string
	spec   specs.Spec
}

func newGoRunc(t *testing.T, tree string) *goRunc {
	t.Helper()
	dir := tempDir(t)
	// A runtime tells its version as "runc version" when it stands in for runc.
	link := filepath.Join(dir, "runc")
	if err := os.Symlink(runtimeUnderTest, link); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	c := &goRunc{T: t, ctx: ctx, id: strings.ToLower(filepath.Base(t.Name())), bundle: tempDir(t)}
	c.Runc = runc.Runc{
		Command: link, Root: filepath.Join(dir, "root"), Log: filepath.Join(dir, "log.json"), LogFormat: runc.JSON,
		PdeathSignal: 9, // as the shim
	}
	run(t, link, "spec", "--bundle", c.bundle)
	if err := json.Unmarshal([]byte(readFile(t, filepath.Join(c.bundle, "config.json"))), &c.spec); err != nil {
		t.Fatal(err)
	}
	c.spec.Root = &specs.Root{Path: tree}
	c.spec.Process.Terminal = false
	c.spec.Linux.CgroupsPath = goruncGroup + "/" + c.id
	return c
}

// program says what the container is to run, and writes the bundle.
func (c *goRunc) program(args ...string) {
	c.Helper()
	c.spec.Process.Args = args
	c.writeSpec()
}

func (c *goRunc) writeSpec() {
	c.Helper()
	writeFile(c.T, filepath.Join(c.bundle, "config.json"), string(marshal(c.T, c.spec)))
}

// check fails the case on an error.
func (c *goRunc) check(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// started makes a container that runs a shell script, without streams.
func (c *goRunc) started(script string) (pid int) {
	c.Helper()
	c.program("sh", "-ec", script)
	c.create(&runc.CreateOpts{IO: c.nullIO()})
	c.check(c.Start(c.ctx, c.id))
	state, err := c.State(c.ctx, c.id)
	c.check(err)
	return state.Pid
}

// create makes a container that is removed when the case ends.
func (c *goRunc) create(opts *runc.CreateOpts) {
	c.Helper()
	c.check(c.Create(c.ctx, c.id, c.bundle, opts))
	c.Cleanup(func() { c.remove() })
}

func (c *goRunc) remove() {
	c.Helper()
	if err := c.Delete(context.Background(), c.id, &runc.DeleteOpts{Force: true}); err != nil {
		c.Error(err)
	}
}

func (c *goRunc) nullIO() runc.IO {
	c.Helper()
	null, err := runc.NewNullIO()
	c.check(err)
	c.Cleanup(func() { null.Close() })
	return null
}

// status returns the state's.
func (c *goRunc) status() string {
	c.Helper()
	state, err := c.State(c.ctx, c.id)
	c.check(err)
	return state.Status
}

func (c *goRunc) awaitStatus(want string) {
	c.Helper()
	eventually(c.T, c.id+" is "+want, func() bool { return c.status() == want })
}

// wantStatus fails the case unless the error says that the program has ended
// with this exit status.
func (c *goRunc) wantStatus(err error, want int) {
	c.Helper()
	var exit *runc.ExitError
	if !errors.As(err, &exit) || exit.Status != want {
		c.Errorf("%v, want exit status %d", err, want)
	}
}

// wantError fails the case unless the error has all the texts.
func (c *goRunc) wantError(err error, texts ...string) {
	c.Helper()
	if err == nil {
		c.Errorf("no error, want %q", texts)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			c.Errorf("the error lacks %q: %v", text, err)
		}
	}
}
