package cgroups

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// driven are the files with which skep drives a cgroup. Set by a configuration
// they would freeze the container before it is made, or keep it out of its
// cgroup.
var driven = [...]string{
	"cgroup.freeze", "cgroup.kill", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads",
}

// unifiedV1 refuses the setting even where a hybrid host has a v2 tree: what it
// names is for the controllers, which v1 has there.
func unifiedV1(c *compiler, r *specs.LinuxResources) {
	if len(r.Unified) > 0 {
		c.fail("unified", "needs a host with cgroup v2 alone")
	}
}

// unifiedV2 writes to files of the container's cgroup as they are named, also
// to those that nothing here knows of. It comes last, so that it has the last
// word over converted settings.
func unifiedV2(c *compiler, r *specs.LinuxResources) {
	for _, file := range slices.Sorted(maps.Keys(r.Unified)) {
		field := "unified[" + strconv.Quote(file) + "]"
		if slices.Contains(driven[:], file) {
			c.fail(field, "the runtime itself writes this file")
			continue
		}
		controller, _, _ := strings.Cut(file, ".")
		// The kernel takes one line per write, and the first device for all.
		for line := range strings.Lines(r.Unified[file] + "\n") {
			value := strings.TrimSuffix(line, "\n")
			if value == "" && r.Unified[file] != "" {
				continue
			}
			c.add(Write{Controller: controller, File: file, Value: value, Field: field, Last: true})
		}
	}
}
