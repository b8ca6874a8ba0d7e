package libcontainer

import "github.com/opencontainers/runtime-spec/specs-go"

// guarded returns the resources with a rule that denies all devices where the configuration has none at all: only the
// default ones, which the cgroup's compiler adds, are to be reached then, as with the peers. Root in a user namespace
// and unprivileged users cannot set such rules, and nobody has asked for them.
func guarded(r *specs.LinuxResources) *specs.LinuxResources {
	if r != nil && len(r.Devices) > 0 {
		return r
	}
	g := specs.LinuxResources{}
	if r != nil {
		g = *r
	}
	g.Devices = []specs.LinuxDeviceCgroup{{Allow: false}}
	return &g
}
