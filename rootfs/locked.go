package rootfs

import (
	"strings"

	"golang.org/x/sys/unix"
)

// Locked says which flags of the host's mount at a path keep a user namespace from clearing these MOUNT_ATTR_* flags:
// the kernel locks what a mount brings along from an outer user namespace (mount_namespaces(7)). It is empty if there
// are none.
func Locked(path string, clear uint64) string {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return ""
	}
	var names []string
	for _, f := range [...]struct {
		attr, flag uint64
		name       string
	}{
		{unix.MOUNT_ATTR_RDONLY, unix.ST_RDONLY, "ro"}, {unix.MOUNT_ATTR_NOSUID, unix.ST_NOSUID, "nosuid"},
		{unix.MOUNT_ATTR_NODEV, unix.ST_NODEV, "nodev"}, {unix.MOUNT_ATTR_NOEXEC, unix.ST_NOEXEC, "noexec"},
		{unix.MOUNT_ATTR__ATIME, unix.ST_NOATIME, "noatime"}, {unix.MOUNT_ATTR_NODIRATIME, unix.ST_NODIRATIME, "nodiratime"},
		{unix.MOUNT_ATTR__ATIME, unix.ST_RELATIME, "relatime"},
	} {
		if clear&f.attr != 0 && uint64(st.Flags)&f.flag != 0 {
			names = append(names, f.name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "the host's mount at " + path + " is " + strings.Join(names, " ") + ", which a user namespace cannot clear"
}
