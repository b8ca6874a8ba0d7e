package libcontainer

import (
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/cgroups"
	"skep/libcontainer/process"
	"skep/nsenter"
	"skep/nsenter/plan"
	"skep/spec"
)

// How a process of exec comes to where init is. Only the next process is in a joined pid namespace, so that the player
// forks. It forks straight into the v2 cgroup while it is itself outside of that: a pids.max with room for one more is
// enough, and the kernel asks the forker for the right to write there, which behind the container's user and cgroup
// namespaces it would not have. All other namespaces are joined before: from the moment at which the container's
// processes see the new one, those with CAP_SYS_PTRACE can follow /proc/PID/root.

// entry is the way in.
type entry struct {
	group *cgroups.Group
	moved bool // the player is in the cgroup already
	first int  // CLONE_NEW* of the namespaces that are joined before the fork
	rest  int  // and of those after it
	forks bool
}

// designEntry decides on the way. An unprivileged caller has the right to join anything but together with the user
// namespace; that leaves only the cgroup namespace for later.
func (e *execution) designEntry() error {
	group, err := e.cgroupsOfExec()
	if err != nil {
		return err
	}
	all := namespaceFlags(e.spec.Linux)
	e.entry = entry{group: group, rest: all}
	if all&unix.CLONE_NEWPID == 0 && group.V2Dir() == "" && e.initialAffinity() == "" {
		return nil
	}
	e.entry.forks = true
	if all&unix.CLONE_NEWPID != 0 {
		e.entry.first = all &^ unix.CLONE_NEWCGROUP
		if e.rights.admin {
			e.entry.first &^= unix.CLONE_NEWUSER
		}
	}
	e.entry.rest = all &^ e.entry.first
	return nil
}

func (e *execution) cgroupsOfExec() (*cgroups.Group, error) {
	own := cgroups.Open(e.container.state.Cgroup)
	if len(e.cgroups) > 0 {
		return own.Below(e.cgroups)
	}
	return own.Beside(e.container.state.Init.Pid)
}

// namespaceFlags are the CLONE_NEW* flags of the namespaces that a container does not share with the host.
func namespaceFlags(l *specs.Linux) int {
	flags := 0
	for _, ns := range l.Namespaces {
		row, _ := spec.Namespaces.Lookup(ns.Type)
		flags |= int(row.Flag)
	}
	return flags
}

// join is the step that joins namespaces of the process whose pidfd is in a slot.
func join(pidfd plan.Slot, flags int) plan.Setns {
	var names []string
	for _, ns := range spec.Namespaces {
		if flags&int(ns.Value.Flag) != 0 {
			names = append(names, string(ns.Name))
		}
	}
	return plan.Setns{Process: pidfd, Flags: flags, Name: strings.Join(names, " ")}
}

func (e *execution) initialAffinity() string {
	if a := e.spec.Process.ExecCPUAffinity; a != nil {
		return a.Initial
	}
	return ""
}

// spawn makes the player.
func (e *execution) spawn() error {
	if err := e.designEntry(); err != nil {
		return err
	}
	var err error
	options := nsenter.Options{Cgroup: -1, Streams: e.streams, TempDir: e.root,
		Stalled: func(socket int) error { return awaitInput(e.ctx, socket) }}
	if e.entry.moved = e.container.outside(e.entry.group); e.entry.moved {
		e.child, err = e.container.startAttached(e.entry.group, e.options, options)
	} else {
		e.child, err = nsenter.Start(options)
	}
	if err != nil {
		return err
	}
	return e.settleLimits()
}

// place has the player fork into the cgroup and the pid namespace.
func (e *execution) place() error {
	p := &plan.Phase{Name: "join"}
	p.Add(plan.Dumpable{}, plan.Name{Name: execName})
	if list := e.initialAffinity(); list != "" {
		p.Add(process.Affinity("process.execCPUAffinity.initial", list))
	}
	e.child.Queue(p)
	if !e.entry.forks {
		return nil
	}
	if e.entry.first != 0 {
		p.Add(join(p.Take(e.pidfd()), e.entry.first))
	}
	fork := plan.Fork{}
	if dir := e.entry.group.V2Dir(); dir != "" && !e.entry.moved {
		fork.Cgroup = p.Take(directory(dir))
	}
	p.Add(fork)
	_, err := e.child.Play()
	return err
}

func (e *execution) pidfd() plan.Source { return descriptor{e.init, "pidfd of init"} }

// enter has the process that goes on join the rest, and brings it to where init was after its mounts were made.
func (e *execution) enter() error {
	p := &plan.Phase{Name: "enter"}
	p.Add(plan.ResetSignals{}, plan.Setsid{})
	if e.slack != 0 {
		p.Add(plan.TimerSlack{Nanoseconds: e.slack})
	}
	for _, t := range tasksSources(e.entry.group) {
		p.Add(plan.JoinCgroup{Tasks: p.Take(t), Name: t.String()})
	}
	if process.Labelled(e.spec.Process) { // the host's: what the container has at /proc is under its control
		p.Add(plan.Keep{From: p.Take(directory("/proc")), As: plan.Procfs},
			plan.ProveFilesystem{Slot: plan.Procfs, Type: "procfs", Magic: unix.PROC_SUPER_MAGIC})
	}
	if e.entry.rest != 0 {
		p.Add(join(p.Take(e.pidfd()), e.entry.rest))
	}
	p.Add(e.finalAffinity()...)
	if spec.FindNamespace(e.spec.Linux, specs.UserNamespace) != nil {
		if err := becomeRoot(p, e.container.state.Init.Pid, e.blueprint.process.Grantable); err != nil {
			return err
		}
	}
	p.Add(inheritedByAll(e.spec.Linux)...)
	if spec.MakesMounts(e.spec.Linux) {
		p.Add(plan.OpenRoot{Path: "/"})
	} else { // the namespaces, if any, have brought another root than init's
		p.Add(plan.Keep{From: p.Take(rootOf{e.container.state.Init}), As: plan.Root}, plan.ChangeRoot{})
	}
	if e.spec.Process.Terminal {
		p.Add(plan.OpenPty{}, plan.Export{Slot: plan.PtyMaster}, plan.Close{Slots: []plan.Slot{plan.PtyMaster}})
	}
	e.child.Queue(p)
	return nil
}

// finalAffinity undoes what the process has inherited from the caller, if nothing is asked for. Where an initial
// affinity was, and no final one, the kernel decides what becomes of it (config.md#linux-process).
func (e *execution) finalAffinity() []plan.Step {
	switch a := e.spec.Process.ExecCPUAffinity; {
	case a != nil && a.Final != "":
		return []plan.Step{process.Affinity("process.execCPUAffinity.final", a.Final)}
	case a != nil && a.Initial != "":
		return nil
	}
	return []plan.Step{plan.ResetAffinity{}}
}
