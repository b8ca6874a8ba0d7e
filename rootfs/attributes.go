package rootfs

import (
	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
	"skep/spec"
)

const (
	// replaced are the attributes that a remount sets or clears, given or not.
	replaced = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC |
		unix.MOUNT_ATTR_NOSYMFOLLOW
	// accessTimes are those that it leaves alone unless one of them is given.
	accessTimes = unix.MOUNT_ATTR__ATIME | unix.MOUNT_ATTR_NODIRATIME
)

// asked returns the changes that the options name.
func asked(o *spec.MountOptions) []plan.SetAttr {
	var list []plan.SetAttr
	if o.AttrSet|o.AttrClear != 0 {
		list = append(list, plan.SetAttr{Set: o.AttrSet, Clear: o.AttrClear})
	}
	if o.Recursive() {
		list = append(list, plan.SetAttr{Set: o.RecAttrSet, Clear: o.RecAttrClear, Recursive: true})
	}
	if o.Propagation != 0 {
		list = append(list, plan.SetAttr{Propagation: o.Propagation, Recursive: o.PropagationRecursive})
	}
	return list
}

// exactly returns the changes that make a bind mount what its options say. With any plain flag given it gets
// exactly these, as a remount would; the cleared ones that no option names are returned too. Recursive flags come
// afterwards and win.
func exactly(o *spec.MountOptions) (list []plan.SetAttr, implied uint64) {
	if o.AnyFlag {
		off := o.AttrClear | replaced&^o.AttrSet
		if (o.AttrSet|o.AttrClear)&accessTimes != 0 {
			off |= unix.MOUNT_ATTR__ATIME | unix.MOUNT_ATTR_NODIRATIME&^o.AttrSet
		}
		list = append(list, plan.SetAttr{Set: o.AttrSet, Clear: off})
		implied = off &^ o.AttrClear
	}
	rest := plan.SetAttr{Set: o.RecAttrSet, Clear: o.RecAttrClear, Recursive: true}
	switch {
	case o.Propagation == unix.MS_SHARED:
		// The clone stays in the peer group of its source. With shared alone the mounts below do, too: the kernel
		// cannot make only those slaves.
		if o.Recursive() {
			list = append(list, rest)
		}
		return append(list, plan.SetAttr{Propagation: o.Propagation, Recursive: o.PropagationRecursive}), implied
	case o.PropagationRecursive:
		rest.Propagation = o.Propagation
		return append(list, rest), implied
	}
	// A clone of a shared mount is its peer: what the container mounts below it would appear on the host.
	rest.Propagation = unix.MS_SLAVE
	list = append(list, rest)
	if o.Propagation != 0 && o.Propagation != unix.MS_SLAVE {
		list = append(list, plan.SetAttr{Propagation: o.Propagation})
	}
	return list, implied
}
