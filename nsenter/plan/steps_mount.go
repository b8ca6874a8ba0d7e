package plan

import (
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	emptyPath       = unix.AT_EMPTY_PATH
	mountAttrSize   = 32 // struct mount_attr
	mountAttrUserns = 24
	cloneTree       = unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | emptyPath
)

// Enslave makes the child's own copy of the host's mounts slaves, before anything is mounted: what the container
// mounts never reaches the host, and what the host mounts still arrives.
type Enslave struct{}

// Lower uses mount(2): mount_setattr would have to know the host's root by descriptor.
func (Enslave) Lower(l *Lowering) {
	l.Call(unix.SYS_MOUNT, Imm(0), l.String("/"), Imm(0), Imm(unix.MS_SLAVE|unix.MS_REC), Imm(0))
}
func (Enslave) String() string { return "make the host's mounts slaves" }

// OpenTree clones the mount at a host path, seen from the child: what an unprivileged parent, which may not
// open_tree, leaves to the child after its namespaces exist.
type OpenTree struct {
	Path      string
	Recursive bool
	Into      Slot
}

// Lower clones the mount.
func (s OpenTree) Lower(l *Lowering) {
	flags := uint64(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if s.Recursive {
		flags |= unix.AT_RECURSIVE
	}
	l.Call(unix.SYS_OPEN_TREE, Imm(unix.AT_FDCWD), l.String(s.Path), Flags(flags)).Into(s.Into)
}
func (s OpenTree) String() string { return "clone the mount at " + s.Path + " → " + s.Into.String() }

// Filesystem makes a new, detached mount.
type Filesystem struct {
	Type   string
	Source string   // what mountinfo shows; empty for none
	Params []string // "key=value" or "flag", in order
	Attr   uint64   // MOUNT_ATTR_*
	Into   Slot
}

// Lower is fsopen, an fsconfig for each parameter, fsmount. A failure's reason is in the context's log.
func (s Filesystem) Lower(l *Lowering) {
	set := func(cmd int, args ...Arg) {
		l.Call(unix.SYS_FSCONFIG, append([]Arg{Value(scratchA), Imm(cmd)}, args...)...)
	}
	l.Call(unix.SYS_FSOPEN, l.String(s.Type), Imm(unix.FSOPEN_CLOEXEC)).Into(scratchA)
	if s.Source != "" {
		set(unix.FSCONFIG_SET_STRING, l.String("source"), l.String(s.Source))
	}
	for _, p := range s.Params {
		if key, value, ok := strings.Cut(p, "="); ok {
			set(unix.FSCONFIG_SET_STRING, l.String(key), l.String(value))
		} else {
			set(unix.FSCONFIG_SET_FLAG, l.String(p))
		}
	}
	set(unix.FSCONFIG_CMD_CREATE)
	l.Call(unix.SYS_FSMOUNT, Value(scratchA), Imm(unix.FSMOUNT_CLOEXEC), Flags(s.Attr)).Into(s.Into)
	l.Call(unix.SYS_CLOSE, Value(scratchA))
}

func (s Filesystem) String() string {
	words := append([]string{"new", s.Type}, s.Params...)
	return strings.Join(words, " ") + attrWords(s.Attr, 0) + " → " + s.Into.String()
}

// ClassicMount mounts through mount(2) onto a resolved directory: fsconfig takes strings of at most 255 bytes,
// which overlay's lowerdir exceeds.
type ClassicMount struct {
	Type, Source string
	At           Path
	Flags        uint64 // MS_*
	Data         string
}

// Lower enters the directory to mount onto, so that no path is looked up twice.
func (s ClassicMount) Lower(l *Lowering) {
	l.resolve(s.At, Directory, scratchB)
	l.Call(unix.SYS_FCHDIR, Value(scratchB))
	l.Call(unix.SYS_MOUNT, l.String(s.Source), l.String("."), l.String(s.Type), Flags(s.Flags), l.String(s.Data))
	l.Call(unix.SYS_CLOSE, Value(scratchB))
}
func (s ClassicMount) String() string {
	return "mount " + s.Type + " " + s.Data + " → " + s.At.String()
}

func (ClassicMount) explain(call string, errno unix.Errno) string { return explainPlace(call, errno) }

// Attach moves a detached mount to its place, making the place first if it is missing.
type Attach struct {
	Mount Slot
	At    Path
	Make  Make
	Keep  bool // leave the descriptor open: a later step clones or changes the mount
}

// Lower resolves the destination once; move_mount then joins two descriptors.
func (s Attach) Lower(l *Lowering) {
	l.resolve(s.At, s.Make, scratchB)
	l.move(s.Mount, scratchB)
	l.Call(unix.SYS_CLOSE, Value(scratchB))
	if !s.Keep {
		l.Call(unix.SYS_CLOSE, Value(s.Mount))
	}
}
func (s Attach) String() string { return "attach " + s.Mount.String() + " → " + s.At.String() }

func (Attach) explain(call string, errno unix.Errno) string { return explainPlace(call, errno) }

// explainPlace says what is wrong with a destination.
func explainPlace(call string, errno unix.Errno) string {
	if call == "check" && errno == unix.EPERM {
		return "nothing may be mounted on a procfs there"
	}
	return ""
}

func (l *Lowering) move(from, to Slot) call {
	const flags = unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_EMPTY_PATH
	return l.Call(unix.SYS_MOVE_MOUNT, Value(from), l.String(""), Value(to), l.String(""), Imm(flags))
}

// AttachRoot puts the root mount into the child's mount namespace: onto "/" itself, so that no host path is
// looked up, or at its own path when a createContainer hook is to see it there.
type AttachRoot struct{ Path string }

// Lower moves the mount by the child's own path lookup.
func (s AttachRoot) Lower(l *Lowering) {
	l.Call(unix.SYS_MOVE_MOUNT, Value(Root), l.String(""), Imm(unix.AT_FDCWD), l.String(s.Path),
		Imm(unix.MOVE_MOUNT_F_EMPTY_PATH))
}
func (s AttachRoot) String() string { return "attach root → host:" + s.Path }

// SetAttr changes the flags of a mount.
type SetAttr struct {
	Mount       Slot
	Set, Clear  uint64 // MOUNT_ATTR_*
	Propagation uint64 // MS_*, 0 keeps it
	Recursive   bool
}

// Lower is one mount_setattr.
func (s SetAttr) Lower(l *Lowering) {
	flags := emptyPath
	if s.Recursive {
		flags |= unix.AT_RECURSIVE
	}
	l.Call(unix.SYS_MOUNT_SETATTR, Value(s.Mount), l.String(""), Imm(flags),
		l.Bytes(mountAttr(s.Set, s.Clear, s.Propagation)), Imm(mountAttrSize))
}

func (s SetAttr) String() string {
	t := "set " + s.Mount.String() + attrWords(s.Set, s.Clear)
	for _, p := range [...]struct {
		flag uint64
		name string
	}{{unix.MS_SHARED, "shared"}, {unix.MS_SLAVE, "slave"}, {unix.MS_PRIVATE, "private"}, {unix.MS_UNBINDABLE, "unbindable"}} {
		if s.Propagation&p.flag != 0 {
			t += " " + p.name
		}
	}
	if s.Recursive {
		t += " recursively"
	}
	return t
}

// MapOwners has the files of a detached mount appear as somebody else's (MOUNT_ATTR_IDMAP).
type MapOwners struct {
	Mount     Slot
	Namespace Slot   // the user namespace that says whose
	Type      string // of the filesystem, for errors
}

// NoIDMaps says what EINVAL of MOUNT_ATTR_IDMAP means. Overlayfs takes layers that are idmapped mounts, since 5.19,
// but is itself without FS_ALLOW_IDMAP in every kernel so far.
func NoIDMaps(overlay bool) string {
	if overlay {
		return "an overlay cannot be idmapped itself, but its layers can be idmapped mounts"
	}
	return "the kernel or the filesystem lacks support for idmapped mounts"
}

// Lower is one mount_setattr.
func (s MapOwners) Lower(l *Lowering) {
	attr := l.put(mountAttr(unix.MOUNT_ATTR_IDMAP, 0, 0))
	l.Poke(attr+mountAttrUserns, s.Namespace)
	l.Call(unix.SYS_MOUNT_SETATTR, Value(s.Mount), l.String(""), Imm(emptyPath), offset(attr), Imm(mountAttrSize))
	l.Call(unix.SYS_CLOSE, Value(s.Namespace))
}
func (s MapOwners) String() string {
	return "map the owners of " + s.Mount.String() + " by " + s.Namespace.String()
}

func (s MapOwners) explain(call string, errno unix.Errno) string {
	if call == "mount_setattr" && errno == unix.EINVAL {
		return NoIDMaps(s.Type == "overlay")
	}
	return ""
}

func mountAttr(set, clear, propagation uint64) []byte {
	var b [mountAttrSize]byte
	binary.NativeEndian.PutUint64(b[0:], set)
	binary.NativeEndian.PutUint64(b[8:], clear)
	binary.NativeEndian.PutUint64(b[16:], propagation)
	return b[:]
}

func attrWords(set, clear uint64) string {
	var b strings.Builder
	for _, a := range [...]struct {
		flag    uint64
		on, off string
	}{
		{unix.MOUNT_ATTR_RDONLY, "ro", "rw"}, {unix.MOUNT_ATTR_NOSUID, "nosuid", "suid"},
		{unix.MOUNT_ATTR_NODEV, "nodev", "dev"}, {unix.MOUNT_ATTR_NOEXEC, "noexec", "exec"},
		{unix.MOUNT_ATTR_NOATIME, "noatime", "atime"}, {unix.MOUNT_ATTR_STRICTATIME, "strictatime", "relatime"},
		{unix.MOUNT_ATTR_NODIRATIME, "nodiratime", "diratime"}, {unix.MOUNT_ATTR_NOSYMFOLLOW, "nosymfollow", "symfollow"},
	} {
		switch {
		case set&a.flag != 0:
			b.WriteString(" " + a.on)
		case clear&a.flag != 0 && clear&unix.MOUNT_ATTR__ATIME&a.flag == 0:
			b.WriteString(" " + a.off)
		}
	}
	return b.String()
}

// Hide makes a path unreadable: a directory by the empty tmpfs in Mask, anything else by the /dev/null in Null
// (maskedPaths, config-linux.md). A path that is missing needs no hiding.
type Hide struct{ At Path }

// Lower tries the directory first; EINVAL tells a file. One tmpfs superblock serves every path: its mount is
// cloned. A mount that is still detached cannot be cloned before kernel 6.15; it is attached itself.
func (s Hide) Lower(l *Lowering) {
	open := l.open(s.At, unix.O_PATH|unix.O_CLOEXEC, scratchB)
	cover := func(from Slot) (clone, itself call) {
		l.Call(unix.SYS_OPEN_TREE, Value(from), l.String(""), Imm(cloneTree)).Into(scratchC).Tolerate(unix.EINVAL)
		clone = l.move(scratchC, scratchB).Tolerate(unix.EBADF, unix.EINVAL)
		return clone, l.move(from, scratchB)
	}
	clone, itself := cover(Mask)
	itself.Tolerate(unix.EINVAL)
	l.Call(unix.SYS_CLOSE, Value(scratchC)).Tolerate(unix.EBADF)
	nullClone, _ := cover(Null)
	for _, c := range []call{clone, itself, nullClone} {
		c.SkipHere(0)
	}
	l.Call(unix.SYS_CLOSE, Value(scratchC)).Tolerate(unix.EBADF)
	l.Call(unix.SYS_CLOSE, Value(scratchB))
	open.SkipHere(unix.ENOENT, unix.ENOTDIR)
}
func (s Hide) String() string { return "hide " + s.At.String() }

// Protect makes a path read-only, with everything mounted below it (readonlyPaths, config-linux.md). A path that
// is missing needs no protection.
type Protect struct{ At Path }

// Lower binds the path onto itself. Flags that the mount has, nosuid and the like, are kept by the clone.
func (s Protect) Lower(l *Lowering) {
	open := l.open(s.At, unix.O_PATH|unix.O_CLOEXEC, scratchB)
	l.Call(unix.SYS_OPEN_TREE, Value(scratchB), l.String(""), Imm(cloneTree|unix.AT_RECURSIVE)).Into(scratchC)
	l.Call(unix.SYS_MOUNT_SETATTR, Value(scratchC), l.String(""), Imm(emptyPath|unix.AT_RECURSIVE),
		l.Bytes(mountAttr(unix.MOUNT_ATTR_RDONLY, 0, 0)), Imm(mountAttrSize))
	l.move(scratchC, scratchB)
	l.Call(unix.SYS_CLOSE, Value(scratchC))
	l.Call(unix.SYS_CLOSE, Value(scratchB))
	open.SkipHere(unix.ENOENT, unix.ENOTDIR)
}
func (s Protect) String() string { return "make " + s.At.String() + " read-only" }

// Pivot makes the root mount the child's root and lets go of the host's mounts.
type Pivot struct{}

// Lower stacks the old root onto the new one, which needs no directory for it, and detaches it. Propagate has made
// its mounts slaves before: shared ones would take the host's along.
func (Pivot) Lower(l *Lowering) {
	l.Call(unix.SYS_FCHDIR, Value(Root))
	l.Call(unix.SYS_PIVOT_ROOT, l.String("."), l.String("."))
	l.Call(unix.SYS_UMOUNT2, l.String("."), Imm(unix.MNT_DETACH))
	l.Call(unix.SYS_CHDIR, l.String("/"))
}
func (Pivot) String() string { return "pivot to root" }

// Withdraw takes a mount of the host's out of the child's mount namespace.
type Withdraw struct{ Path string }

// Lower covers it where it cannot be unmounted: a user namespace has it locked. What is no mount point any more has gone
// with the mount that it was on.
func (s Withdraw) Lower(l *Lowering) {
	path := l.String(s.Path)
	gone := l.Call(unix.SYS_UMOUNT2, path, Imm(unix.MNT_DETACH)).Tolerate(unix.EINVAL, unix.EPERM)
	l.Call(unix.SYS_MOUNT, l.String("tmpfs"), path, l.String("tmpfs"), Imm(unix.MS_RDONLY), Imm(0))
	gone.SkipHere(0, unix.ENOENT)
}
func (s Withdraw) String() string { return "withdraw " + s.Path }

// MoveRoot is --no-pivot: for hosts whose root is a ramfs, which pivot_root refuses.
type MoveRoot struct{}

// Lower moves the root mount over "/" and changes root to it. ELOOP tells that AttachRoot put it there already.
func (MoveRoot) Lower(l *Lowering) {
	l.Call(unix.SYS_FCHDIR, Value(Root))
	l.Call(unix.SYS_MOUNT, l.String("."), l.String("/"), Imm(0), Imm(unix.MS_MOVE), Imm(0)).Tolerate(unix.ELOOP)
	l.Call(unix.SYS_CHROOT, l.String("."))
	l.Call(unix.SYS_CHDIR, l.String("/"))
}
func (MoveRoot) String() string { return "move root over / and chroot" }
