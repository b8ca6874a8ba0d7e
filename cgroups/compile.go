package cgroups

import specs "github.com/opencontainers/runtime-spec/specs-go"

// Write is one value for one file of a container's cgroup.
type Write struct {
	Controller string // v1 and v2 name: "memory", "cpu", "blkio" …
	File       string // name below the container's directory: "pids.max"
	Value      string
	Field      string // the setting that asks for it: "linux.resources.pids.limit"

	// Optional tolerates a kernel that lacks the file, because its absence
	// means the same as Value.
	Optional bool
	// Else makes it an alternative: it is done only if the file of the write
	// before it does not exist.
	Else bool
	// Keep puts the first word of the file's present content before Value. A
	// period written to cpu.max keeps the quota in this way.
	Keep bool
	// NotBelow names a file with the usage in bytes. A Value below it is
	// refused before the kernel makes room by killing processes.
	NotBelow string
}

// Compile turns resources (config-linux.md, control groups) into the writes
// that set them on a host of the given mode, in an order that the kernel
// accepts for a new cgroup; [Group.Apply] resolves the orders that depend on
// present values. Nil resources, like absent settings, change nothing.
//
// Everything that can be judged without touching the host is judged here. The
// error joins all problems found; each begins with its JSON path. So do the
// warnings, for settings that are accepted without being enforced.
func Compile(mode Mode, r *specs.LinuxResources) (writes []Write, warnings []string, err error) {
	panic("unfinished")
}
