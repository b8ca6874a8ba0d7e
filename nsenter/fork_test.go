package nsenter

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// joinPid is a step with the pid namespace that the children of a process get.
func joinPid(p *plan.Phase, of *Child, name string) plan.Step {
	return plan.JoinNamespace{Namespace: p.Take(readOnly(of.proc("ns/" + name))), Flag: unix.CLONE_NEWPID, Name: "pid", Path: name}
}

// readOnly is a Source: a file of the host, opened for reading.
type readOnly string

func (f readOnly) Open() (int, error) { return unix.Open(string(f), unix.O_RDONLY|unix.O_CLOEXEC, 0) }
func (f readOnly) String() string     { return string(f) }

// NS-16: the fork lands in its cgroup while the forker stays outside: one process is all that pids.max has to allow.
func TestForkIntoCgroup(t *testing.T) {
	dir := makeCgroup(t, "unified")
	target, c := launch(t, unix.CLONE_NEWPID), launch(t, 0)
	first := c.Pid
	p := &plan.Phase{Name: "fork"}
	p.Add(joinPid(p, target, "pid"), plan.Fork{Cgroup: p.Take(readOnly(dir))})
	if _, err := c.Run(p); err != nil {
		t.Fatal(err)
	}
	inCgroup(t, c, "0::"+cgroupName+"\n")
	if got := field(t, c.Pid, "NSpid"); got != field(t, c.Pid, "Pid")+" 2" || c.Pid == first {
		t.Errorf("pid %d after %d, NSpid %q", c.Pid, first, got)
	}
	if err := unix.Kill(first, 0); err != unix.ESRCH {
		t.Errorf("the forker is still there: %v", err)
	}
	procs, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil || strings.Count(string(procs), "\n") != 1 {
		t.Errorf("in the cgroup are %q, %v", procs, err)
	}
	c.Kill()
}

// A forked init that joins a v1 cgroup is the only one in it.
func TestForkThenJoinCgroup(t *testing.T) {
	dir := makeCgroup(t, "pids")
	if err := os.WriteFile(filepath.Join(dir, "pids.max"), []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	c := launch(t, 0)
	play(t, c, plan.Fork{})
	p := &plan.Phase{Name: "enter"}
	p.Add(plan.JoinCgroup{Tasks: p.Take(file(filepath.Join(dir, "tasks"))), Name: "pids"})
	if _, err := c.Run(p); err != nil {
		t.Fatal(err)
	}
	inCgroup(t, c, ":pids:"+cgroupName+"\n")
	refused(t, c, unix.EAGAIN, plan.Fork{}) // had the first one been inside, so would its fork have been
	c.Kill()
}

// A fork that is refused leaves nothing behind: the child is the one that it was, and can be reaped.
func TestForkIntoDeadNamespace(t *testing.T) {
	target, c := launch(t, unix.CLONE_NEWPID), launch(t, 0)
	fd, err := unix.Open(target.proc("ns/pid"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	target.Kill()
	p := &plan.Phase{Name: "test"}
	p.Add(plan.JoinNamespace{Namespace: p.Take(dup(fd)), Flag: unix.CLONE_NEWPID, Name: "pid", Path: "of the dead"})
	if _, err := c.Run(p); err != nil {
		t.Fatal(err)
	}
	pid := c.Pid
	if e := refused(t, c, unix.ENOMEM, plan.Fork{}); e.Call != "clone" || c.Pid != pid {
		t.Errorf("%v, pid %d after %d", e, c.Pid, pid)
	}
	c.Kill()
	if err := unix.Kill(pid, 0); err != unix.ESRCH {
		t.Errorf("the child is still there: %v", err)
	}
}

type dup int

func (d dup) Open() (int, error) { return unix.FcntlInt(uintptr(d), unix.F_DUPFD_CLOEXEC, 3) }
func (dup) String() string       { return "namespace" }

// NS-10: the kernel is told what a descriptor has to be.
func TestJoinNamespaceOfAnotherType(t *testing.T) {
	target, c := launch(t, unix.CLONE_NEWUTS), launch(t, 0)
	p := &plan.Phase{Name: "test"}
	p.Add(joinPid(p, target, "uts"))
	_, err := c.Run(p)
	if err == nil || !strings.Contains(err.Error(), "join the pid namespace uts by input0: setns: invalid argument") {
		t.Error(err)
	}
}
