package spec

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A Namespace is what the kernel calls one namespace type.
type Namespace struct {
	Flag uint64 // CLONE_NEW* flag, for clone3(2), unshare(2), setns(2) and NS_GET_NSTYPE
	File string // name below /proc/PID/ns
}

// Namespaces lists the namespace types (config-linux.md#namespaces).
var Namespaces = Table[specs.LinuxNamespaceType, Namespace]{
	{specs.CgroupNamespace, Namespace{unix.CLONE_NEWCGROUP, "cgroup"}},
	{specs.IPCNamespace, Namespace{unix.CLONE_NEWIPC, "ipc"}},
	{specs.MountNamespace, Namespace{unix.CLONE_NEWNS, "mnt"}},
	{specs.NetworkNamespace, Namespace{unix.CLONE_NEWNET, "net"}},
	{specs.PIDNamespace, Namespace{unix.CLONE_NEWPID, "pid"}},
	{specs.TimeNamespace, Namespace{unix.CLONE_NEWTIME, "time"}},
	{specs.UserNamespace, Namespace{unix.CLONE_NEWUSER, "user"}},
	{specs.UTSNamespace, Namespace{unix.CLONE_NEWUTS, "uts"}},
}

// FindNamespace returns the configuration's entry for a namespace type, or nil
// when the container shares the runtime's. It accepts a nil Linux section.
func FindNamespace(l *specs.Linux, t specs.LinuxNamespaceType) *specs.LinuxNamespace {
	if l == nil {
		return nil
	}
	for i := range l.Namespaces {
		if l.Namespaces[i].Type == t {
			return &l.Namespaces[i]
		}
	}
	return nil
}

// MakesMounts reports whether the container gets a mount namespace of its own. In any other, the runtime's or one
// that is joined, nothing is ever mounted: others live there, what is mounted there may reach the host, and it would
// be left when the container is gone. Such a container is given a root to work in, and no more.
func MakesMounts(l *specs.Linux) bool {
	ns := FindNamespace(l, specs.MountNamespace)
	return ns != nil && ns.Path == ""
}
