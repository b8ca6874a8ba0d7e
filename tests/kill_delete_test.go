package tests

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// OPK-02 OPK-01
func TestKillRefusals(t *testing.T) {
	r := newRuntime(t)
	r.fails("does not exist", "kill", r.id(), "KILL")
	r.fails("kill: ID is missing", "kill")
	c := r.runDetached(newBundle(t))
	for _, signal := range []string{"NOSUCH", "0x9", "-1", "65", "SIG"} {
		r.fails("signal", "kill", c.id, signal)
	}
	if got := c.status(); got != "running" {
		t.Errorf("after refused signals: %s", got)
	}
	c.stop()
	r.fails("container not running", "kill", c.id, "KILL")
	r.ok("kill", "--all", c.id, "KILL") // CLI-09: containerd relies on it
}

// OPK-03 OPK-04: names, numbers and the default reach init.
func TestKillSignals(t *testing.T) {
	r := newRuntime(t)
	// The shell's names are those of busybox's trap; 40 is a real-time signal.
	script := `for s in TERM HUP USR1 USR2 40; do trap "echo $s" $s; done; echo ready; while :; do sleep 0.01; done`
	c := r.runDetached(newBundle(t, args("/bin/sh", "-c", script)))
	eventually(t, "traps are set", func() bool { return c.made.later(t) == "ready\n" })
	want := "ready\n"
	rt := "RTMIN+" + strconv.Itoa(40-34)
	for _, k := range []struct {
		args []string
		name string
	}{
		{nil, "TERM"}, {[]string{"TERM"}, "TERM"}, {[]string{"SIGUSR1"}, "USR1"}, {[]string{"USR2"}, "USR2"},
		{[]string{"1"}, "HUP"}, {[]string{"sigusr1"}, "USR1"}, {[]string{"40"}, "40"}, {[]string{rt}, "40"}, {[]string{"SIG" + rt}, "40"},
	} {
		if res := r.do(append([]string{"kill", c.id}, k.args...)...); res.code != 0 {
			t.Errorf("kill %v: %s", k.args, res.stderr)
			continue
		}
		want += k.name + "\n"
		eventually(t, "signal "+strings.Join(k.args, ""), func() bool { return c.made.later(t) == want })
	}
}

// OPK-03: the program of a created container is the waiting init.
func TestKillCreated(t *testing.T) {
	r := newRuntime(t)
	c := r.create(newBundle(t))
	c.stop()
	c.delete()
}

// OPK-06: without a pid namespace of its own, KILL ends all of the container.
func TestKillWithoutPidNamespace(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, without(specs.PIDNamespace), args("/bin/sh", "-c", "sleep 1001 & sleep 1002 & wait"))
	c := r.runDetached(b)
	members := func() int { return len(cgroupProcs(t, b, "pids")) }
	eventually(t, "three processes", func() bool { return members() == 3 })
	c.ok("kill", c.id, "KILL")
	eventually(t, "no process is left", func() bool { return members() == 0 })
	c.awaitStatus("stopped")
	c.delete()
}

// OPD-01 OPD-02 CLI-09 OPD-07
func TestDeleteRefusals(t *testing.T) {
	r := newRuntime(t)
	r.fails("delete: ID is missing", "delete")
	r.fails("does not exist", "delete", r.id())
	if res := r.do("delete", "--force", r.id()); res.code != 0 {
		t.Errorf("delete --force of an unknown id: exit %d, %s", res.code, res.stderr)
	}
	c := r.runDetached(newBundle(t))
	r.fails("cannot delete container "+c.id+" that is not stopped: running", "delete", c.id)
	if got := r.state(c.id); got.Status != "running" || got.Pid != c.pid {
		t.Errorf("after a refused delete: %+v", got)
	}
}

// OPD-03 OPD-07 OPD-06 OPD-04
func TestDeleteKills(t *testing.T) {
	r := newRuntime(t)
	c := r.create(newBundle(t))
	c.delete()
	if !ended(c.pid) {
		t.Errorf("init %d of the deleted container lives", c.pid)
	}
	for range 2 { // the same id again
		r.ok("run", "--detach", "--bundle", newBundle(t).dir, c.id)
		pid := r.state(c.id).Pid
		r.ok("delete", "--force", c.id)
		if !ended(pid) {
			t.Errorf("init %d of the deleted container lives", pid)
		}
		r.fails("does not exist", "state", c.id)
	}
}

