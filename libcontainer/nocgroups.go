package libcontainer

import (
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"skep/cgroups"
	"skep/rootfs"
)

// withoutCgroups goes on where an unprivileged user has no cgroups and the configuration asks for nothing that takes
// them: no limits, and nobody who could outlive init.
func (c *creation) withoutCgroups(err error) error {
	switch {
	case c.noCgroups:
		err = errors.New("the caller wants none")
	case !c.rootless || c.manages() || !errors.Is(err, cgroups.ErrUnavailable):
		return err
	default:
		err = fmt.Errorf("%w (%s)", err, delegation())
	}
	if setting := cgroups.Needed(c.writes); setting != "" {
		return fmt.Errorf("%s: takes cgroups: %w", setting, err)
	}
	if !c.makes(specs.PIDNamespace) {
		return fmt.Errorf("linux.namespaces: without cgroups the container needs a pid namespace of its own, or its processes could not all be killed: %w", err)
	}
	c.group = cgroups.Open(cgroups.Facts{})
	c.state.Cgroup = cgroups.Facts{}
	// The mounts have been compiled for cgroups that there will not be.
	c.mounts, err = rootfs.Compile(c.spec, c.rootfsHost(c.options))
	return err
}

// noCgroups refuses what takes cgroups to a container that was made without.
func noCgroups() error {
	if findRights().host { // and so it was not wanted to have any
		return errNoCgroups
	}
	return fmt.Errorf("%w (%s)", errNoCgroups, delegation())
}

// delegation tells an unprivileged user how to come by cgroups.
func delegation() string {
	if layout, err := cgroups.Detect(); err == nil && layout.Mode() != cgroups.V2 {
		return "an unprivileged user is given cgroups on hosts with cgroup v2 only"
	}
	return "an unprivileged user needs cgroups that are delegated: run skep below the own systemd, as by `systemd-run --user --scope skep …`; docs/rootless.md tells more"
}

// deviceRules leaves the rules for devices out where nobody could set them, if all they do is deny every device but
// some: that is what a container has in a user namespace anyway. No node can be made there; the default devices and
// those of linux.devices are bound. Rules that deny single devices stay, and fail. Root's container without cgroups is
// treated alike, since managers send such rules unasked, but for a warning.
func deviceRules(r *specs.LinuxResources) *specs.LinuxResources {
	if r == nil || !cgroups.IsAllowList(r.Devices) {
		return r
	}
	rest := *r
	rest.Devices = nil
	return &rest
}

// denies tells whether rules for devices deny any.
func denies(r *specs.LinuxResources) bool {
	return r != nil && slices.ContainsFunc(r.Devices, func(rule specs.LinuxDeviceCgroup) bool { return !rule.Allow })
}
