package libcontainer

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/cgroups"
	"skep/nsenter"
	"skep/spec"
)

// ExecProcess is a program that Exec runs. It is a child of the calling process.
type ExecProcess struct {
	child *nsenter.Child
	group *cgroups.Group
}

// Pid returns the pid of the process, as this process sees it.
func (p *ExecProcess) Pid() int { return p.child.Pid }

// Pidfd returns a descriptor of the process, which becomes readable when it ends. It stays the ExecProcess's.
func (p *ExecProcess) Pidfd() int { return p.child.Pidfd() }

// Wait waits for the end of the process and reaps it.
func (p *ExecProcess) Wait() unix.WaitStatus { return p.child.Wait() }

// Kill ends the process and reaps it, in a paused container too.
func (p *ExecProcess) Kill() { killFrozen(p.child, p.group) }

// Release lets go of the process, which need not have ended.
func (p *ExecProcess) Release() { p.child.Release() }

// Process returns a copy of the process that the container was created with, to be changed for Exec. Changes to the
// bundle since then do not count.
func (c *Container) Process() (*specs.Process, error) {
	s, err := c.kept()
	if err != nil {
		return nil, err
	}
	if s.Process == nil {
		return &specs.Process{Cwd: "/"}, nil
	}
	p := *s.Process
	p.Args, p.Env = slices.Clone(p.Args), slices.Clone(p.Env)
	p.User.AdditionalGids = slices.Clone(p.User.AdditionalGids)
	if p.Capabilities != nil {
		p.Capabilities = &specs.LinuxCapabilities{
			Bounding: slices.Clone(p.Capabilities.Bounding), Effective: slices.Clone(p.Capabilities.Effective),
			Inheritable: slices.Clone(p.Capabilities.Inheritable), Permitted: slices.Clone(p.Capabilities.Permitted),
			Ambient: slices.Clone(p.Capabilities.Ambient),
		}
	}
	return &p, nil
}

// kept returns the configuration as it was at create, read once.
func (c *Container) kept() (*specs.Spec, error) {
	if c.config == nil {
		s, err := keptConfig(c.dir)
		if err != nil {
			return nil, c.orDeleted(err)
		}
		c.config = s
	}
	return c.config, nil
}

// orDeleted tells whether a file is gone because the container is, once the delete that may have taken it is done.
func (c *Container) orDeleted(err error) error {
	if c.dir.lock != nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	probe := &stateDir{path: c.dir.path}
	gone := probe.acquire(unix.LOCK_SH)
	probe.release()
	if errors.Is(gone, ErrNotExist) {
		return ErrNotExist
	}
	return err
}

// Exec runs another program in a container that has been created and not stopped, in all of init's namespaces and in
// its cgroups, below the same seccomp filter. It returns once the program runs, or with the reason why it does not:
// ErrExecStopped, ErrExecPaused or ErrExecCreating where the container is in no state for it. In a container that is
// paused meanwhile, or was, with [IgnorePaused], that takes until it is resumed, unless ctx ends before.
//
// What p leaves out is the container's: capabilities, limits, labels, scheduling, CPU affinity, umask and oomScoreAdj.
// Of the options count those about the terminal, descriptors, the pid, warnings and exec itself.
func (c *Container) Exec(ctx context.Context, p *specs.Process, opts ...Option) (*ExecProcess, error) {
	o := newOptions(Unprivileged(), opts)
	if err := c.Status().allows().exec; err != nil && (err != ErrExecPaused || !o.ignorePaused) {
		return nil, err
	}
	kept, err := c.kept()
	if err != nil {
		return nil, err
	}
	s := *kept
	s.Process = inherit(p, kept.Process)
	warnings, err := spec.ValidateProcess(s.Process, kept, spec.Options{
		Rootless: !findRights().admin, Detached: o.console == nil, ConsoleSocket: o.consoleSocket != "",
	})
	if err != nil {
		return nil, err
	}
	o.report(warnings)
	e, err := newExecution(ctx, c, &s, o)
	if err != nil {
		return nil, err
	}
	defer e.close()
	if err := e.conduct(); err != nil {
		return nil, e.undo(err)
	}
	child := e.child
	e.child = nil
	return &ExecProcess{child, e.entry.group}, nil
}

// inherit returns the process of exec with what the container gives it.
func inherit(p, container *specs.Process) *specs.Process {
	full := *p
	if container == nil {
		return &full
	}
	if full.Capabilities == nil {
		full.Capabilities = container.Capabilities
	}
	if len(full.Rlimits) == 0 {
		full.Rlimits = container.Rlimits
	}
	if full.ApparmorProfile == "" {
		full.ApparmorProfile = container.ApparmorProfile
	}
	if full.SelinuxLabel == "" {
		full.SelinuxLabel = container.SelinuxLabel
	}
	if full.Scheduler == nil {
		full.Scheduler = container.Scheduler
	}
	if full.IOPriority == nil {
		full.IOPriority = container.IOPriority
	}
	if full.ExecCPUAffinity == nil {
		full.ExecCPUAffinity = container.ExecCPUAffinity
	}
	if full.User.Umask == nil {
		full.User.Umask = container.User.Umask
	}
	if full.OOMScoreAdj == nil {
		full.OOMScoreAdj = container.OOMScoreAdj
	}
	return &full
}
