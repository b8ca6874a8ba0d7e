package plan

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// Setns joins namespaces of another process, all in one call: the kernel checks each of them before it enters any.
type Setns struct {
	Process Slot // a pidfd
	Flags   int  // CLONE_NEW*
	Name    string
}

// Lower is setns(2). A pid or time namespace takes effect with the next process: see Fork.
func (s Setns) Lower(l *Lowering) { l.Call(unix.SYS_SETNS, Value(s.Process), Imm(s.Flags)) }
func (s Setns) String() string    { return "join the namespaces " + s.Name + " of " + s.Process.String() }

// Fork goes on in a new process, which a joined pid or time namespace takes. It ends its phase: the conductor has to
// learn the new pid before anything else can fail.
type Fork struct{}

// ForkedSize is the length of the message that tells the pid, in its first four bytes: no other has this length.
const ForkedSize = 8

// Lower makes a sibling, not a child: whoever waits for the one waits for the other. The first process tells the pid,
// which it knows as the conductor does, and ends.
func (Fork) Lower(l *Lowering) {
	const flags = unix.CLONE_PARENT | unix.CLONE_PARENT_SETTID | int(unix.SIGCHLD)
	forked := l.Call(unix.SYS_CLONE, Imm(flags), Imm(0), Addr(scratchA), Imm(0), Imm(0))
	l.Call(unix.SYS_WRITE, Value(Control), Addr(scratchA), Imm(ForkedSize))
	l.Call(unix.SYS_EXIT_GROUP, Imm(0))
	forked.SkipHere(0)
}
func (Fork) String() string { return "go on in a new process" }

// Forks reports whether the phase ends in another process than it began in.
func (p *Phase) Forks() bool {
	if len(p.Steps) == 0 {
		return false
	}
	last := p.Steps[len(p.Steps)-1]
	if m, ok := last.(moved); ok {
		last = m.Step
	}
	_, ok := last.(Fork)
	return ok
}

// Stream makes a descriptor one of the standard streams.
type Stream struct {
	From Slot
	FD   int
}

// Lower is dup3, which leaves the stream open in the program.
func (s Stream) Lower(l *Lowering) { l.Call(unix.SYS_DUP3, Value(s.From), Imm(s.FD), Imm(0)) }
func (s Stream) String() string    { return "use " + s.From.String() + " as stream " + strconv.Itoa(s.FD) }

// WorkIn enters a directory as the child sees the world: on the host, or below the root that it has joined.
type WorkIn struct{ Path string }

// Lower follows symlinks; the path is the runtime's, never an image's.
func (s WorkIn) Lower(l *Lowering) { l.Call(unix.SYS_CHDIR, l.String(s.Path)) }
func (s WorkIn) String() string    { return "work in " + s.Path }
