package libcontainer

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"skep/nsenter/plan"
	"skep/spec"
)

// hookPoint is a point of the lifecycle at which hooks run, in the order of spec.HookLists
// (config.md#posix-platform-hooks).
type hookPoint int

const (
	prestart hookPoint = iota
	createRuntime
	createContainer
	startContainer
	poststart
	poststop
)

// status is what hooks are told about the container (runtime.md#lifecycle).
func (p hookPoint) status() Status {
	switch p {
	case startContainer:
		return Created
	case poststart:
		return Running
	case poststop:
		return Stopped
	}
	return Creating
}

// inside reports whether the hooks run in the container's namespaces.
func (p hookPoint) inside() bool { return p == createContainer || p == startContainer }

// hookNames lists which lists of hooks a configuration has.
func hookNames(h *specs.Hooks) []string {
	var names []string
	for _, list := range spec.HookLists(h) {
		if len(list.Hooks) > 0 {
			names = append(names, list.Name)
		}
	}
	return names
}

// printHooks shows the hooks as a plan does.
func printHooks(w *strings.Builder, h *specs.Hooks) {
	for _, list := range spec.HookLists(h) {
		for i := range list.Hooks {
			w.WriteString("hook " + list.Name + "\n  " + hookExec(&list.Hooks[i], nil).String() + "\n")
		}
	}
}

// hooksAt returns the stored configuration if it has hooks at one of these points, else nil: a container without
// hooks costs nothing here.
func (c *Container) hooksAt(points ...hookPoint) (*specs.Spec, error) {
	lists := spec.HookLists(nil)
	if !slices.ContainsFunc(points, func(p hookPoint) bool { return slices.Contains(c.state.Hooks, lists[p].Name) }) {
		return nil, nil
	}
	return keptConfig(c.dir)
}

// hooks lists those of one point. A nil configuration has none.
func (c *Container) hooks(at hookPoint, s *specs.Spec) []*hook {
	if s == nil {
		return nil
	}
	list := spec.HookLists(s.Hooks)[at]
	hooks := make([]*hook, len(list.Hooks))
	for i := range list.Hooks {
		hooks[i] = &hook{Hook: &list.Hooks[i], at: at, container: c, spec: s,
			item: "hooks." + list.Name + "[" + strconv.Itoa(i) + "]"}
	}
	return hooks
}

// runHooks runs the hooks of one point in their order. One that fails is the last.
func (c *Container) runHooks(ctx context.Context, at hookPoint, s *specs.Spec) error {
	for _, h := range c.hooks(at, s) {
		if err := h.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// runPoststop runs all hooks that follow the end. The container is gone whatever they do: failures are warnings.
func (c *Container) runPoststop(s *specs.Spec) {
	for _, h := range c.hooks(poststop, s) {
		if err := h.run(context.Background()); err != nil {
			c.options.report([]string{err.Error()})
		}
	}
}

// abandon ends and removes the container, as the lifecycle demands after a failure (runtime.md#lifecycle). The error
// that led here stays the first thing said.
func (c *Container) abandon(cause error) error {
	if err := c.destroy(); err != nil {
		return fmt.Errorf("%w (and not cleaned up: %w)", cause, err)
	}
	return cause
}

// hooks runs what is to run before the pivot: the mounts are made, and the host is still in sight.
func (c *creation) hooks() error {
	names := hookNames(c.spec.Hooks)
	if len(names) == 0 {
		return nil
	}
	results, err := c.child.Play()
	if err != nil {
		return err
	}
	c.master = results.Files[plan.PtyMaster]
	// The pid has to be on disk before somebody can ask for it, and from here on poststop is due.
	c.state.Hooks = names
	if err := c.dir.writeState(journalFile, c.state); err != nil {
		return err
	}
	for _, at := range [...]hookPoint{prestart, createRuntime, createContainer} {
		if err := c.container().runHooks(c.ctx, at, c.spec); err != nil {
			return err
		}
	}
	return nil
}
