package tests

import (
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// strikeAll strikes a command at every step-th point, one run for each, until
// a run comes through unharmed.
func strikeAll(t *testing.T, step int, strike func(n int) (struck bool)) {
	t.Helper()
	const enough = 1000
	for n := 1; n < enough; n += step {
		if struck := strike(n); !struck {
			if n == 1 {
				t.Error("the fault did not strike")
			}
			return
		}
		if t.Failed() {
			t.Fatalf("at point %d", n)
		}
	}
	t.Errorf("the command does not end within %d calls", enough)
}

// checkAbandoned looks at what a killed command has left, and removes it.
func (r *ociRuntime) checkAbandoned(b bundle, id string) {
	r.t.Helper()
	if res := r.do("list", "--quiet"); res.code != 0 {
		r.t.Errorf("list: exit %d, %s", res.code, res.stderr)
	}
	if res := r.do("state", id); res.code != 0 {
		checkError(r.t, "state", res.stderr, id)
	}
	if res := r.do("delete", "--force", id); res.code != 0 || res.stderr != "" {
		r.t.Errorf("delete --force: exit %d, %s", res.code, res.stderr)
	}
	r.checkGone(b, id)
}

// OPD-08 OPD-06: whenever create is killed, delete --force removes what there
// is, and the id is free.
func TestCreateKilledAnywhere(t *testing.T) {
	for _, c := range []struct {
		name string
		step int
		edit edit
	}{
		{"plain", 2, args("/bin/true")},
		{"host's pid namespace", 7, without(specs.PIDNamespace)},
		{"user namespace", 7, userNamespace()},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRuntime(t)
			b, id := newBundle(t, c.edit), r.id()
			strikeAll(t, c.step, func(n int) bool {
				res, struck := r.trace(fault{n: n, kill: true}, "create", "--bundle", b.dir, id)
				if !struck && res.code != 0 {
					t.Errorf("create: exit %d, %s", res.code, res.stderr)
				}
				r.checkAbandoned(b, id)
				return struck
			})
		})
	}
}

// OPD-08: the same for run, from its start on; what comes before is create.
func TestRunKilledAnywhere(t *testing.T) {
	r := newRuntime(t)
	b, id := newBundle(t, args("/bin/true")), r.id()
	strikeAll(t, 2, func(n int) bool {
		_, struck := r.trace(fault{n: n, kill: true, from: unix.SYS_PIDFD_OPEN}, "run", "--bundle", b.dir, id)
		r.checkAbandoned(b, id)
		return struck
	})
}

// OPD-08: what a killed delete has begun is finished by the next one.
func TestDeleteKilledAnywhere(t *testing.T) {
	r := newRuntime(t)
	b, id := newBundle(t), r.id()
	strikeAll(t, 3, func(n int) bool {
		r.ok("run", "--detach", "--bundle", b.dir, id)
		_, struck := r.trace(fault{n: n, kill: true}, "delete", "--force", id)
		r.checkAbandoned(b, id)
		return struck
	})
}

// ERR-01 ERR-03 OPC-08: whatever create cannot do, it says so and leaves
// nothing; what it can do without is no error.
func TestCreateFailsAnywhere(t *testing.T) {
	r := newRuntime(t)
	b, id := newBundle(t, args("/bin/true")), r.id()
	file := filepath.Join(tempDir(t), "pid")
	strikeAll(t, 3, func(n int) bool {
		res, struck := r.trace(fault{n: n, errno: unix.EMFILE, on: isOpen}, "create", "--pid-file", file, "--bundle", b.dir, id)
		switch res.code {
		case 0:
			r.ok("start", id)
			r.ok("delete", "--force", id)
			removeFile(t, file)
		case 1:
			checkError(t, "create", res.stderr, id)
			wantNoFile(t, file)
		default:
			t.Errorf("create: exit %d, %s", res.code, res.stderr)
		}
		r.checkGone(b, id)
		return struck
	})
}

