package spec

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// MountOptions is what the options of one mount ask for, ready for the mount
// API of fsopen(2), mount_setattr(2) and move_mount(2), and for mount(2).
// Of contradicting options the last one has won.
type MountOptions struct {
	Bind    bool // bind or rbind: the mount is a bind mount, its type is ignored
	RBind   bool // rbind: with all that is mounted below the source
	Remount bool // change the mount that is there

	// Attributes of the mount, as MOUNT_ATTR_* bits for mount_setattr(2). When
	// an option of the atime family is given, AttrClear holds all of
	// MOUNT_ATTR__ATIME, because the kernel refuses to clear a part of it.
	AttrSet, AttrClear uint64
	// The same for the r-prefixed options, which want AT_RECURSIVE.
	RecAttrSet, RecAttrClear uint64
	// AnyFlag says that an option of AttrSet or AttrClear was given. A bind
	// mount without any keeps the attributes of its source; with one it gets
	// exactly AttrSet, as if it had been remounted.
	AnyFlag bool

	Propagation          uint64 // MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE or 0
	PropagationRecursive bool   // for the r-prefixed propagation

	// SuperSet and SuperClear name the flags of the superblock for
	// FSCONFIG_SET_FLAG. A new superblock starts with all of them clear, so
	// SuperClear matters to a remount only. Bind mounts ignore both.
	SuperSet, SuperClear []string

	// Flags are the MS_* bits for mount(2), without MS_BIND, MS_REC,
	// MS_REMOUNT and propagation. MS_I_VERSION and MS_SILENT exist only here:
	// fsconfig(2) has no name for them.
	Flags uintptr

	// Data are the options of the filesystem itself, as given and in order.
	Data []string

	TmpCopyUp bool   // fill a new tmpfs with what it covers
	IDMap     bool   // idmap: map the owners of this mount
	RIDMap    bool   // ridmap: and of all mounts below it
	owners    string // what follows idmap= or ridmap=; see Owners
}

// Recursive reports whether any attribute is to be changed with AT_RECURSIVE.
func (o *MountOptions) Recursive() bool {
	return o.RecAttrSet|o.RecAttrClear != 0
}

// ParseMountOptions sorts the options of a mount (config.md#linux-mount-options).
// An option that the table does not know belongs to the filesystem and ends up
// in Data; "defaults" and empty strings mean nothing and are dropped. The error
// names the option that has a NUL byte, which no system call can take.
func ParseMountOptions(options []string) (MountOptions, error) {
	var o MountOptions
	for _, name := range options {
		if strings.IndexByte(name, 0) >= 0 {
			return MountOptions{}, fmt.Errorf("mount option %q has a NUL byte", name)
		}
		if p, ok := Propagations.Lookup(name); ok {
			o.Propagation = p &^ unix.MS_REC
			o.PropagationRecursive = p&unix.MS_REC != 0
		} else if row := findMountOption(name); row != nil {
			o.apply(row)
		} else if word, value, ok := strings.Cut(name, "="); ok && value != "" && (word == "idmap" || word == "ridmap") {
			o.apply(findMountOption(word))
			o.owners = value
		} else if name != "" {
			o.Data = append(o.Data, name)
		}
	}
	return o, nil
}

// apply adds one known option.
func (o *MountOptions) apply(row *mountOption) {
	switch row.kind {
	case optBind:
		o.Bind, o.RBind = true, o.RBind || row.ms&unix.MS_REC != 0
	case optRemount:
		o.Remount = true
	case optAttr:
		o.AnyFlag = true
		o.setFlag(row)
		row.applyAttr(&o.AttrSet, &o.AttrClear)
		if row.attr == unix.MOUNT_ATTR_RDONLY {
			o.setSuper(row)
		}
	case optRecAttr:
		row.applyAttr(&o.RecAttrSet, &o.RecAttrClear)
	case optSuper:
		o.setFlag(row)
		o.setSuper(row)
	case optClassic:
		o.setFlag(row)
	case optTmpCopyUp:
		o.TmpCopyUp = true
	case optIDMap:
		o.owners = ""
		o.IDMap, o.RIDMap = row.ms&unix.MS_REC == 0, row.ms&unix.MS_REC != 0
	}
}

// setFlag keeps Flags, the view of mount(2).
func (o *MountOptions) setFlag(row *mountOption) {
	if row.clear {
		o.Flags &^= row.ms
		return
	}
	if row.atime() {
		o.Flags &^= msATime
	}
	o.Flags |= row.ms
}

// setSuper keeps the names for fsconfig(2); each flag has a setting and a
// clearing name.
func (o *MountOptions) setSuper(row *mountOption) {
	same := func(name string) bool {
		return findMountOption(name).ms == row.ms
	}
	o.SuperSet = slices.DeleteFunc(o.SuperSet, same)
	o.SuperClear = slices.DeleteFunc(o.SuperClear, same)
	if row.clear {
		o.SuperClear = append(o.SuperClear, row.name)
	} else {
		o.SuperSet = append(o.SuperSet, row.name)
	}
}

// applyAttr adds the option's attribute to a pair of masks for mount_setattr(2).
func (row *mountOption) applyAttr(set, clear *uint64) {
	switch {
	case row.atime() && row.clear:
		*clear |= unix.MOUNT_ATTR__ATIME
		*set &^= row.attr
	case row.atime():
		*clear |= unix.MOUNT_ATTR__ATIME
		*set = *set&^unix.MOUNT_ATTR__ATIME | row.attr
	case row.clear:
		*clear |= row.attr
		*set &^= row.attr
	default:
		*set |= row.attr
		*clear &^= row.attr
	}
}
