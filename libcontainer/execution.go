package libcontainer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/cgroups"
	"skep/libcontainer/process"
	"skep/nsenter"
	"skep/nsenter/plan"
)

// execName is what a process of exec is called until it becomes the program (at most 15 bytes).
const execName = "skep:[exec]"

// execution is a program on its way into a container.
type execution struct {
	candidate
	ctx       context.Context
	container *Container
	init      int // pidfd
	entry     entry
}

// newExecution prepares an execution. The caller closes what it returns.
func newExecution(ctx context.Context, c *Container, s *specs.Spec, o *options) (*execution, error) {
	b := &blueprint{spec: s, slack: o.timerSlack, rights: rightsFor(o)}
	if err := b.designExec(c.state, o); err != nil {
		return nil, err
	}
	init, err := c.state.Init.open()
	if errors.Is(err, ErrNotRunning) {
		err = ErrExecStopped
	}
	if err != nil {
		return nil, err
	}
	return &execution{candidate: candidate{blueprint: b, options: o, root: filepath.Dir(c.dir.path)}, ctx: ctx, container: c, init: init}, nil
}

// designExec finds out what the host lets the process have, and refuses what it does not.
func (b *blueprint) designExec(state *State, o *options) error {
	p := b.spec.Process
	b.process = processHost(b.spec)
	b.process.Keyring = state.Keyring
	b.process.KeepGroups = setgroupsDenied(procFile(state.Init.Pid, ""))
	b.process.AppArmor = p.ApparmorProfile != "" && appArmorEnabled(sysfs)
	b.process.SELinux = p.SelinuxLabel != "" && selinuxEnabled(sysfs)
	if err := b.designStreams(o); err != nil {
		return err
	}
	return b.preserve(o)
}

// conduct brings the program into the container and lets it run.
func (e *execution) conduct() error {
	for _, stage := range [...]func() error{
		e.spawn,
		e.place,
		e.joinRdtGroups,
		e.enter,
		e.settleProcess,
	} {
		err := stage()
		if e.ctx.Err() != nil {
			return context.Cause(e.ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// settleProcess plays the last phases. The gate is a pipe here, whose other end goes with this process: without it
// nothing is started.
func (e *execution) settleProcess() error {
	release, filter, err := e.settle()
	if err != nil {
		return err
	}
	if filter != nil && filter.Notify && !e.rights.admin {
		// Without CAP_SYS_PTRACE in its own user namespace this process could not fetch the listener.
		release.Steps = append([]plan.Step{plan.Dumpable{On: true}}, release.Steps...)
	}
	gate, err := newPipe()
	if err != nil {
		return err
	}
	defer gate.close()
	verdict, err := newPipe()
	if err != nil {
		return err
	}
	defer verdict.close()
	if err := unix.SetNonblock(verdict.read, true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	waitAt(release, descriptor{gate.read, "pipe gate"}, descriptor{verdict.write, "pipe verdict"})
	if err := e.finish(release, filter); err != nil {
		return err
	}
	gate.closeRead()
	verdict.closeWrite()
	return e.start(gate.write, verdict.read, plan.TailOf(release))
}

// finish brings the process to the gate, and its seccomp listener, if it has one, to the agent.
func (e *execution) finish(release *plan.Phase, filter *process.Filter) error {
	if filter == nil || !filter.Notify {
		return e.child.Finish(release)
	}
	listener, err := e.child.FinishListening(release)
	if err != nil {
		return err
	}
	defer listener.Close()
	return sendListener(listener, e.spec.Linux.Seccomp, e.child.Pid, e.container.OCI())
}

// start tells whoever wants to know of the process, and lets it go.
func (e *execution) start(gate, fifo int, tail plan.Tail) error {
	if err := e.announce("setns"); err != nil {
		return err
	}
	if e.options.pidFile != "" {
		if err := writePidFile(e.options.pidFile, e.child.Pid); err != nil {
			return err
		}
		e.pidFileWritten = true
	}
	if _, err := unix.Write(gate, []byte{plan.StartByte}); err != nil {
		return os.NewSyscallError("write", err)
	}
	v := verdict{fifo: fifo, pidfd: e.child.Pidfd(), pid: e.child.Pid, name: execName, release: tail, program: e.program}
	return v.await(e.ctx)
}

// undo leaves nothing of the process. Where the container has ended, that is the reason for whatever failed.
func (e *execution) undo(cause error) error {
	if e.child != nil {
		killFrozen(e.child, e.entry.group)
	}
	if e.pidFileWritten {
		removePidFile(e.options.pidFile)
	}
	if e.ended(cause) {
		return fmt.Errorf("%w: it has ended meanwhile (%w)", ErrExecStopped, cause)
	}
	return e.hint(cause)
}

// killFrozen ends a process in a cgroup that may have been frozen meanwhile, and reaps it.
func killFrozen(child *nsenter.Child, group *cgroups.Group) {
	_ = unix.PidfdSendSignal(child.Pidfd(), unix.SIGKILL, nil, 0) // Kill sends it, too
	const patience = 100 * time.Millisecond
	if awaitExit(child.Pidfd(), child.Pid, patience) != nil {
		_ = group.Release(child.Pid) // else it ends when the cgroup is thawed
	}
	child.Kill()
}

// ended tells whether the container's end is the reason for an error. In a pid namespace of the container's own, init
// has begun to end before any other process is ended; elsewhere delete kills init and the others in any order, and the
// rest of it is worth waiting for.
func (e *execution) ended(cause error) bool {
	state := e.container.state
	st, err := readStat(state.Init.Pid)
	if err != nil || st.start != state.Init.Start || st.exiting && !st.leaderless() {
		return true
	}
	var death *nsenter.DeathError
	died := errors.As(cause, &death) || errors.Is(cause, errDiedInExec) || errors.Is(cause, unix.ESRCH)
	if !st.leaderless() && (state.OwnPidns || !died) {
		return false
	}
	const patience = time.Second
	return awaitExit(e.init, state.Init.Pid, patience) == nil
}

func (e *execution) close() {
	unix.Close(e.init)
	e.closeChild()
}
