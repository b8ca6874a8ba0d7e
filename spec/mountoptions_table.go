package spec

import (
	"slices"

	"golang.org/x/sys/unix"
)

type optionKind uint8

const (
	optNone      optionKind = iota // means nothing
	optBind                        // the mount is a bind mount
	optRemount                     // the mount exists
	optAttr                        // attribute of the mount
	optRecAttr                     // attribute of the mount and of those below it
	optSuper                       // flag of the superblock; its name is fsconfig's too
	optClassic                     // known to mount(2) only
	optTmpCopyUp                   // done by the runtime
	optIDMap                       // done by the runtime
)

// mountOption is one row: the MS_* bits of mount(2), and the MOUNT_ATTR_* bits
// of mount_setattr(2), which the option sets or clears.
type mountOption struct {
	name  string
	kind  optionKind
	clear bool
	ms    uintptr
	attr  uint64
}

const msATime = unix.MS_NOATIME | unix.MS_RELATIME | unix.MS_STRICTATIME

// atime tells whether the row belongs to the family of which a mount has
// exactly one. MOUNT_ATTR_RELATIME is 0, so attr cannot tell.
func (row *mountOption) atime() bool { return row.ms&msATime != 0 }

// mountOptions is config.md#linux-mount-options without the propagation
// types, which are in Propagations. A new option is a new row.
var mountOptions = [...]mountOption{
	{name: "defaults", kind: optNone},
	{name: "bind", kind: optBind},
	{name: "rbind", kind: optBind, ms: unix.MS_REC},
	{name: "remount", kind: optRemount},

	{"ro", optAttr, false, unix.MS_RDONLY, unix.MOUNT_ATTR_RDONLY},
	{"rw", optAttr, true, unix.MS_RDONLY, unix.MOUNT_ATTR_RDONLY},
	{"nosuid", optAttr, false, unix.MS_NOSUID, unix.MOUNT_ATTR_NOSUID},
	{"suid", optAttr, true, unix.MS_NOSUID, unix.MOUNT_ATTR_NOSUID},
	{"nodev", optAttr, false, unix.MS_NODEV, unix.MOUNT_ATTR_NODEV},
	{"dev", optAttr, true, unix.MS_NODEV, unix.MOUNT_ATTR_NODEV},
	{"noexec", optAttr, false, unix.MS_NOEXEC, unix.MOUNT_ATTR_NOEXEC},
	{"exec", optAttr, true, unix.MS_NOEXEC, unix.MOUNT_ATTR_NOEXEC},
	{"noatime", optAttr, false, unix.MS_NOATIME, unix.MOUNT_ATTR_NOATIME},
	{"atime", optAttr, true, unix.MS_NOATIME, unix.MOUNT_ATTR_NOATIME},
	{"relatime", optAttr, false, unix.MS_RELATIME, unix.MOUNT_ATTR_RELATIME},
	{"norelatime", optAttr, true, unix.MS_RELATIME, unix.MOUNT_ATTR_RELATIME},
	{"strictatime", optAttr, false, unix.MS_STRICTATIME, unix.MOUNT_ATTR_STRICTATIME},
	{"nostrictatime", optAttr, true, unix.MS_STRICTATIME, unix.MOUNT_ATTR_STRICTATIME},
	{"nodiratime", optAttr, false, unix.MS_NODIRATIME, unix.MOUNT_ATTR_NODIRATIME},
	{"diratime", optAttr, true, unix.MS_NODIRATIME, unix.MOUNT_ATTR_NODIRATIME},
	{"nosymfollow", optAttr, false, unix.MS_NOSYMFOLLOW, unix.MOUNT_ATTR_NOSYMFOLLOW},
	{"symfollow", optAttr, true, unix.MS_NOSYMFOLLOW, unix.MOUNT_ATTR_NOSYMFOLLOW},

	{"rro", optRecAttr, false, unix.MS_RDONLY, unix.MOUNT_ATTR_RDONLY},
	{"rrw", optRecAttr, true, unix.MS_RDONLY, unix.MOUNT_ATTR_RDONLY},
	{"rnosuid", optRecAttr, false, unix.MS_NOSUID, unix.MOUNT_ATTR_NOSUID},
	{"rsuid", optRecAttr, true, unix.MS_NOSUID, unix.MOUNT_ATTR_NOSUID},
	{"rnodev", optRecAttr, false, unix.MS_NODEV, unix.MOUNT_ATTR_NODEV},
	{"rdev", optRecAttr, true, unix.MS_NODEV, unix.MOUNT_ATTR_NODEV},
	{"rnoexec", optRecAttr, false, unix.MS_NOEXEC, unix.MOUNT_ATTR_NOEXEC},
	{"rexec", optRecAttr, true, unix.MS_NOEXEC, unix.MOUNT_ATTR_NOEXEC},
	{"rnoatime", optRecAttr, false, unix.MS_NOATIME, unix.MOUNT_ATTR_NOATIME},
	{"ratime", optRecAttr, true, unix.MS_NOATIME, unix.MOUNT_ATTR_NOATIME},
	{"rrelatime", optRecAttr, false, unix.MS_RELATIME, unix.MOUNT_ATTR_RELATIME},
	{"rnorelatime", optRecAttr, true, unix.MS_RELATIME, unix.MOUNT_ATTR_RELATIME},
	{"rstrictatime", optRecAttr, false, unix.MS_STRICTATIME, unix.MOUNT_ATTR_STRICTATIME},
	{"rnostrictatime", optRecAttr, true, unix.MS_STRICTATIME, unix.MOUNT_ATTR_STRICTATIME},
	{"rnodiratime", optRecAttr, false, unix.MS_NODIRATIME, unix.MOUNT_ATTR_NODIRATIME},
	{"rdiratime", optRecAttr, true, unix.MS_NODIRATIME, unix.MOUNT_ATTR_NODIRATIME},
	{"rnosymfollow", optRecAttr, false, unix.MS_NOSYMFOLLOW, unix.MOUNT_ATTR_NOSYMFOLLOW},
	{"rsymfollow", optRecAttr, true, unix.MS_NOSYMFOLLOW, unix.MOUNT_ATTR_NOSYMFOLLOW},

	{"sync", optSuper, false, unix.MS_SYNCHRONOUS, 0},
	{"async", optSuper, true, unix.MS_SYNCHRONOUS, 0},
	// There is no word that clears dirsync.
	{"dirsync", optSuper, false, unix.MS_DIRSYNC, 0},
	{"lazytime", optSuper, false, unix.MS_LAZYTIME, 0},
	{"nolazytime", optSuper, true, unix.MS_LAZYTIME, 0},
	// Mandatory locking left the kernel in 5.15, which still takes the words.
	{"mand", optSuper, false, unix.MS_MANDLOCK, 0},
	{"nomand", optSuper, true, unix.MS_MANDLOCK, 0},

	{"iversion", optClassic, false, unix.MS_I_VERSION, 0},
	{"noiversion", optClassic, true, unix.MS_I_VERSION, 0},
	{"silent", optClassic, false, unix.MS_SILENT, 0},
	{"loud", optClassic, true, unix.MS_SILENT, 0},

	{name: "tmpcopyup", kind: optTmpCopyUp},
	{name: "idmap", kind: optIDMap},
	{name: "ridmap", kind: optIDMap, ms: unix.MS_REC},
}

func findMountOption(name string) *mountOption {
	for i := range mountOptions {
		if mountOptions[i].name == name {
			return &mountOptions[i]
		}
	}
	return nil
}

// MountOptionNames lists every option that is not handed to the filesystem,
// sorted.
func MountOptionNames() []string {
	names := Propagations.Names()
	for i := range mountOptions {
		names = append(names, mountOptions[i].name)
	}
	slices.Sort(names)
	return names
}
