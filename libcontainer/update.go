package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"reflect"

	"github.com/opencontainers/runtime-spec/specs-go"

	"skep/cgroups"
	"skep/spec"
)

// Update changes the resources of a container that has processes, paused ones too; of any other the error is
// ErrNotRunning. What a section leaves out, or is nil, stays as it is; rules for devices are touched only if they differ
// from the present ones.
//
// Either everything is changed, and the container's stored configuration with it, or nothing: what the kernel had
// accepted before it refused something is put back.
func (c *Container) Update(r *specs.LinuxResources, rdt *specs.LinuxIntelRdt) error {
	return c.exclusively(func() error { return c.update(r, rdt) })
}

func (c *Container) update(r *specs.LinuxResources, rdt *specs.LinuxIntelRdt) error {
	if err := c.Status().allows().live; err != nil {
		return err
	}
	raw, err := spec.ReadFile(c.dir.file(configFile))
	if err != nil {
		return err
	}
	kept, err := keptConfig(c.dir)
	if err != nil {
		return err
	}
	mergedRdt, err := mergeRdt(kept.Linux.IntelRdt, rdt)
	if err != nil {
		return err
	}
	if r == nil {
		r = &specs.LinuxResources{}
	}
	now := kept.Linux.Resources
	u, merged, err := c.merge(now, r)
	if err != nil {
		return err
	}
	if raw, err = spec.WithLimits(raw, merged, mergedRdt); err != nil {
		return err
	}
	config, err := c.dir.prepare(configFile, raw)
	if err != nil {
		return err
	}
	defer os.Remove(config)
	undo, err := c.applyUpdate(now, u, merged)
	if err != nil {
		return err
	}
	undoRdt, err := c.updateRdt(rdt)
	if err != nil {
		return errors.Join(err, undo())
	}
	if err := os.Rename(config, c.dir.file(configFile)); err != nil {
		return errors.Join(err, undoRdt(), undo())
	}
	c.config = nil // what Exec and Checkpoint go by is read again
	return nil
}

// merge validates an update, by itself and together with the resources of now, and returns it without what it does
// not change.
func (c *Container) merge(now, r *specs.LinuxResources) (update, merged *specs.LinuxResources, err error) {
	opt := spec.Options{Rootless: !findRights().admin}
	warnings, err := spec.ValidateResources(r, opt)
	if err != nil {
		return nil, nil, err
	}
	c.options.report(warnings)
	u := *r
	if now != nil && reflect.DeepEqual(u.Devices, now.Devices) { // what others have allowed the container since stays
		u.Devices = nil
	}
	merged = spec.MergeResources(now, &u)
	if _, err := spec.ValidateResources(merged, opt); err != nil {
		return nil, nil, fmt.Errorf("together with what is set already: %w", err)
	}
	return &u, merged, nil
}

// applyUpdate has the kernel take the update.
func (c *Container) applyUpdate(now, u, merged *specs.LinuxResources) (undo func() error, err error) {
	group := cgroups.Open(c.state.Cgroup)
	if group.Mode() == cgroups.None && !reflect.ValueOf(*u).IsZero() {
		return nil, fmt.Errorf("linux.resources: %w", noCgroups())
	}
	r := findRights()
	if !r.host {
		u = deviceRules(u)
	}
	writes, warnings, err := cgroups.CompileUpdate(group.Mode(), u, merged)
	if err != nil {
		return nil, err
	}
	c.options.report(warnings)
	var rules []cgroups.Write // the present ones
	if len(u.Devices) > 0 && r.host {
		rules, _, err = cgroups.Compile(group.Mode(), &specs.LinuxResources{Devices: guarded(now).Devices})
		if err != nil {
			return nil, err
		}
	}
	if group.Unit().Name != "" {
		return c.updateUnit(group, writes, rules)
	}
	return group.Update(writes, rules)
}
