package plan

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// OpenPty opens a new terminal in the container's devpts (process.terminal, config.md).
type OpenPty struct{}

// Lower opens the slave through the master: a path could name something else by now (CVE-2025-52565).
func (OpenPty) Lower(l *Lowering) {
	l.open(Real("/dev/pts/ptmx"), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, PtyMaster)
	l.Call(unix.SYS_IOCTL, Value(PtyMaster), Imm(unix.TIOCSPTLCK), l.Bytes(make([]byte, 4)))
	l.Call(unix.SYS_IOCTL, Value(PtyMaster), Imm(unix.TIOCGPTPEER), Imm(unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)).Into(PtySlave)
}
func (OpenPty) String() string { return "open a terminal in /dev/pts" }

// CloneFile clones the mount of an open file, so that the file can be attached elsewhere.
type CloneFile struct{ From, Into Slot }

// Lower is one open_tree on the descriptor.
func (s CloneFile) Lower(l *Lowering) {
	l.Call(unix.SYS_OPEN_TREE, Value(s.From), l.String(""), Imm(cloneTree)).Into(s.Into)
}
func (s CloneFile) String() string { return "clone " + s.From.String() + " → " + s.Into.String() }

// UseTerminal makes the terminal the controlling one and the standard streams.
type UseTerminal struct{}

// Lower needs the session of Setsid.
func (UseTerminal) Lower(l *Lowering) {
	l.Call(unix.SYS_IOCTL, Value(PtySlave), Imm(unix.TIOCSCTTY), Imm(0))
	for fd := range 3 {
		l.Call(unix.SYS_DUP3, Value(PtySlave), Imm(fd), Imm(0))
	}
}
func (UseTerminal) String() string { return "use the terminal for the standard streams" }

// OwnStream gives a standard stream to the process's user, so that it can reopen /dev/stdout. The group stays.
type OwnStream struct {
	FD  int
	UID uint32
}

// Lower tolerates what the peers tolerate: streams of another owner, of a read-only filesystem, or of a user
// that the namespace does not map.
func (s OwnStream) Lower(l *Lowering) {
	const keepGroup = ^uint64(0) >> 32
	l.Call(unix.SYS_FCHOWN, Imm(s.FD), Flags(uint64(s.UID)), Flags(keepGroup)).
		Tolerate(unix.EPERM, unix.EROFS, unix.EINVAL)
}
func (s OwnStream) String() string {
	return "give stream " + strconv.Itoa(s.FD) + " to uid " + strconv.Itoa(int(s.UID))
}

// ReopenNull replaces a standard stream that is the host's /dev/null by the container's, proven to be one.
type ReopenNull struct{ FD int }

// Lower opens a node of the container, which no symlink may choose.
func (s ReopenNull) Lower(l *Lowering) {
	l.open(Real("/dev/null"), unix.O_RDWR|unix.O_CLOEXEC, scratchB)
	l.expectNode(scratchB, l.String(""), unix.S_IFCHR, 1, 3, unix.ENXIO)
	l.Call(unix.SYS_DUP3, Value(scratchB), Imm(s.FD), Imm(0))
	l.Call(unix.SYS_CLOSE, Value(scratchB))
}
func (s ReopenNull) String() string { return "reopen /dev/null as stream " + strconv.Itoa(s.FD) }
