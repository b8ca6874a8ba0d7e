package nsenter

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// TestDeath ends the child in the middle of a phase.
func TestDeath(t *testing.T) {
	for _, test := range []struct {
		name string
		die  func(c *Child, l *plan.Lowering)
		want string
	}{
		{"exit", func(_ *Child, l *plan.Lowering) { l.Call(unix.SYS_EXIT_GROUP, plan.Imm(7)) },
			"phase test: the container's process exited with status 7"},
		{"signal", func(c *Child, l *plan.Lowering) { l.Call(unix.SYS_KILL, plan.Imm(c.Pid), plan.Imm(int(unix.SIGKILL))) },
			"phase test: the container's process was killed by SIGKILL"},
		{"fault", func(_ *Child, l *plan.Lowering) {
			l.Call(-2, plan.Imm(8), plan.Imm(0), plan.Imm(0), plan.Imm(0)) // a check of the word at address 8
		}, "phase test: the container's process was killed by SIGSEGV"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := launch(t, 0)
			die := records(func(l *plan.Lowering) { test.die(c, l) })
			for _, last := range []func(*plan.Phase) error{
				func(p *plan.Phase) error { _, err := c.Run(p); return err },
				c.Finish,
			} {
				err := last(&plan.Phase{Name: "test", Steps: []plan.Step{die}})
				var death *DeathError
				if !errors.As(err, &death) || err.Error() != test.want {
					t.Errorf("got %v, want %s", err, test.want)
				}
			}
			if _, err := os.Stat(c.proc("stat")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a zombie is left: %v", err)
			}
		})
	}
}

// TestDeathBetweenPhases finds the child gone when the next phase is sent.
func TestDeathBetweenPhases(t *testing.T) {
	c := launch(t, 0)
	if err := unix.PidfdSendSignal(c.Pidfd(), unix.SIGTERM, nil, 0); err != nil {
		t.Fatal(err)
	}
	awaitExit(t, c.Pidfd())
	_, err := c.Run(&plan.Phase{Name: "next"})
	if err == nil || err.Error() != "phase next: the container's process was killed by SIGTERM" {
		t.Errorf("got %v", err)
	}
	if got := c.Wait(); !got.Signaled() || got.Signal() != unix.SIGTERM {
		t.Errorf("a second wait says %#x", got)
	}
}

// TestClosed lets go of a child that waits for its next phase.
func TestClosed(t *testing.T) {
	c := launch(t, 0)
	play(t, c)
	c.Close()
	const noParent = 120 // player.c
	if status := c.Wait(); status.ExitStatus() != noParent {
		t.Errorf("status %#x", status)
	}
}

// TestKillBusy ends a child that waits in a record, and kills what is dead already.
func TestKillBusy(t *testing.T) {
	c := launch(t, 0)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	p := &plan.Phase{Name: "test"}
	in := p.Take(file("/proc/self/fd/" + strconv.Itoa(int(r.Fd()))))
	p.Add(records(func(l *plan.Lowering) { l.Call(unix.SYS_READ, plan.Value(in), plan.Addr(plan.Result(0)), plan.Imm(1)) }))
	if _, err := c.send(p); err != nil {
		t.Fatal(err)
	}
	c.Kill()
	c.Kill()
	if got := c.Wait(); got.Signal() != unix.SIGKILL {
		t.Errorf("status %#x", got)
	}
}

// TestStartFails asks for what the kernel refuses: no process, descriptor or file is left.
func TestStartFails(t *testing.T) {
	null, err := os.Open("/dev/null") // before the others are counted: the first one makes Go open its poller
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	before := len(ownDescriptors(t))
	if c, err := Start(Options{Flags: unix.CLONE_NEWNS | unix.CLONE_FS, Cgroup: -1, TempDir: t.TempDir()}); !errors.Is(err, unix.EINVAL) {
		t.Errorf("%v, %v", c, err)
	}
	if c, err := Start(Options{Cgroup: int(null.Fd()), TempDir: t.TempDir()}); !errors.Is(err, unix.EBADF) {
		t.Errorf("%v, %v", c, err)
	}
	if after := ownDescriptors(t); len(after) != before {
		t.Errorf("%d descriptors before, now %v", before, after)
	}
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("child %d is left, %v", pid, err)
	}
}

// ownDescriptors lists what this process has open.
func ownDescriptors(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var open []string
	for _, e := range entries {
		if name, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil { // not the directory that was listed
			open = append(open, e.Name()+" "+name)
		}
	}
	return open
}

// TestNoDescriptorLeaks follows children through every way to end, and compares what this process has open.
func TestNoDescriptorLeaks(t *testing.T) {
	long := records(func(l *plan.Lowering) { l.Bytes(make([]byte, 2*inlineMax)) })
	fail := records(func(l *plan.Lowering) { l.Call(unix.SYS_CLOSE, plan.Imm(1000)) })
	die := records(func(l *plan.Lowering) { l.Call(unix.SYS_EXIT_GROUP, plan.Imm(1)) })
	undefined := plan.Close{Slots: []plan.Slot{plan.Mask}}
	export := plan.Export{Slot: plan.Input(0)} // the control socket itself would keep its end open here
	runs := [][]plan.Step{{long}, {export, fail}, {export, long, die}, {undefined}}
	var before []string
	for round := range 2 {
		for _, steps := range runs {
			for _, source := range []string{"/dev/null", "/none"} {
				for _, last := range []bool{false, true} {
					end(t, steps, source, last)
				}
			}
		}
		if open := ownDescriptors(t); round == 0 {
			before = open
		} else if len(open) != len(before) {
			t.Errorf("open now:\n%s\nbefore:\n%s", strings.Join(open, "\n"), strings.Join(before, "\n"))
		}
	}
}

func end(t *testing.T, steps []plan.Step, source string, last bool) {
	t.Helper()
	c, err := Start(Options{Cgroup: -1, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	p := &plan.Phase{Name: "test", Steps: steps}
	p.Take(file("/dev/null"))
	p.Take(file(source))
	if last {
		if err := c.Finish(p); err == nil {
			t.Error("a phase that waits for no start is finished")
		}
	} else if res, err := c.Run(p); err == nil {
		res.close()
	}
	c.Kill()
	c.Release()
}
