package libcontainer

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter"
	"skep/spec"
)

// owners opens the user namespaces by which idmapped mounts map ids: a mount needs one, mappings alone the kernel does
// not take. Each that has been made is kept for the mounts with the same mappings.
type owners struct {
	child *nsenter.Child // which is in the container's user namespace by then; set when it exists
	temp  string         // for nsenter
	made  []mappedIDs
}

type mappedIDs struct {
	uids, gids []specs.LinuxIDMapping
	fd         int
}

// open returns a descriptor, which its caller closes, of a user namespace with these mappings; without any, of the
// container's.
func (o *owners) open(uids, gids []specs.LinuxIDMapping) (int, error) {
	if len(uids) == 0 {
		return openFile(userNamespaceOf(o.child.Pid), unix.O_RDONLY)
	}
	at := slices.IndexFunc(o.made, func(m mappedIDs) bool { return slices.Equal(m.uids, uids) && slices.Equal(m.gids, gids) })
	if at < 0 {
		fd, err := o.make(uids, gids)
		if err != nil {
			return -1, err
		}
		at = len(o.made)
		o.made = append(o.made, mappedIDs{uids, gids, fd})
	}
	return unix.FcntlInt(uintptr(o.made[at].fd), unix.F_DUPFD_CLOEXEC, 0)
}

// make clones a process into a new user namespace and ends it again: the descriptor keeps the namespace.
func (o *owners) make(uids, gids []specs.LinuxIDMapping) (int, error) {
	child, err := nsenter.Start(nsenter.Options{Flags: unix.CLONE_NEWUSER, Cgroup: -1, TempDir: o.temp})
	if err != nil {
		return -1, err
	}
	defer child.Release()
	defer child.Kill()
	dir := procFile(child.Pid, "")
	if err := writeFile(dir+"uid_map", spec.FormatIDMap(uids)); err != nil {
		return -1, fmt.Errorf("uidMappings: %w", err)
	}
	if err := writeFile(dir+"gid_map", spec.FormatIDMap(gids)); err != nil {
		return -1, fmt.Errorf("gidMappings: %w", err)
	}
	return openFile(userNamespaceOf(child.Pid), unix.O_RDONLY)
}

func userNamespaceOf(pid int) string { return procFile(pid, "ns/user") }

func (o *owners) close() {
	for _, m := range o.made {
		unix.Close(m.fd)
	}
	o.made = nil
}