// ERR-01: a run whose start fails leaves nothing.
func TestStartFailsAnywhere(t *testing.T) {
	r := newRuntime(t)
	b, id := newBundle(t, args("/bin/true")), r.id()
	file := filepath.Join(tempDir(t), "pid")
	strikeAll(t, 2, func(n int) bool {
		f := fault{n: n, errno: unix.EMFILE, on: isOpen, from: unix.SYS_PIDFD_OPEN}
		res, struck := r.trace(f, "run", "--detach", "--pid-file", file, "--bundle", b.dir, id)
		switch res.code {
		case 0:
			r.ok("delete", "--force", id)
			removeFile(t, file)
		case 1:
			checkError(t, "run", res.stderr, id)
			wantNoFile(t, file)
		default:
			t.Errorf("run: exit %d, %s", res.code, res.stderr)
		}
		r.checkGone(b, id)
		return struck
	})
}

// ERR-01 OPS-02: a start that fails before the program runs has no effect.
func TestFailedStartHasNoEffect(t *testing.T) {
	r := newRuntime(t)
	fallible := func(call uint64) bool { return isOpen(call) && call != unix.SYS_WRITE }
	strikeAll(t, 1, func(n int) bool {
		c := r.create(newBundle(t, args("/bin/sh", "-c", "echo once; sleep 1000")))
		res, struck := r.trace(fault{n: n, errno: unix.EIO, on: fallible}, "start", c.id)
		if res.code != 0 {
			checkError(t, "start", res.stderr, c.id)
			if got := c.status(); got != "created" {
				t.Errorf("after %s: %s", res.stderr, got)
			}
			c.start()
		}
		eventually(t, "output", func() bool { return c.made.later(t) != "" })
		if got := c.made.later(t); got != "once\n" {
			t.Errorf("the program printed %q", got)
		}
		c.delete("--force")
		return struck
	})
}

// ERR-03 OPD-08: a delete that fails says so, and can be repeated.
func TestDeleteFailsAnywhere(t *testing.T) {
	r := newRuntime(t)
	b, id := newBundle(t), r.id()
	strikeAll(t, 3, func(n int) bool {
		r.ok("run", "--detach", "--bundle", b.dir, id)
		res, struck := r.trace(fault{n: n, errno: unix.EIO, on: isOpen}, "delete", "--force", id)
		switch res.code {
		case 0:
			r.checkGone(b, id)
		case 1:
			checkError(t, "delete", res.stderr, id)
		default:
			t.Errorf("delete: exit %d, %s", res.code, res.stderr)
		}
		r.checkAbandoned(b, id)
		return struck
	})
}

// USR-07 CAP-10: groups, gid and uid in this order, then the capabilities; none of them may fail.
func TestIdentityFails(t *testing.T) {
	r := newRuntime(t)
	b, id := newBundle(t, user(1000, 1000, 7)), r.id()
	var before uint64
	for _, step := range []struct {
		call uint64
		name string
	}{
		{unix.SYS_SETGROUPS, "setgroups"}, {unix.SYS_SETRESGID, "setresgid"}, {unix.SYS_SETRESUID, "setresuid"}, {unix.SYS_CAPSET, "capset"},
	} {
		f := fault{n: 1, errno: unix.EPERM, on: func(call uint64) bool { return call == step.call }, from: before, inside: true}
		res, struck := r.trace(f, "create", "--bundle", b.dir, id)
		if !struck || res.code != 1 {
			t.Errorf("%s after call %d: struck %v, exit %d", step.name, before, struck, res.code)
		}
		checkError(t, "create", res.stderr, step.name+": operation not permitted")
		r.checkGone(b, id)
		before = step.call
	}
}

// ERR-01 ERR-03: init can be killed at any time, for lack of memory say.
func TestInitKilledAnywhere(t *testing.T) {
	r := newRuntime(t)
	b, id := newBundle(t), r.id()
	strikeAll(t, 2, func(n int) bool {
		res, struck := r.trace(fault{n: n, do: killChildren, from: unix.SYS_SOCKETPAIR}, "create", "--bundle", b.dir, id)
		switch res.code {
		case 0: // it was already waiting for start
			r.ok("state", id)
			r.ok("delete", "--force", id)
		case 1:
			checkError(t, "create", res.stderr, id, "killed")
		default:
			t.Errorf("create: exit %d, %s", res.code, res.stderr)
		}
		r.checkGone(b, id)
		return struck
	})
}

// killChildren kills what a process has forked.
func killChildren(parent int) {
	for _, p := range processes() {
		if p.parent == parent {
			_ = unix.Kill(p.pid, unix.SIGKILL) // gone already is as good
		}
	}
}
