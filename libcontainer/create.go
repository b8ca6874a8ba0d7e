package libcontainer

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/libcontainer/netdev"
	"skep/libcontainer/process"
	"skep/nsenter"
	"skep/nsenter/plan"
)

// Create makes a container of a bundle, up to the point where its program can be started (runtime.md#create). On an
// error nothing of it is left. It is ErrInvalidID or ErrExist where the id cannot be had; what is wrong with the
// configuration is told with its JSON paths.
func Create(ctx context.Context, root, id, bundle string, opts ...Option) (*Container, error) {
	return makeContainer(ctx, root, id, bundle, opts, (*creation).create)
}

// makeContainer makes a container in one of several ways.
func makeContainer(ctx context.Context, root, id, bundle string, opts []Option, way func(*creation) error) (*Container, error) {
	if err := ValidateID(id); err != nil {
		return nil, err
	}
	if err := checkKernel(); err != nil {
		return nil, err
	}
	o := newOptions(Unprivileged(), opts)
	o.notifyIn(root, id)
	b, err := design(ctx, bundle, id, o)
	if err != nil {
		return nil, err
	}
	defer b.close()
	o.report(b.warnings)
	dir, err := makeStateDir(root, id)
	if err != nil {
		return nil, err
	}
	defer dir.release()
	c := &creation{candidate: candidate{blueprint: b, options: o, root: root}, ctx: ctx, dir: dir, state: &State{
		ID: id, Bundle: b.bundle, Rootfs: b.root, Created: time.Now().UTC(), Annotations: b.spec.Annotations,
		HasProcess: b.spec.Process != nil, Keyring: b.process.Keyring,
	}}
	defer c.close()
	if err := way(c); err != nil {
		return nil, c.undo(err)
	}
	made := c.container()
	made.dir, made.complete = &stateDir{path: dir.path}, true
	return made, nil
}

// creation is a container in the making.
type creation struct {
	candidate
	ctx   context.Context
	dir   *stateDir
	state *State
	moved *netdev.Moved // nil without network devices
}

// container is what there is of it so far.
func (c *creation) container() *Container {
	return &Container{dir: c.dir, state: c.state, options: *c.options}
}

// create makes the container, in the order of the lifecycle.
func (c *creation) create() error {
	return c.conduct(
		c.keepConfig,
		c.makeNotifyDir,
		c.makeCgroups,
		c.makeRdtGroups,
		c.spawn,
		c.settleParentSide,
		c.place,
		c.startUnit,
		c.joinRdtGroups,
		c.enterNamespaces,
		c.moveDevices,
		c.buildRootfs,
		c.settleProcess,
		c.complete,
	)
}

// conduct goes through the stages, up to the first that fails.
func (c *creation) conduct(stages ...func() error) error {
	for _, stage := range stages {
		if c.ctx.Err() != nil {
			return context.Cause(c.ctx)
		}
		if err := stage(); err != nil {
			return c.hint(err)
		}
	}
	return nil
}

// keepConfig stores a private copy: what happens to the bundle's config.json after create changes nothing.
func (c *creation) keepConfig() error { return c.dir.write(configFile, c.config.Raw) }

func (c *creation) makeCgroups() error {
	facts, err := c.group.Plan()
	if err != nil {
		return c.withoutCgroups(err)
	}
	c.state.Cgroup = facts
	if err := c.dir.writeState(journalFile, c.state); err != nil {
		return err
	}
	if c.manages() {
		return nil
	}
	return c.fillCgroups()
}

// fillCgroups makes the cgroups and sets their limits.
func (c *creation) fillCgroups() error {
	err := c.group.Create(c.writes)
	// After an error nothing is the container's: undo must not touch what somebody else made there meanwhile.
	c.state.Cgroup = c.group.Facts()
	if err != nil {
		return c.withoutCgroups(err)
	}
	if err := c.group.Apply(c.writes); err != nil {
		return err
	}
	return c.group.Delegate(c.spec)
}

