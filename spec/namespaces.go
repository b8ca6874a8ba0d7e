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
