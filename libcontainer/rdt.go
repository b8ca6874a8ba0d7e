package libcontainer

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"skep/libcontainer/resctrl"
	"skep/spec"
)

// designRdt finds the resctrl filesystem, where linux.intelRdt is set: without, it is never looked at.
func (b *blueprint) designRdt(o *options) error {
	if b.spec.Linux.IntelRdt == nil {
		return nil
	}
	b.rdt = cmp.Or(o.resctrl, resctrl.Usual())
	if o.planning || o.resctrl != nil {
		return nil
	}
	var err error
	b.rdt, err = resctrl.Mounted()
	return err
}

// printRdt shows the resctrl groups as a plan does.
func (b *blueprint) printRdt(w *strings.Builder, id string) error {
	if b.rdt == nil {
		return nil
	}
	r := b.spec.Linux.IntelRdt
	f, err := b.rdt.Design(r, id)
	if err != nil {
		return err
	}
	w.WriteString("resctrl\n  join  " + f.Group + "\n")
	for _, line := range append([]string{r.L3CacheSchema, r.MemBwSchema}, r.Schemata...) {
		if line != "" {
			w.WriteString("  write schemata " + line + "\n")
		}
	}
	if f.Monitor != "" {
		w.WriteString("  make  " + f.Monitor + "\n")
	}
	return nil
}

// makeRdtGroups makes the container's groups in the resctrl filesystem, once the journal says so.
func (c *creation) makeRdtGroups() error {
	if c.rdt == nil {
		return nil
	}
	r := c.spec.Linux.IntelRdt
	var err error
	if c.state.Rdt, err = c.rdt.Plan(r, c.state.ID); err != nil {
		return err
	}
	if err := c.dir.writeState(journalFile, c.state); err != nil {
		return err
	}
	return c.rdt.Create(r, &c.state.Rdt)
}

// joinRdtGroups moves init into the groups before it has done any work; what it forks is born there.
func (c *creation) joinRdtGroups() error { return c.container().joinRdtGroups(c.state.Init.Pid) }

// joinRdtGroups moves a process into the container's groups.
func (c *Container) joinRdtGroups(pid int) error {
	if c.state.Rdt == (resctrl.Facts{}) {
		return nil
	}
	return c.options.tree().Join(c.state.Rdt, pid)
}

// joinRdtGroups moves the process to where init is. From a group that an administrator has removed meanwhile, the
// kernel has taken init to the root group, where this one is.
func (e *execution) joinRdtGroups() error {
	err := e.container.joinRdtGroups(e.child.Pid)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// removeRdtGroups removes what is the container's alone. Until create has succeeded that is whatever it has made.
func (c *Container) removeRdtGroups() error {
	if c.state.Rdt == (resctrl.Facts{}) {
		return nil
	}
	return c.options.tree().Remove(c.state.Rdt, !c.complete, c.state.Init.Pid)
}

// mergeRdt validates the schemas of an update, and returns the configuration with them: nil where nothing changes.
func mergeRdt(now, update *specs.LinuxIntelRdt) (*specs.LinuxIntelRdt, error) {
	if update == nil {
		return nil, nil
	}
	if now == nil {
		return nil, errors.New("linux.intelRdt: the container was created without, and there is nothing to be updated")
	}
	merged := *now
	merged.L3CacheSchema = cmp.Or(update.L3CacheSchema, now.L3CacheSchema)
	merged.MemBwSchema = cmp.Or(update.MemBwSchema, now.MemBwSchema)
	return &merged, spec.ValidateIntelRdt(&merged)
}

// updateRdt changes the shares of the container's control group, also for those with whom it shares that.
func (c *Container) updateRdt(r *specs.LinuxIntelRdt) (undo func() error, err error) {
	if r == nil {
		return func() error { return nil }, nil
	}
	return c.options.tree().Set(c.state.Rdt, r.L3CacheSchema, r.MemBwSchema)
}

// rdtStats reads what the groups tell. One that an administrator has removed tells nothing.
func (c *Container) rdtStats() (resctrl.Stats, error) {
	if c.state.Rdt == (resctrl.Facts{}) {
		return resctrl.Stats{}, nil
	}
	s, err := c.options.tree().Stats(c.state.Rdt)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return resctrl.Stats{}, fmt.Errorf("linux.intelRdt: %w", err)
	}
	return s, nil
}

// tree is the resctrl filesystem of a container that has groups there. It is not asked whether it is still mounted:
// with the mount its groups went.
func (o *options) tree() *resctrl.Tree { return cmp.Or(o.resctrl, resctrl.Usual()) }
