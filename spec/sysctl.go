package spec

import (
	"errors"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// sysctls lists the kernel parameters that belong to a namespace, as paths
// below /proc/sys; those that end in / are whole directories. All others
// would change the host.
var sysctls = Table[string, specs.LinuxNamespaceType]{
	{"net/", specs.NetworkNamespace},
	{"fs/mqueue/", specs.IPCNamespace},
	{"kernel/msgmax", specs.IPCNamespace},
	{"kernel/msgmnb", specs.IPCNamespace},
	{"kernel/msgmni", specs.IPCNamespace},
	{"kernel/sem", specs.IPCNamespace},
	{"kernel/shmall", specs.IPCNamespace},
	{"kernel/shmmax", specs.IPCNamespace},
	{"kernel/shmmni", specs.IPCNamespace},
	{"kernel/shm_rmid_forced", specs.IPCNamespace},
	{"kernel/domainname", specs.UTSNamespace},
	{"user/", specs.UserNamespace},
}

// SysctlPath converts the name of a kernel parameter to its path below
// /proc/sys. As in sysctl(8) the first separator decides: in
// net/ipv4/conf/eth0.100/forwarding dots are part of the names, in
// net.ipv4.conf.eth0/100.forwarding slashes stand for dots. The error says why
// the name is not a path.
func SysctlPath(name string) (string, error) {
	path := name
	if i := strings.IndexAny(name, "./"); i >= 0 && name[i] == '.' {
		path = strings.NewReplacer(".", "/", "/", ".").Replace(name)
	}
	if strings.IndexByte(path, 0) >= 0 {
		return "", errors.New("it has a NUL byte")
	}
	for element := range strings.SplitSeq(path, "/") {
		switch element {
		case "":
			return "", errors.New("a part of the name is empty")
		case ".", "..":
			return "", errors.New("it leaves its directory")
		}
	}
	return path, nil
}

func (v *validator) sysctl(params map[string]string) {
	for _, name := range sortedKeys(params) {
		where := member("linux.sysctl", name)
		v.text(where, params[name])
		path, err := SysctlPath(name)
		if err != nil {
			v.problem(where, "not the name of a kernel parameter: %v", err)
			continue
		}
		ns, ok := SysctlNamespace(path)
		switch {
		case path == "kernel/hostname":
			v.problem(where, "set hostname instead")
		case !ok:
			v.problem(where, "not in a namespace of its own, so it would change the host")
		case !v.has(ns):
			v.problem(where, "without a %s namespace this would change the host", ns)
		}
	}
}

// SysctlNamespace returns the namespace type that a parameter, given by its path
// below /proc/sys, belongs to.
func SysctlNamespace(path string) (specs.LinuxNamespaceType, bool) {
	for _, e := range sysctls {
		if path == e.Name || strings.HasSuffix(e.Name, "/") && strings.HasPrefix(path, e.Name) {
			return e.Value, true
		}
	}
	return "", false
}
