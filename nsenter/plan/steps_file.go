package plan

import (
	"encoding/binary"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Make says what to create where a destination is missing.
type Make uint8

// What a missing destination becomes.
const (
	Nothing   Make = iota // an error
	Directory             // 0755, with its parents
	File                  // an empty file, with its parents
)

// open resolves p once, below its root. Magic links are refused: /proc/self/fd/N would lead out.
func (l *Lowering) open(p Path, flags uint64, into Slot) call {
	resolve := uint64(unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS)
	if p.Strict {
		resolve |= unix.RESOLVE_NO_SYMLINKS
	}
	name := p.Name
	if name == "" {
		name = "/"
	}
	return l.Call(unix.SYS_OPENAT2, Value(p.Root), l.String(name), l.how(flags, resolve), Imm(24)).Into(into)
}

// resolve opens p with O_PATH and makes it first if it is missing. The usual case, it exists, costs two calls.
func (l *Lowering) resolve(p Path, make Make, into Slot) {
	flags := uint64(unix.O_PATH | unix.O_CLOEXEC)
	if make == Directory {
		flags |= unix.O_DIRECTORY
	}
	opened := l.open(p, flags, into)
	if make != Nothing {
		opened.Tolerate(unix.ENOENT)
		exists := l.holds(into)
		l.make(p, make, into)
		exists.SkipHere(0)
	}
	if p.NoProcfs {
		l.refuseProcfs(into)
	}
}

// holds succeeds if a slot holds a descriptor, and does nothing.
func (l *Lowering) holds(s Slot) call {
	return l.Call(unix.SYS_FCNTL, Value(s), Imm(unix.F_SETFD), Imm(unix.FD_CLOEXEC)).Tolerate(unix.EBADF)
}

// make makes p, or where a symlink in it leads nowhere, what is to be made instead.
func (l *Lowering) make(p Path, make Make, into Slot) {
	opens := l.create(p, make, into)
	if p.Instead == "" {
		return
	}
	made := l.holds(into)
	if deeper := opens[1:]; len(deeper) > 0 { // the directory before is still open, in one of the two
		for _, c := range deeper {
			c.SkipHere(unix.ENOENT)
		}
		Close{[]Slot{into, scratchC}}.Lower(l)
	}
	opens[0].SkipHere(unix.ENOENT)
	p.Name = p.Instead
	l.create(p, make, into)
	made.SkipHere(0)
}

// refuseProcfs fails with EPERM if a slot holds a file of a procfs.
func (l *Lowering) refuseProcfs(s Slot) {
	buf := l.scratch(statfsSize)
	l.Call(unix.SYS_FSTATFS, Value(s), offset(buf))
	isProcfs := l.Call(expect, offset(buf), Flags(uint64(^uint32(0))), Flags(unix.PROC_SUPER_MAGIC), Imm(int(unix.EPERM)))
	l.expect(buf, 0, 1, unix.EPERM) // never so
	isProcfs.SkipHere(unix.EPERM)
}

// resolveParent opens the directory of p, made if it is missing, and returns the name in it.
func (l *Lowering) resolveParent(p Path, into Slot) (base string) {
	dir, base := path.Split(p.Name)
	p.Name, p.Instead = path.Clean(dir), ""
	l.resolve(p, Directory, into)
	return base
}

// create makes p component by component, each below the descriptor of the one before, which has been resolved
// anew below the root: a symlink in the way is followed inside the root, a racing one cannot lead out of it. It
// returns the calls that fail with ENOENT where a symlink leads nowhere.
func (l *Lowering) create(p Path, make Make, into Slot) (opens []call) {
	names := strings.Split(strings.Trim(path.Clean("/"+p.Name), "/"), "/")
	slots := [2]Slot{into, scratchC}
	parent := p.Root
	for i, name := range names {
		prefix := p
		prefix.Name = "/" + strings.Join(names[:i+1], "/")
		flags := uint64(unix.O_PATH | unix.O_CLOEXEC | unix.O_DIRECTORY)
		if i == len(names)-1 && make == File {
			l.Call(unix.SYS_MKNODAT, Value(parent), l.String(name), Imm(unix.S_IFREG|0o644), Imm(0)).Tolerate(unix.EEXIST)
			flags = unix.O_PATH | unix.O_CLOEXEC
		} else {
			l.Call(unix.SYS_MKDIRAT, Value(parent), l.String(name), Imm(0o755)).Tolerate(unix.EEXIST)
		}
		next := slots[(len(names)-1-i)%2]
		opens = append(opens, l.open(prefix, flags, next))
		if parent != p.Root {
			l.Call(unix.SYS_CLOSE, Value(parent))
		}
		parent = next
	}
	return opens
}

// Mkdirs makes a directory, 0755, with its parents.
type Mkdirs struct{ At Path }

// Lower leaves an existing directory as it is.
func (s Mkdirs) Lower(l *Lowering) {
	l.resolve(s.At, Directory, scratchB)
	l.Call(unix.SYS_CLOSE, Value(scratchB))
}
func (s Mkdirs) String() string { return "make directory " + s.At.String() }

// Touch makes an empty file, 0644, with the directories above it.
type Touch struct{ At Path }

// Lower leaves what exists as it is.
func (s Touch) Lower(l *Lowering) {
	l.resolve(s.At, File, scratchB)
	l.Call(unix.SYS_CLOSE, Value(scratchB))
}
func (s Touch) String() string { return "make file " + s.At.String() }

// Mknod makes a device node or fifo (linux.devices, config-linux.md#devices). A node of the same type and number
// that exists already is accepted, anything else there is EEXIST.
type Mknod struct {
	At           Path
	Mode         uint32 // type and permissions
	Major, Minor uint32
	UID, GID     uint32 // in the container's user namespace
}

// Lower works below a descriptor of the node's directory, so that a symlink put in its place (CVE-2026-41579)
// changes nothing.
func (s Mknod) Lower(l *Lowering) {
	base := l.resolveParent(s.At, scratchB)
	name := l.String(base)
	made := l.Call(unix.SYS_MKNODAT, Value(scratchB), name, Flags(uint64(s.Mode)),
		Flags(unix.Mkdev(s.Major, s.Minor))).Tolerate(unix.EEXIST)
	l.expectNode(scratchB, name, s.Mode, s.Major, s.Minor, unix.EEXIST)
	made.SkipHere(0)
	if s.UID != 0 || s.GID != 0 {
		l.Call(unix.SYS_FCHOWNAT, Value(scratchB), name, Flags(uint64(s.UID)), Flags(uint64(s.GID)),
			Imm(unix.AT_SYMLINK_NOFOLLOW))
	}
	l.Call(unix.SYS_CLOSE, Value(scratchB))
}

func (s Mknod) String() string {
	kind := "c"
	switch s.Mode & unix.S_IFMT {
	case unix.S_IFBLK:
		kind = "b"
	case unix.S_IFIFO:
		return "make fifo " + s.At.String()
	}
	return "make node " + s.At.String() + " " + kind + " " + strconv.Itoa(int(s.Major)) + ":" + strconv.Itoa(int(s.Minor))
}

// expectNode fails with errno unless name, or with an empty name the descriptor itself, is a node of this type and
// number.
func (l *Lowering) expectNode(dir Slot, name Arg, mode, major, minor uint32, errno unix.Errno) {
	buf := l.scratch(statxSize)
	l.Call(unix.SYS_STATX, Value(dir), name, Imm(unix.AT_SYMLINK_NOFOLLOW|emptyPath), Imm(unix.STATX_TYPE), offset(buf))
	l.expect(buf+statxMode, unix.S_IFMT, mode&unix.S_IFMT, errno)
	if mode&unix.S_IFMT != unix.S_IFIFO {
		l.expect(buf+statxMajor, ^uint32(0), major, errno)
		l.expect(buf+statxMinor, ^uint32(0), minor, errno)
	}
}

// expect fails with errno unless the 32 bits at this offset, masked, have the given value.
func (l *Lowering) expect(at int, mask, value uint32, errno unix.Errno) {
	l.Call(expect, offset(at), Flags(uint64(mask)), Flags(uint64(value)), Imm(int(errno)))
}

// scratch returns the offset of a buffer that any step of the phase may overwrite.
func (l *Lowering) scratch(size int) int {
	if l.buffer == 0 || l.bufferSize < size {
		l.buffer, l.bufferSize = l.put(make([]byte, size)), size
	}
	return l.buffer
}

// Symlink makes a symbolic link. What stands there already is kept, or with Replace removed first.
type Symlink struct {
	Target  string
	At      Path
	Replace bool
}

// Lower works below a descriptor of the link's directory.
func (s Symlink) Lower(l *Lowering) {
	base := l.resolveParent(s.At, scratchB)
	if s.Replace {
		l.Call(unix.SYS_UNLINKAT, Value(scratchB), l.String(base), Imm(0)).Tolerate(unix.ENOENT)
	}
	c := l.Call(unix.SYS_SYMLINKAT, l.String(s.Target), Value(scratchB), l.String(base))
	if !s.Replace {
		c.Tolerate(unix.EEXIST)
	}
	l.Call(unix.SYS_CLOSE, Value(scratchB))
}
func (s Symlink) String() string { return "link " + s.At.String() + " → " + s.Target }

// WriteFile writes a value to a file of the private procfs, in one write: sysctl and LSM attributes. Crossing to
// another mount is refused, so that nothing mounted over the file is written instead (CVE-2019-16884).
type WriteFile struct {
	Name  string // below Procfs
	Value string
}

// resolveProcfs keeps a lookup on the private procfs.
const resolveProcfs = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_MAGICLINKS

// Lower opens, writes, closes.
func (s WriteFile) Lower(l *Lowering) {
	how := l.how(unix.O_WRONLY|unix.O_CLOEXEC, resolveProcfs)
	l.Call(unix.SYS_OPENAT2, Value(Procfs), l.String(s.Name), how, Imm(24)).Into(scratchB)
	l.Call(unix.SYS_WRITE, Value(scratchB), l.String(s.Value), Imm(len(s.Value)))
	l.Call(unix.SYS_CLOSE, Value(scratchB))
}
func (s WriteFile) String() string { return "write " + s.Value + " to /proc/" + s.Name }

// Export sends the descriptor in a slot to the conductor.
type Export struct{ Slot Slot }

// Lower is one sendmsg on the control socket, which works after the ids have changed too: pidfd_getfd needs
// ptrace access, which a process that changed its ids no longer grants.
func (s Export) Lower(l *Lowering) {
	e := binary.NativeEndian
	var control [24]byte // struct cmsghdr and one int, padded
	e.PutUint64(control[0:], uint64(unix.CmsgLen(4)))
	e.PutUint32(control[8:], unix.SOL_SOCKET)
	e.PutUint32(control[12:], unix.SCM_RIGHTS)
	cmsg := l.put(control[:])
	payload := l.put([]byte{uint8(s.Slot)})
	iov := l.put(make([]byte, 16))
	l.pointer(iov, payload)
	e.PutUint64(l.data[iov+8:], 1)
	msg := l.put(make([]byte, 56)) // struct msghdr
	l.pointer(msg+16, iov)
	e.PutUint64(l.data[msg+24:], 1)
	l.pointer(msg+32, cmsg)
	e.PutUint64(l.data[msg+40:], uint64(len(control)))
	l.Poke(cmsg+16, s.Slot)
	l.Call(unix.SYS_SENDMSG, Value(Control), offset(msg), Imm(unix.MSG_NOSIGNAL))
}
func (s Export) String() string { return "hand " + s.Slot.String() + " to skep" }

// Close closes the descriptors in slots.
type Close struct{ Slots []Slot }

// Lower tolerates slots that hold none.
func (s Close) Lower(l *Lowering) {
	for _, slot := range s.Slots {
		l.Call(unix.SYS_CLOSE, Value(slot)).Tolerate(unix.EBADF)
	}
}

func (s Close) String() string {
	t := "close"
	for _, slot := range s.Slots {
		t += " " + slot.String()
	}
	return t
}
