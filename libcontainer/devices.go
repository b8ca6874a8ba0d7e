package libcontainer

import (
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// wholeIDs is the uid_map of the initial user namespace.
const wholeIDs = "         0          0 4294967295\n"

// guarded returns the resources with a rule that denies all devices where the configuration has none at all: only the
// default ones, which the cgroup's compiler adds, are to be reached then, as with the peers. Root in a user namespace
// and unprivileged users cannot set such rules, and nobody has asked for them.
func guarded(r *specs.LinuxResources, rootless bool) *specs.LinuxResources {
	if r != nil && len(r.Devices) > 0 || rootless {
		return r
	}
	if ids, err := os.ReadFile("/proc/self/uid_map"); err != nil || string(ids) != wholeIDs {
		return r
	}
	g := specs.LinuxResources{}
	if r != nil {
		g = *r
	}
	g.Devices = []specs.LinuxDeviceCgroup{{Allow: false}}
	return &g
}
