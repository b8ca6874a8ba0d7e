package spec

import "golang.org/x/sys/unix"

// Propagations lists the propagation types of mounts (mount_namespaces(7)):
// MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE, with MS_REC for the
// r-prefixed names. They are mount options and, without the prefix, the values
// of linux.rootfsPropagation; there the prefixed ones are an extension that
// managers rely on.
var Propagations = Table[string, uint64]{
	{"private", unix.MS_PRIVATE},
	{"rprivate", unix.MS_PRIVATE | unix.MS_REC},
	{"shared", unix.MS_SHARED},
	{"rshared", unix.MS_SHARED | unix.MS_REC},
	{"slave", unix.MS_SLAVE},
	{"rslave", unix.MS_SLAVE | unix.MS_REC},
	{"unbindable", unix.MS_UNBINDABLE},
	{"runbindable", unix.MS_UNBINDABLE | unix.MS_REC},
}
