package libcontainer

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/cgroups"
	"skep/libcontainer/process"
	"skep/nsenter"
	"skep/nsenter/plan"
	"skep/spec"
)

// Hooks are small plans of their own. The player that becomes the hook takes nothing of this process along: no
// descriptors, signals or timer slack. For a hook inside the container it joins init's cgroups and namespaces first,
// which a Go process could not.

// descriptor is a Source that this process has open anyway.
type descriptor struct {
	fd   int
	name string
}

func (d descriptor) Open() (int, error) {
	fd, err := unix.FcntlInt(uintptr(d.fd), unix.F_DUPFD_CLOEXEC, 3)
	return fd, os.NewSyscallError("dup", err)
}
func (d descriptor) String() string { return d.name }

// Open makes a process a Source: its pidfd.
func (p Process) Open() (int, error) { return p.open() }
func (p Process) String() string     { return "pidfd of init" }

// rootOf is the root directory of a process as a Source.
type rootOf struct{ Process }

func (r rootOf) Open() (int, error) {
	fd, err := openFile(procFile(r.Pid, "root"), unix.O_PATH|unix.O_DIRECTORY)
	if err == nil && !r.Alive() { // the pid was another's by then
		unix.Close(fd)
		return -1, ErrNotRunning
	}
	return fd, err
}
func (r rootOf) String() string { return "root of init" }

// launch starts the hook's program.
func (h *hook) launch(stdin, output int) (*nsenter.Child, error) {
	child, err := h.child()
	if err != nil {
		return nil, err
	}
	p, err := h.phase(stdin, output)
	if err == nil {
		err = child.Become(p)
	}
	if err != nil {
		child.Kill()
		child.Release()
		return nil, err
	}
	return child, nil
}

// child starts a player where the hook is to run.
func (h *hook) child() (*nsenter.Child, error) {
	c := h.container
	temp := filepath.Dir(c.dir.path)
	if !h.at.inside() {
		return nsenter.Start(nsenter.Options{Cgroup: -1, TempDir: temp})
	}
	group := cgroups.Open(c.state.Cgroup)
	child, err := c.startIn(group, &c.options, temp)
	if err != nil {
		return nil, err
	}
	if _, err := child.Run(h.enter(group)); err != nil {
		child.Kill()
		child.Release()
		return nil, err
	}
	return child, nil
}

// openGroup opens the group's v2 directory, to be cloned into. It is -1 where there is none.
func openGroup(g *cgroups.Group) (int, error) {
	dir := g.V2Dir()
	if dir == "" {
		return -1, nil
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("cgroup %s: %w", dir, err)
	}
	return fd, nil
}

// enter is the phase in which the player takes its place beside init. Cgroups come first: behind a cgroup namespace
// their directories are out of sight.
func (h *hook) enter(group *cgroups.Group) *plan.Phase {
	p := &plan.Phase{Name: "join"}
	for _, t := range tasksSources(group) {
		p.Add(plan.JoinCgroup{Tasks: p.Take(t), Name: t.String()})
	}
	flags := namespaceFlags(h.spec.Linux)
	p.Add(join(p.Take(h.container.state.Init), flags))
	if flags&(unix.CLONE_NEWPID|unix.CLONE_NEWTIME) != 0 {
		p.Add(plan.Fork{})
	}
	return p
}

// phase is the hook itself.
func (h *hook) phase(stdin, output int) (*plan.Phase, error) {
	p := &plan.Phase{Name: "hook"}
	in, out := p.Take(descriptor{stdin, "state"}), p.Take(descriptor{output, "output"})
	p.Add(plan.Stream{From: in, FD: 0}, plan.Stream{From: out, FD: 1}, plan.Stream{From: out, FD: 2},
		plan.ResetSignals{}, plan.Setsid{})
	if slack := h.container.options.timerSlack; slack != 0 {
		p.Add(plan.TimerSlack{Nanoseconds: slack})
	}
	if h.at.inside() && spec.FindNamespace(h.spec.Linux, specs.UserNamespace) != nil {
		if err := becomeRoot(p, h.container.state.Init.Pid, processHost(h.spec).Grantable); err != nil {
			return nil, err
		}
	}
	if h.at == startContainer && !spec.MakesMounts(h.spec.Linux) { // else the namespaces have brought it
		p.Add(plan.Keep{From: p.Take(rootOf{h.container.state.Init}), As: plan.Root}, plan.ChangeRoot{})
	}
	p.Add(plan.WorkIn{Path: h.workingDirectory()}, plan.CloseOnExec{First: 3})
	if h.at == startContainer {
		b := blueprint{spec: h.spec}
		filter, err := b.filter(filepath.Dir(h.container.dir.path))
		if err != nil {
			return nil, err
		}
		p.Add(process.Confine(h.spec.Process, processHost(h.spec), filter)...)
	}
	p.Add(hookExec(h.Hook, h.environment()))
	return p, nil
}

func hookExec(h *specs.Hook, env []string) plan.Exec {
	args := h.Args
	if len(args) == 0 {
		args = []string{h.Path}
	}
	return plan.Exec{Path: h.Path, Args: args, Env: env}
}

// workingDirectory is the bundle wherever it is in sight.
func (h *hook) workingDirectory() string {
	joined := spec.FindNamespace(h.spec.Linux, specs.MountNamespace)
	if h.at == startContainer || h.at == createContainer && joined != nil && joined.Path != "" {
		return "/"
	}
	return h.container.state.Bundle
}

// environment is what the configuration gives. A hook for which it gives none gets the caller's environment on the
// host, the program's in the container, and nothing between the two.
func (h *hook) environment() []string {
	switch {
	case h.Env != nil || h.at == createContainer:
		return h.Env
	case h.at == startContainer:
		return h.spec.Process.Env
	}
	return h.container.options.hookEnv
}