func (c *creation) spawn() error {
	flags, _, _ := c.namespaceFlags()
	err := c.clone(flags, !c.forks() && !c.manages()) // else init is still to come, or its cgroup
	c.state.OwnPidns = c.makes(specs.PIDNamespace)
	return err
}

// clone makes the child, in new namespaces and, on v2, in the container's cgroup.
func (c *creation) clone(flags uintptr, inCgroup bool) error {
	cgroup := -1
	if inCgroup {
		var err error
		if cgroup, err = openGroup(c.group); err != nil {
			return err
		}
		if cgroup >= 0 {
			defer unix.Close(cgroup)
		}
	}
	child, err := nsenter.Start(nsenter.Options{Flags: flags, Cgroup: cgroup, Streams: c.streams, TempDir: c.dir.path})
	if err != nil {
		return err
	}
	c.child = child
	c.owners.child, c.owners.temp = child, c.dir.path
	return c.identifyInit()
}

// settleParentSide does what only the parent may do to the child, while the child still has the parent's ids.
func (c *creation) settleParentSide() error {
	if err := c.settleLimits(); err != nil {
		return err
	}
	if flags, _, _ := c.namespaceFlags(); flags&unix.CLONE_NEWUSER == 0 {
		return nil
	}
	return c.writeIDMaps()
}

func (c *creation) enterNamespaces() error {
	c.child.Queue(c.enter(tasksSources(c.group)))
	return nil
}

func (c *creation) buildRootfs() error {
	for _, p := range c.mounts.Rootfs {
		c.child.Queue(p)
		if err := c.copyUp(p); err != nil {
			return err
		}
	}
	if err := c.hooks(); err != nil {
		return err
	}
	c.child.Queue(c.mounts.Pivot)
	return nil
}

// settleProcess plays the last phases: the process gets its identity, its program is looked up with that identity,
// and init comes to wait at the gate.
func (c *creation) settleProcess() error {
	p := c.spec.Process
	if p == nil {
		return c.finish(&plan.Phase{Name: "release", Steps: []plan.Step{plan.AwaitStart{}}}, nil)
	}
	release, filter, err := c.settle()
	if err != nil {
		return err
	}
	c.state.Program = c.program
	return c.finish(release, filter)
}

// finish sends the last phase together with the two fifos that start will use. The filter is what the phase loads.
func (c *creation) finish(release *plan.Phase, filter *process.Filter) error {
	for _, name := range [...]string{gateFile, verdictFile} {
		if err := unix.Mkfifo(c.dir.file(name), 0o600); err != nil {
			return fmt.Errorf("mkfifo %s: %w", c.dir.file(name), err)
		}
	}
	waitAt(release, fifo(c.dir.file(gateFile)), fifo(c.dir.file(verdictFile)))
	c.state.Release = plan.TailOf(release)
	// Until now init dies with its parent; from here on the journal has to name it.
	if err := c.dir.writeState(journalFile, c.state); err != nil {
		return err
	}
	if filter != nil && filter.Notify {
		return c.finishListening(release)
	}
	return c.child.Finish(release)
}

// complete turns the journal into the state of a created container.
func (c *creation) complete() error {
	if err := c.announce("standard"); err != nil {
		return err
	}
	if c.pidFile != "" {
		if err := writePidFile(c.pidFile, c.state.Init.Pid); err != nil {
			return err
		}
		c.pidFileWritten = true
	}
	return os.Rename(c.dir.file(journalFile), c.dir.file(stateFile))
}

// undo replays the journal backwards. The error that led here stays the first thing said.
func (c *creation) undo(cause error) error {
	if c.child != nil {
		c.child.Kill()
	}
	if c.pidFileWritten {
		removePidFile(c.pidFile)
	}
	if c.moved != nil {
		if err := c.moved.Return(); err != nil {
			cause = fmt.Errorf("%w (and not undone: %w)", cause, err)
		}
	}
	c.state.NetDevices = nil // Move itself has brought them back where it failed
	return c.container().abandon(cause)
}

func (c *creation) close() {
	c.rootDir.Close()
	c.owners.close()
	if c.moved != nil {
		c.moved.Close()
	}
	c.closeChild()
}