// OPD-07: a start that waits for an init that does not go on is no reason to wait for it, too.
func TestDeleteForceDuringStart(t *testing.T) {
	r := newRuntime(t)
	c := r.create(newBundle(t))
	if err := unix.Kill(c.pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	started := r.start(call{args: []string{"start", c.id}})
	eventually(t, "started", func() bool { return r.state(c.id).Status == "running" })
	r.ok("delete", "--force", c.id)
	if res, err := started(); err != nil || res.code != 1 || !strings.Contains(res.stderr, "SIGKILL") {
		t.Errorf("start: exit %d, %s, %v", res.code, res.stderr, err)
	}
	r.fails("does not exist", "state", c.id)
}

// OPD-08: a state that cannot be read is no reason to stay.
func TestDeleteForceBrokenState(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "null": "null", "cut": `{"id":`} {
		t.Run(name, func(t *testing.T) {
			r := newRuntime(t)
			c := r.runDetached(newBundle(t))
			path := filepath.Join(r.root, c.id, "state.json")
			if err := os.Truncate(path, 0); err != nil { // it must be there
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if res := r.do("state", c.id); res.code != 1 {
				t.Errorf("state: exit %d", res.code)
			}
			if res := r.do("list"); res.code != 0 {
				t.Errorf("list: exit %d, %s", res.code, res.stderr)
			}
			if res := r.do("delete", "--force", c.id); res.code != 0 {
				t.Errorf("delete --force: exit %d, %s", res.code, res.stderr)
			}
		})
	}
}

// OPD-08: without the configuration, too, only the default cgroup can be the container's. It goes if nobody is in it:
// a container of another root may have the same id.
func TestDeleteForceUnknown(t *testing.T) {
	r := newCgroupfsRuntime(t)
	other := r.runDetached(newBundle(t, linux(func(l *specs.Linux) { l.CgroupsPath = "" })))
	root := r.root
	r.root = tempDir(t)
	b := newBundle(t, onCgroupfs)
	r.ok("create", "--bundle", b.dir, other.id)
	state := r.state(other.id)
	spoil := func() {
		for _, name := range []string{"state.json", "config.json"} {
			writeFile(t, filepath.Join(r.root, other.id, name), "{")
		}
	}
	spoil()
	res := r.do("delete", "--force", other.id)
	if want := itoa(other.pid); res.code != 0 || !strings.Contains(res.stderr, "/skep/"+other.id+" stays, with the processes ["+want+"]") {
		t.Errorf("exit %d, %s", res.code, res.stderr)
	}
	r.fails("does not exist", "state", other.id)
	_ = unix.Kill(state.Pid, unix.SIGKILL) // nobody knows it any more
	eventually(t, "the cgroup is empty", func() bool { reapOrphans(); return removedCgroups(b) })
	r.root = root
	if status := other.status(); status != "running" {
		t.Errorf("the other container is %s", status)
	}
	other.stop()
	spoil()
	r.ok("delete", "--force", other.id)
	if left := cgroupsOf(bundle{cgroup: "/skep/" + other.id}); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// removedCgroups removes the cgroups of a container that nobody knows, once they are empty.
func removedCgroups(b bundle) bool {
	for _, dir := range cgroupsOf(b) {
		_ = unix.Rmdir(dir)
	}
	return len(cgroupsOf(b)) == 0
}

// OPD-08 HKW-10: poststop hooks need to be told where the bundle is.
func TestDeleteForceSkipsPoststop(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t)
	addHooks(b, hookLists()[5], shHook("echo poststop >>"+b.rootfs+"/log"))
	c := r.create(b)
	writeFile(t, filepath.Join(r.root, c.id, "state.json"), "{")
	if res := r.do("delete", "--force", c.id); res.code != 0 || !strings.Contains(res.stderr, "hooks.poststop: not run: the state") {
		t.Errorf("exit %d, %s", res.code, res.stderr)
	}
	if b.exists("log") {
		t.Error("the hook has run")
	}
}

// OPD-05: a cgroup that was there before stays.
func TestDeleteKeepsForeignCgroup(t *testing.T) {
	r := newCgroupfsRuntime(t)
	b := newBundle(t, onCgroupfs)
	dir := makeCgroup(t, "pids", b.cgroup)
	c := r.create(b)
	c.delete()
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("the cgroup of somebody else: %v", err)
	}
}
