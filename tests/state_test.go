package tests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// OPQ-01 OPQ-02 CLI-08
func TestStateRefusals(t *testing.T) {
	r := newRuntime(t)
	r.fails("state: ID is missing", "state")
	r.fails("does not exist", "state", r.id())
}

// freeze freezes the container's cgroup, as anybody may.
func (c *container) freeze() {
	c.t.Helper()
	file, value := "cgroup.freeze", "1"
	if onV1("freezer") {
		file, value = "freezer.state", "FROZEN"
	}
	path := filepath.Join(cgroupDir(c.t, "freezer", c.bundle.cgroup), file)
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		c.t.Fatal(err)
	}
	eventually(c.t, "it is frozen", c.frozen)
}

// ST-04 OPK-07 OPS-02: a container whose cgroup is frozen is paused. KILL ends it
// all the same, though the freezer of version 1 holds even the dying.
func TestKillPaused(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t))
	c.freeze()
	r.fails("cannot start a container in the paused state", "start", c.id)
	r.fails("not stopped: paused", "delete", c.id)
	c.stop()
	c.delete()
}

// OPD-07: delete --force ends a paused container too.
func TestDeletePaused(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t))
	c.freeze()
	c.delete("--force")
}

// CGP-01 CGP-02 OPS-02: an init that is frozen cannot go on, and start does not wait for it.
func TestStartPausedCreated(t *testing.T) {
	r := newRuntime(t)
	c := r.create(newBundle(t))
	c.freeze()
	r.fails("cannot start a container in the paused state", "start", c.id)
	if got := c.status(); got != "created" {
		t.Errorf("after the refused start: %s", got)
	}
	c.delete()
}

// ST-13: a later version may have written more into the state than this one
// knows.
func TestStateWithUnknownFields(t *testing.T) {
	r := newRuntime(t)
	c := r.create(newBundle(t))
	path := filepath.Join(r.root, c.id, "state.json")
	known := readFile(t, path)
	if err := os.WriteFile(path, []byte(`{"future":{"a":[1]},`+strings.TrimPrefix(known, "{")), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := r.state(c.id); got.Pid != c.pid || got.Status != "created" {
		t.Errorf("state: %+v", got)
	}
	c.start()
	c.delete("--force")
}

// ERR-04: what the kernel kills for lack of memory is told from other deaths.
func TestMemoryLimitTooLow(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, resources(func(res *specs.LinuxResources) { res.Memory = &specs.LinuxMemory{Limit: ptr[int64](4096)} }))
	r.refuse(call{args: []string{"create", "--bundle", b.dir, r.id()}}, "linux.resources.memory.limit", "too low")
}
