package tests

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/sys/unix"
)

// LC-01 LC-02 LC-03 LC-06 LC-08 LC-10 LC-12 LC-13 LC-14 LC-16 ST-03 OPC-04
// OPC-06 OPS-03 OPD-04
func TestLifecycle(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/sh", "-c", "echo started >/marker; sleep 1000"))
	c := r.create(b)
	if got := c.status(); got != "created" {
		t.Errorf("after create: %s", got)
	}
	if b.exists("marker") {
		t.Error("the program ran before start")
	}
	c.start()
	if got := c.status(); got != "running" {
		t.Errorf("after start: %s", got)
	}
	eventually(t, "the program runs", func() bool { return b.exists("marker") })
	c.stop()
	c.delete()
	r.fails("does not exist", "state", c.id) // OPQ-02
}

// ST-01 ST-02 ST-05 ST-06 ST-07 ST-08 ST-09 ANN-07 OPQ-03
func TestStateFields(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t)
	b.spec.Annotations = map[string]string{"org.example.key": "a value", "x": ""}
	b.save()
	before := time.Now().Add(-time.Second)
	c := r.create(b)

	schema, err := jsonschema.NewCompiler().Compile("../spec/testdata/schema/state-schema.json")
	if err != nil {
		t.Fatal(err)
	}
	judge := func() map[string]any {
		t.Helper()
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(r.ok("state", c.id).stdout))
		if err == nil {
			err = schema.Validate(document)
		}
		if err != nil {
			t.Fatal(err)
		}
		return document.(map[string]any)
	}
	raw := judge()
	known := []string{"ociVersion", "id", "pid", "status", "bundle", "annotations", "rootfs", "created", "owner"}
	for key := range raw {
		if !slices.Contains(known, key) {
			t.Errorf("undocumented key %q", key)
		}
	}
	if raw["ociVersion"] != "1.3.0" {
		t.Errorf("ociVersion is %v", raw["ociVersion"])
	}
	s := r.state(c.id)
	if s.ID != c.id || s.Bundle != b.dir || s.Rootfs != b.rootfs {
		t.Errorf("id, bundle or rootfs are wrong: %+v", s)
	}
	if len(s.Annotations) != 2 || s.Annotations["org.example.key"] != "a value" {
		t.Errorf("annotations are %v", s.Annotations)
	}
	if s.Created.Before(before) || s.Created.After(time.Now()) || s.Created.Location() != time.UTC {
		t.Errorf("created is %v", s.Created)
	}
	if err := unix.Kill(s.Pid, 0); err != nil {
		t.Errorf("pid %d of a created container: %v", s.Pid, err)
	}
	c.start()
	if judge(); r.state(c.id).Pid != s.Pid {
		t.Errorf("pid changed from %d to %d", s.Pid, r.state(c.id).Pid)
	}
	c.stop()
	judge()
	if got := r.state(c.id).Pid; got != 0 {
		t.Errorf("pid of a stopped container is %d", got)
	}
}

// JSON-02 JSON-03 ROOT-03 CLI-11: relative paths belong to the caller's cwd,
// root.path to the bundle.
func TestRelativePaths(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t)
	parent, name := filepath.Split(b.dir)
	for _, flags := range [][]string{{"--bundle", name, "--pid-file", "pid"}, {"--pid-file", "pid"}} {
		dir := b.dir
		if len(flags) > 2 {
			dir = filepath.Clean(parent)
		}
		id := r.id()
		r.succeed(call{args: append(append([]string{"create"}, flags...), id), dir: dir})
		r.live = append(r.live, id)
		s := r.state(id)
		if s.Bundle != b.dir {
			t.Errorf("%v: bundle is %s, want %s", flags, s.Bundle, b.dir)
		}
		if got := readFile(t, filepath.Join(dir, "pid")); got != strconv.Itoa(s.Pid) {
			t.Errorf("%v: pid file holds %q, want %d", flags, got, s.Pid)
		}
		r.ok("delete", "--force", id)
	}
	r.live = nil
}

// ST-11: the status is derived, never stale.
func TestStatusAfterDeathFromOutside(t *testing.T) {
	t.Run("reaped", func(t *testing.T) {
		c := newRuntime(t).runDetached(newBundle(t))
		if err := unix.Kill(c.pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		c.awaitStatus("stopped")
		c.delete()
	})
	t.Run("zombie", func(t *testing.T) {
		r := newRuntime(t)
		keepZombies(t)
		c := r.runDetached(newBundle(t))
		if err := unix.Kill(c.pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		c.awaitStatus("stopped")
		if err := unix.Kill(c.pid, 0); err != nil {
			t.Fatalf("the zombie is gone, so this test shows nothing: %v", err)
		}
		c.delete()
	})
	t.Run("created", func(t *testing.T) {
		r := newRuntime(t)
		c := r.create(newBundle(t))
		if err := unix.Kill(c.pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		c.awaitStatus("stopped")
		r.fails("cannot start a container that has stopped", "start", c.id)
		c.delete()
	})
}

// JSON-13 LC-04: config.json is read once.
func TestConfigChangesAfterCreate(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/sh", "-c", "echo original"))
	c := r.create(b)
	b.spec.Process.Args[2] = "echo changed"
	b.save()
	c.start()
	eventually(t, "the program ends", func() bool { return c.status() == "stopped" })
	if got := c.made.later(t); got != "original\n" {
		t.Errorf("the container printed %q", got)
	}
	if err := os.Remove(b.config()); err != nil {
		t.Fatal(err)
	}
	c.delete() // without its bundle's config.json, too
}

// OPS-01 OPS-02
func TestStartRefusals(t *testing.T) {
	r := newRuntime(t)
	r.fails("does not exist", "start", r.id())
	r.fails("start: ID is missing", "start")
	c := r.create(newBundle(t))
	c.start()
	r.fails("cannot start an already running container", "start", c.id)
	if got := c.status(); got != "running" {
		t.Errorf("after a refused start: %s", got)
	}
	c.stop()
	r.fails("cannot start a container that has stopped", "start", c.id)
}

// OPS-05: of two starts at once one wins.
func TestConcurrentStarts(t *testing.T) {
	r := newRuntime(t)
	c := r.create(newBundle(t, args("/bin/sh", "-c", "echo once; sleep 1000")))
	waits := make([]func() (result, error), 4)
	for i := range waits {
		waits[i] = r.start(call{args: []string{"start", c.id}})
	}
	won := 0
	for _, wait := range waits {
		res, err := wait()
		switch {
		case err != nil:
			t.Error(err)
		case res.code == 0:
			won++
		case !strings.Contains(res.stderr, "cannot start an already running container"):
			t.Errorf("the loser says %q", res.stderr)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d starts succeeded", won, len(waits))
	}
	eventually(t, "output", func() bool { return c.made.later(t) != "" })
	if got := c.made.later(t); got != "once\n" {
		t.Errorf("the container printed %q", got)
	}
}
