package nsenter

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// pidfdOf is a Source: the process of another child.
type pidfdOf struct{ c *Child }

func (p pidfdOf) Open() (int, error) {
	return unix.FcntlInt(uintptr(p.c.Pidfd()), unix.F_DUPFD_CLOEXEC, 3)
}
func (pidfdOf) String() string { return "pidfd" }

// After a fork the child is another process, in the namespaces that it has joined, and this one's to wait for.
func TestJoinAndFork(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			flags := unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWUTS
			target := pack(t, k.user, uintptr(flags&^unix.CLONE_NEWNS)).Child
			if k.user {
				flags |= unix.CLONE_NEWUSER
			}
			c := launch(t, 0)
			first := c.Pid
			p := &plan.Phase{Name: "join"}
			p.Add(plan.Setns{Process: p.Take(pidfdOf{target}), Flags: flags, Name: "all"}, plan.Fork{})
			if _, err := c.Run(p); err != nil {
				t.Fatal(err)
			}
			if c.Pid == first || field(t, c.Pid, "PPid") != field(t, os.Getpid(), "Pid") {
				t.Errorf("pid %d after %d, child of %s", c.Pid, first, field(t, c.Pid, "PPid"))
			}
			if got := field(t, c.Pid, "NSpid"); got != field(t, c.Pid, "Pid")+" 2" {
				t.Errorf("NSpid is %q", got)
			}
			for _, ns := range []string{"pid", "mnt", "uts", "user"} {
				if a, b := readlink(t, target.proc("ns/"+ns)), readlink(t, c.proc("ns/"+ns)); a != b {
					t.Errorf("in %s, want %s", b, a)
				}
			}
			play(t, c, plan.Hostname{Name: "joined"})
		})
	}
}

func readlink(t *testing.T, path string) string {
	t.Helper()
	name, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// A fork that is refused leaves the child as it was.
func TestForkRefused(t *testing.T) {
	c := launch(t, 0)
	pid := c.Pid
	refused(t, c, unix.EAGAIN, plan.Rlimit{Resource: unix.RLIMIT_NPROC, Name: "nproc"},
		plan.SetIDs{UID: 65534, GID: 65534}, plan.SetCaps{}, plan.Fork{})
	if c.Pid != pid {
		t.Error("another process was adopted")
	}
}

// Become returns when the program runs, or says why it does not.
func TestBecome(t *testing.T) {
	c := launch(t, 0)
	err := c.Become(&plan.Phase{Name: "hook", Steps: []plan.Step{plan.CloseOnExec{First: 3},
		plan.Exec{Path: "/bin/sh", Args: []string{"sh", "-c", "exit 7"}}}})
	if err != nil {
		t.Fatal(err)
	}
	if status := c.Wait(); Ended(status) != "exited with status 7" {
		t.Error(Ended(status))
	}

	c = launch(t, 0)
	err = c.Become(&plan.Phase{Name: "hook", Steps: []plan.Step{plan.Exec{Path: "/nosuch", Args: []string{"x"}}}})
	var step *plan.StepError
	if !errors.As(err, &step) || step.Errno != unix.ENOENT {
		t.Errorf("a missing program: %v", err)
	}

	c = launch(t, 0)
	if err := c.Become(&plan.Phase{Name: "hook", Steps: []plan.Step{plan.WorkIn{Path: "/"}}}); err == nil {
		t.Error("a phase without an exec became something")
	}

	c = launch(t, 0)
	_ = unix.PidfdSendSignal(c.Pidfd(), unix.SIGKILL, nil, 0)
	awaitExit(t, c.Pidfd())
	var death *DeathError
	if err := c.Become(&plan.Phase{Name: "hook"}); !errors.As(err, &death) {
		t.Errorf("of a dead child: %v", err)
	}
	if got := Ended(c.Wait()); got != "was killed by SIGKILL" {
		t.Error(got)
	}
}
