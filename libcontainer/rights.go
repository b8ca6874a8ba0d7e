package libcontainer

import (
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// rights are what this process may do outside of the containers that it makes. The uid alone does not tell: root may
// be that of a user namespace (podman unshare, a nested container), or have had its capabilities taken away.
type rights struct {
	host   bool // over the host: CAP_SYS_ADMIN in the initial user namespace
	admin  bool // CAP_SYS_ADMIN in the own user namespace: new namespaces need no user namespace
	mounts bool // over the own mount namespace: its mounts can be cloned
	mapIDs bool // to map any ids that the own user namespace has, without newuidmap(1)
}

// findRights asks the kernel.
func findRights() rights {
	var data [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &data[0]); err != nil {
		return rights{}
	}
	has := func(mask uint32) bool { return data[0].Effective&mask == mask }
	r := rights{admin: has(1 << unix.CAP_SYS_ADMIN), mapIDs: has(1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID)}
	if !r.admin {
		return r
	}
	r.host = inInitialUserNamespace()
	r.mounts = r.host || ownsMountNamespace()
	return r
}

// initialUserNamespace is the inode of the initial user namespace (USER_NS_INIT_INO in linux/nsfs.h). A uid_map that
// maps all ids to themselves tells nothing: a nested user namespace may have the same.
const initialUserNamespace = 0xEFFFFFFD

func inInitialUserNamespace() bool {
	var st unix.Stat_t
	err := unix.Stat("/proc/self/ns/user", &st)
	return err == unix.ENOENT || err == nil && st.Ino == initialUserNamespace // ENOENT: a kernel without CONFIG_USER_NS
}

// ownsMountNamespace tells whether the own mount namespace belongs to the own user namespace. `unshare -Ur` leaves one
// in the host's.
func ownsMountNamespace() bool {
	fd, err := unix.Open("/proc/self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return isOurs(fd)
}

// isOurs tells whether a namespace belongs to the own user namespace.
func isOurs(fd int) bool {
	owner, err := unix.IoctlRetInt(fd, unix.NS_GET_USERNS) // EPERM: of an outer one
	if err != nil {
		return false
	}
	defer unix.Close(owner)
	var a, b unix.Stat_t
	return unix.Fstat(owner, &a) == nil && unix.Stat("/proc/self/ns/user", &b) == nil && sameFile(&a, &b)
}

// deniesSetgroups tells whether setgroups(2) will be denied in a new user namespace with this mapping, or without one
// in the own: this process has to give it up to map its own group without help, and a user namespace inherits the
// denial.
func (r rights) deniesSetgroups(gids []specs.LinuxIDMapping) bool {
	if r.host {
		return false
	}
	return !r.mapIDs && onlyOwn(gids, os.Getegid()) || setgroupsDenied("/proc/self/")
}

// setgroupsDenied reads the setgroups file of a process's directory in /proc.
func setgroupsDenied(dir string) bool {
	text, err := os.ReadFile(dir + "setgroups")
	return err == nil && string(text) == "deny\n"
}

// Unprivileged tells whether this process is no root of the host: an ordinary user, or root in a user namespace.
func Unprivileged() bool { return os.Geteuid() != 0 || !inInitialUserNamespace() }

// rightsFor are those for which a container is designed: a plan shows what root would do.
func rightsFor(o *options) rights {
	if o.planning {
		return rights{host: true, admin: true, mounts: true, mapIDs: true}
	}
	return findRights()
}
