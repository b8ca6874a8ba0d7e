package plan

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// The fields of struct statx and struct statfs that steps look at; statx has one layout everywhere, and statfs
// begins with the type.
const (
	statxSize, statxMode, statxMajor, statxMinor = 256, 28, 128, 132
	statfsSize                                   = 120
)

// Find opens what is at a path: a mount to be changed, or one that mount(2) has just made.
type Find struct {
	At   Path
	Into Slot
}

// Lower is one openat2.
func (s Find) Lower(l *Lowering) { l.open(s.At, unix.O_PATH|unix.O_CLOEXEC, s.Into) }
func (s Find) String() string    { return "find " + s.At.String() + " → " + s.Into.String() }

// TakeMode gives a new filesystem the permissions of the directory that it is about to cover. Where there is no
// directory, it keeps its own.
type TakeMode struct {
	Mount Slot
	From  Path
}

// Lower changes the mode before the filesystem can be seen. A descriptor of fsmount is an O_PATH one, which fchmod
// refuses.
func (s TakeMode) Lower(l *Lowering) {
	opened := l.open(s.From, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, scratchB)
	buf := l.scratch(statxSize)
	l.Call(unix.SYS_STATX, Value(scratchB), l.String(""), Imm(emptyPath), Imm(unix.STATX_MODE), offset(buf))
	l.Call(load, offset(buf+statxMode), Imm(0o7777)).Into(scratchC)
	l.Call(unix.SYS_FCHMODAT, Value(s.Mount), l.String("."), Value(scratchC))
	l.Call(unix.SYS_CLOSE, Value(scratchB))
	opened.SkipHere(unix.ENOENT, unix.ENOTDIR)
}
func (s TakeMode) String() string {
	return "give " + s.Mount.String() + " the mode of " + s.From.String()
}

// ProveNode fails with ENXIO unless a slot holds a device node of this type and number.
type ProveNode struct {
	Slot         Slot
	Mode         uint32 // its type
	Major, Minor uint32
}

// Lower looks at the descriptor: a path could name something else by the next call (CVE-2025-31133).
func (s ProveNode) Lower(l *Lowering) {
	l.expectNode(s.Slot, l.String(""), s.Mode, s.Major, s.Minor, unix.ENXIO)
}

func (s ProveNode) String() string {
	kind := "c"
	if s.Mode&unix.S_IFMT == unix.S_IFBLK {
		kind = "b"
	}
	return "prove that " + s.Slot.String() + " is " + kind + " " + strconv.Itoa(int(s.Major)) + ":" + strconv.Itoa(int(s.Minor))
}

// ProveFilesystem fails with EPERM unless a slot holds a file of this type of filesystem.
type ProveFilesystem struct {
	Slot  Slot
	Type  string
	Magic uint32 // f_type of statfs(2)
}

// Lower looks at the descriptor.
func (s ProveFilesystem) Lower(l *Lowering) {
	buf := l.scratch(statfsSize)
	l.Call(unix.SYS_FSTATFS, Value(s.Slot), offset(buf))
	l.expect(buf, ^uint32(0), s.Magic, unix.EPERM)
}
func (s ProveFilesystem) String() string { return "prove that " + s.Slot.String() + " is on " + s.Type }
