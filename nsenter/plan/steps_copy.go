package plan

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// The owner in struct statx, and the most that one sendfile copies.
const (
	statxUID, statxGID = 20, 24
	sendfileMax        = 0x7ffff000
)

// Copy copies one entry of the directory in Covered into the new filesystem in Mount, which nobody else can see yet.
// Owner and mode are read by the child, whose user namespace may call the owner otherwise than the conductor's.
type Copy struct {
	Name    string // in both; its directory has been copied. "." copies what the directory itself is
	Type    uint32 // S_IF*; if it is another one by now, ESTALE
	Size    int64  // of a regular file
	Target  string // of a symlink
	Dev     uint64 // of a device node
	Changed unix.Timespec
	Xattrs  []Xattr
}

// Xattr is an extended attribute.
type Xattr struct {
	Name  string
	Value []byte
}

// Lower opens the entry once and follows no symlink.
func (s Copy) Lower(l *Lowering) {
	const resolve = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS
	flags := uint64(unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC)
	if s.Type == unix.S_IFREG {
		flags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC
	}
	name := l.String(s.Name)
	l.Call(unix.SYS_OPENAT2, Value(Covered), name, l.how(flags, resolve), Imm(24)).Into(scratchA)
	buf := l.scratch(statxSize)
	l.Call(unix.SYS_STATX, Value(scratchA), l.String(""), Imm(emptyPath), Imm(unix.STATX_BASIC_STATS), offset(buf))
	l.expect(buf+statxMode, unix.S_IFMT, s.Type, unix.ESTALE)
	s.create(l, name, resolve)
	l.Call(unix.SYS_CLOSE, Value(scratchA))
	l.Call(load, offset(buf+statxUID), Flags(uint64(^uint32(0)))).Into(scratchA)
	l.Call(load, offset(buf+statxGID), Flags(uint64(^uint32(0)))).Into(scratchB)
	l.Call(unix.SYS_FCHOWNAT, Value(Mount), name, Value(scratchA), Value(scratchB), Imm(unix.AT_SYMLINK_NOFOLLOW))
	if s.Type != unix.S_IFLNK {
		l.Call(load, offset(buf+statxMode), Imm(0o7777)).Into(scratchC)
		l.Call(unix.SYS_FCHMODAT, Value(Mount), name, Value(scratchC))
	}
	s.attributes(l, name, resolve)
	if s.Type != unix.S_IFDIR { // it would change again
		var times [32]byte
		binary.NativeEndian.PutUint64(times[8:], unix.UTIME_OMIT)
		binary.NativeEndian.PutUint64(times[16:], uint64(s.Changed.Sec))
		binary.NativeEndian.PutUint64(times[24:], uint64(s.Changed.Nsec))
		l.Call(unix.SYS_UTIMENSAT, Value(Mount), name, l.Bytes(times[:]), Imm(unix.AT_SYMLINK_NOFOLLOW))
	}
}

func (s Copy) create(l *Lowering, name Arg, resolve uint64) {
	switch s.Type {
	case unix.S_IFDIR:
		l.Call(unix.SYS_MKDIRAT, Value(Mount), name, Imm(0o700)).Tolerate(unix.EEXIST) // "."
	case unix.S_IFLNK:
		l.Call(unix.SYS_SYMLINKAT, l.String(s.Target), Value(Mount), name)
	case unix.S_IFREG:
		how := l.how(unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, resolve)
		l.Call(unix.SYS_OPENAT2, Value(Mount), name, how, Imm(24)).Into(scratchB)
		// One call more than it takes: after a short one it says why, at the end of the file it does nothing.
		for left := s.Size; ; left -= sendfileMax {
			l.Call(unix.SYS_SENDFILE, Value(scratchB), Value(scratchA), Imm(0), Imm(sendfileMax))
			if left <= 0 {
				break
			}
		}
		l.Call(unix.SYS_CLOSE, Value(scratchB))
	default:
		l.Call(unix.SYS_MKNODAT, Value(Mount), name, Flags(uint64(s.Type)), Flags(s.Dev))
	}
}

// attributes come last: a change of the owner takes capabilities away. What the filesystem or the user namespace
// cannot have is left out.
func (s Copy) attributes(l *Lowering, name Arg, resolve uint64) {
	if len(s.Xattrs) == 0 {
		return
	}
	how := l.how(unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, resolve)
	l.Call(unix.SYS_OPENAT2, Value(Mount), name, how, Imm(24)).Into(scratchB)
	for _, x := range s.Xattrs {
		l.Call(unix.SYS_FSETXATTR, Value(scratchB), l.String(x.Name), l.Bytes(x.Value), Imm(len(x.Value)), Imm(0)).
			Tolerate(unix.EOPNOTSUPP, unix.EPERM)
	}
	l.Call(unix.SYS_CLOSE, Value(scratchB))
}
func (s Copy) String() string { return "copy " + s.Name + " of " + Covered.String() }
