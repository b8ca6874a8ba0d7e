package cgroups

import (
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func testKillFrozen(t *testing.T, l Layout) {
	g := create(t, l, "/a")
	c := join(t, g, "trap 'echo term; exit 3' TERM; echo trapped; read x")
	if line := c.line(t); line != "trapped" {
		t.Fatal(line)
	}
	if err := g.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := g.Kill(unix.SIGTERM); err != nil { // waits with the process
		t.Fatal(err)
	}
	expectFreezer(t, g, Frozen)
	if err := g.Thaw(); err != nil {
		t.Fatal(err)
	}
	if line := c.line(t); line != "term" {
		t.Errorf("the child said %q", line)
	}
	<-c.dead

	c = join(t, g, "exec sleep 100")
	if err := g.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := g.Kill(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-c.dead
	expectFreezer(t, g, Thawed)
	end(t, g)
}

// A signal other than SIGKILL goes to each process, and thaws them again; so
// does SIGKILL where the kernel has no cgroup.kill.
func testKillEach(t *testing.T, l Layout) {
	g := create(t, l, "/a")
	a, b := join(t, g, "exec sleep 100"), join(t, g, "exec sleep 100")
	if err := g.Kill(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-a.dead
	<-b.dead
	if ws := b.ProcessState.Sys().(syscall.WaitStatus); ws.Signal() != unix.SIGTERM {
		t.Errorf("the child ended by %v", ws)
	}
	expectFreezer(t, g, Thawed)
	c := join(t, g, "exec sleep 100")
	if err := g.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := g.killEach(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-c.dead
	expectFreezer(t, g, Thawed)
	end(t, g)
}

func testKillForks(t *testing.T, l Layout) {
	for _, kill := range []func(*Group) error{
		func(g *Group) error { return g.Kill(unix.SIGKILL) },
		func(g *Group) error { return g.killEach(unix.SIGKILL) },
	} {
		g := create(t, l, "/a")
		c := join(t, g, "while :; do sleep 100 & sleep 0.01; done")
		for {
			pids, err := g.Procs()
			if err != nil {
				t.Fatal(err)
			}
			if len(pids) > 5 {
				break
			}
			time.Sleep(longestPause)
		}
		if err := kill(g); err != nil {
			t.Fatal(err)
		}
		<-c.dead
		if err := g.Remove(); err != nil {
			t.Fatal(err)
		}
	}
}

// A freezer that asks each process once misses some of these.
func testFreezeForks(t *testing.T, l Layout) {
	g := create(t, l, "/a")
	join(t, g, "while :; do sleep 0.001; done")
	for range 10 {
		if err := g.Freeze(); err != nil {
			t.Fatal(err)
		}
		expectFreezer(t, g, Frozen)
		if err := g.Thaw(); err != nil {
			t.Fatal(err)
		}
	}
	end(t, g)
}
