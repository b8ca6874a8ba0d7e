package plan

import (
	"encoding/binary"
	"strconv"

	"golang.org/x/sys/unix"
)

// Setns joins namespaces of another process, all in one call: the kernel checks each of them before it enters any.
type Setns struct {
	Process Slot // a pidfd
	Flags   int  // CLONE_NEW*
	Name    string
}

// Lower is setns(2). A pid namespace takes effect with the next process: see Fork.
func (s Setns) Lower(l *Lowering) {
	l.Call(unix.SYS_SETNS, Value(s.Process), Imm(s.Flags))
	l.Call(unix.SYS_CLOSE, Value(s.Process))
}
func (s Setns) String() string { return "join the namespaces " + s.Name + " of " + s.Process.String() }

// JoinNamespace joins one namespace by its own descriptor (linux.namespaces, config-linux.md#namespaces).
type JoinNamespace struct {
	Namespace Slot
	Flag      int // CLONE_NEW*: what the descriptor must be
	Name      string
	Path      string
}

// Lower is setns(2). A pid namespace takes the next process only: see Fork.
func (s JoinNamespace) Lower(l *Lowering) {
	l.Call(unix.SYS_SETNS, Value(s.Namespace), Imm(s.Flag))
	l.Call(unix.SYS_CLOSE, Value(s.Namespace))
}
func (s JoinNamespace) String() string {
	return "join the " + s.Name + " namespace " + s.Path + " by " + s.Namespace.String()
}

func (s JoinNamespace) explain(call string, errno unix.Errno) string {
	switch {
	case call != "setns":
	case errno == unix.EPERM:
		return "it belongs to a user namespace in which skep has no CAP_SYS_ADMIN"
	case errno == unix.EINVAL && s.Flag == unix.CLONE_NEWPID:
		return "it is not below skep's own pid namespace"
	}
	return ""
}

// Unshare makes new namespaces that clone could not make yet.
type Unshare struct {
	Flags int
	Name  string
}

// Lower is unshare(2).
func (s Unshare) Lower(l *Lowering) { l.Call(unix.SYS_UNSHARE, Imm(s.Flags)) }
func (s Unshare) String() string    { return "new " + s.Name + " namespace" }
func (s Unshare) explain(_ string, errno unix.Errno) string {
	if errno == unix.EINVAL {
		return "the kernel was built without " + s.Name + " namespaces"
	}
	return ""
}

// Fork goes on in a new process, which a joined pid namespace or a new time or pid namespace takes. It ends its
// phase: the conductor has to learn the new pid before anything else can fail.
type Fork struct {
	// Cgroup is a v2 cgroup directory in which the new process begins; Control leaves it where this one is. The
	// first process stays out of it, so that a pids.max of 1 is enough.
	Cgroup Slot
}

// ForkedSize is the length of the message that tells the pid, in its first four bytes: no other has this length.
const ForkedSize = 8

// Lower makes a sibling, not a child: whoever waits for the one waits for the other. The first process tells the pid,
// which it knows as the conductor does, and ends. The new one keeps no way to a directory of the host.
func (s Fork) Lower(l *Lowering) {
	forked := s.clone(l)
	l.Call(unix.SYS_WRITE, Value(Control), Addr(scratchA), Imm(ForkedSize))
	l.Call(unix.SYS_EXIT_GROUP, Imm(0))
	forked.SkipHere(0)
	if s.Cgroup != Control {
		l.Call(unix.SYS_CLOSE, Value(s.Cgroup))
	}
}

func (s Fork) clone(l *Lowering) call {
	if s.Cgroup == Control {
		const flags = unix.CLONE_PARENT | unix.CLONE_PARENT_SETTID | int(unix.SIGCHLD)
		return l.Call(unix.SYS_CLONE, Imm(flags), Imm(0), Addr(scratchA), Imm(0), Imm(0))
	}
	const size, atCgroup = 88, 80 // struct clone_args; a sibling's exit signal is that of the first process
	args := l.put(make([]byte, size))
	binary.NativeEndian.PutUint64(l.data[args:], unix.CLONE_PARENT|unix.CLONE_INTO_CGROUP)
	l.Poke(args+atCgroup, s.Cgroup)
	return l.Call(unix.SYS_CLONE3, offset(args), Imm(size)).Into(scratchA)
}

func (Fork) explain(_ string, errno unix.Errno) string {
	if errno == unix.ENOMEM {
		return "has the first process of the pid namespace ended?"
	}
	return ""
}

func (s Fork) String() string {
	if s.Cgroup == Control {
		return "go on in a new process"
	}
	return "go on in a new process in the cgroup " + s.Cgroup.String()
}

// Forks reports whether the phase ends in another process than it began in.
func (p *Phase) Forks() bool {
	if len(p.Steps) == 0 {
		return false
	}
	last, _ := unwrap(p.Steps[len(p.Steps)-1])
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

// OpenDir opens a directory of the host, as the child's mount namespace has it.
type OpenDir struct {
	Path string
	Into Slot
}

// Lower is one openat.
func (s OpenDir) Lower(l *Lowering) {
	l.Call(unix.SYS_OPENAT, Imm(unix.AT_FDCWD), l.String(s.Path), Flags(unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC),
		Imm(0)).Into(s.Into)
}
func (s OpenDir) String() string { return "open " + s.Path + " → " + s.Into.String() }

// WorkIn enters a directory as the child sees the world: on the host, or below the root that it has joined.
type WorkIn struct{ Path string }

// Lower follows symlinks; the path is the runtime's, never an image's.
func (s WorkIn) Lower(l *Lowering) { l.Call(unix.SYS_CHDIR, l.String(s.Path)) }
func (s WorkIn) String() string    { return "work in " + s.Path }
