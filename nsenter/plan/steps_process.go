package plan

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Name gives the waiting child a name for ps and top; execve replaces it.
type Name struct{ Name string }

// Lower sets the thread's comm.
func (s Name) Lower(l *Lowering) { l.Call(unix.SYS_PRCTL, Imm(unix.PR_SET_NAME), l.String(s.Name)) }
func (s Name) String() string    { return "be called " + s.Name }

// Umask sets the file mode creation mask.
type Umask struct{ Mask uint32 }

// Lower cannot fail.
func (s Umask) Lower(l *Lowering) { l.Call(unix.SYS_UMASK, Flags(uint64(s.Mask))) }
func (s Umask) String() string    { return fmt.Sprintf("umask %04o", s.Mask) }

// TimerSlack sets how late timers may fire, in nanoseconds. A larger value of the parent's is inherited and turns
// short sleeps into long ones.
type TimerSlack struct{ Nanoseconds uint64 }

// Lower is one prctl.
func (s TimerSlack) Lower(l *Lowering) {
	l.Call(unix.SYS_PRCTL, Imm(unix.PR_SET_TIMERSLACK), Flags(s.Nanoseconds), Imm(0), Imm(0), Imm(0))
}
func (s TimerSlack) String() string {
	return "set the timer slack to " + strconv.FormatUint(s.Nanoseconds, 10) + " ns"
}

// Setsid makes the child the leader of a session.
type Setsid struct{}

// Lower starts a session.
func (Setsid) Lower(l *Lowering) { l.Call(unix.SYS_SETSID) }
func (Setsid) String() string    { return "start a session" }

// ResetSignals gives every signal its default disposition and unblocks all: a runtime started under nohup would
// otherwise hand SIGHUP ignored to the container.
type ResetSignals struct{}

// Lower tolerates EINVAL for SIGKILL and SIGSTOP.
func (ResetSignals) Lower(l *Lowering) {
	const signals, setSize = 64, 8
	dfl := l.Bytes(make([]byte, 32)) // struct kernel_sigaction: SIG_DFL, no flags, empty mask
	for sig := 1; sig <= signals; sig++ {
		if sig == int(unix.SIGKILL) || sig == int(unix.SIGSTOP) {
			continue
		}
		l.Call(unix.SYS_RT_SIGACTION, Imm(sig), dfl, Imm(0), Imm(setSize))
	}
	l.Call(unix.SYS_RT_SIGPROCMASK, Imm(unix.SIG_SETMASK), l.Bytes(make([]byte, setSize)), Imm(0), Imm(setSize))
}
func (ResetSignals) String() string { return "reset every signal" }

// JoinCgroup moves the child into a v1 cgroup by writing "0" to its tasks file. The parent writing a pid to
// cgroup.procs waits for an RCU grace period (about 10 ms); the single-threaded child moving itself costs 4–20 µs.
type JoinCgroup struct {
	Tasks Slot
	Name  string // of the hierarchy
}

// Lower writes and closes.
func (s JoinCgroup) Lower(l *Lowering) {
	l.Call(unix.SYS_WRITE, Value(s.Tasks), l.String("0"), Imm(1))
	l.Call(unix.SYS_CLOSE, Value(s.Tasks))
}
func (s JoinCgroup) String() string { return "join the " + s.Name + " cgroup by " + s.Tasks.String() }

// Hostname sets the host name of the child's UTS namespace.
type Hostname struct{ Name string }

// Lower uses the call, not the sysctl, which a user namespace may not write.
func (s Hostname) Lower(l *Lowering) {
	l.Call(unix.SYS_SETHOSTNAME, l.String(s.Name), Imm(len(s.Name)))
}
func (s Hostname) String() string { return "set the host name " + s.Name }

// Domainname sets the NIS domain name of the child's UTS namespace.
type Domainname struct{ Name string }

// Lower is setdomainname(2).
func (s Domainname) Lower(l *Lowering) {
	l.Call(unix.SYS_SETDOMAINNAME, l.String(s.Name), Imm(len(s.Name)))
}
func (s Domainname) String() string { return "set the domain name " + s.Name }

// LoopbackUp brings up lo in a new network namespace.
type LoopbackUp struct{}

// Lower needs no netlink: one ioctl sets the flag.
func (LoopbackUp) Lower(l *Lowering) {
	var ifreq [40]byte
	copy(ifreq[:], "lo")
	binary.NativeEndian.PutUint16(ifreq[unix.IFNAMSIZ:], unix.IFF_UP)
	l.Call(unix.SYS_SOCKET, Imm(unix.AF_INET), Imm(unix.SOCK_DGRAM|unix.SOCK_CLOEXEC), Imm(0)).Into(scratchA)
	l.Call(unix.SYS_IOCTL, Value(scratchA), Imm(unix.SIOCSIFFLAGS), l.Bytes(ifreq[:]))
	l.Call(unix.SYS_CLOSE, Value(scratchA))
}
func (LoopbackUp) String() string { return "bring up lo" }

// SetIDs becomes the process's user (process.user, config.md). Permitted capabilities are kept for the steps
// that still need them.
type SetIDs struct {
	UID, GID uint32
	Groups   []uint32
	// KeepGroups leaves the supplementary groups alone, where a user namespace denies setgroups.
	KeepGroups bool
}

// Lower sets groups, gid, uid: after the uid, the rest is no longer allowed.
func (s SetIDs) Lower(l *Lowering) {
	l.Call(unix.SYS_PRCTL, Imm(unix.PR_SET_KEEPCAPS), Imm(1), Imm(0), Imm(0), Imm(0))
	if !s.KeepGroups {
		b := make([]byte, 0, 4*len(s.Groups)+4)
		for _, g := range s.Groups {
			b = binary.NativeEndian.AppendUint32(b, g)
		}
		l.Call(unix.SYS_SETGROUPS, Imm(len(s.Groups)), l.Bytes(b))
	}
	gid, uid := Flags(uint64(s.GID)), Flags(uint64(s.UID))
	l.Call(unix.SYS_SETRESGID, gid, gid, gid)
	l.Call(unix.SYS_SETRESUID, uid, uid, uid)
}

func (s SetIDs) String() string {
	t := fmt.Sprintf("become uid %d gid %d", s.UID, s.GID)
	if !s.KeepGroups {
		t += fmt.Sprintf(" groups %v", s.Groups)
	}
	return t
}

// DropBounding removes capabilities from the bounding set. It needs CAP_SETPCAP and therefore comes before the
// other sets change.
type DropBounding struct {
	Drop uint64 // bit n is capability number n
}

// Lower is one prctl for each capability.
func (s DropBounding) Lower(l *Lowering) {
	for c := 0; c < 64; c++ {
		if s.Drop>>c&1 != 0 {
			l.Call(unix.SYS_PRCTL, Imm(unix.PR_CAPBSET_DROP), Imm(c), Imm(0), Imm(0), Imm(0))
		}
	}
}
func (s DropBounding) String() string { return fmt.Sprintf("drop %#x from the bounding set", s.Drop) }

// SetCaps sets the four other capability sets, as bit masks.
type SetCaps struct{ Effective, Permitted, Inheritable, Ambient uint64 }

// Lower clears the ambient set first: the clone into a user namespace raised it to get through the player's exec.
func (s SetCaps) Lower(l *Lowering) {
	ambient := func(op, c int) {
		l.Call(unix.SYS_PRCTL, Imm(unix.PR_CAP_AMBIENT), Imm(op), Imm(c), Imm(0), Imm(0))
	}
	ambient(unix.PR_CAP_AMBIENT_CLEAR_ALL, 0)
	l.capset(s.Effective, s.Permitted, s.Inheritable)
	for c := 0; c < 64; c++ {
		if s.Ambient>>c&1 != 0 {
			ambient(unix.PR_CAP_AMBIENT_RAISE, c)
		}
	}
}

func (s SetCaps) String() string {
	return fmt.Sprintf("set capabilities effective %#x permitted %#x inheritable %#x ambient %#x",
		s.Effective, s.Permitted, s.Inheritable, s.Ambient)
}

func (l *Lowering) capset(effective, permitted, inheritable uint64) {
	e := binary.NativeEndian
	var header [8]byte
	e.PutUint32(header[:], unix.LINUX_CAPABILITY_VERSION_3)
	sets := make([]byte, 0, 24)
	for _, shift := range [...]int{0, 32} {
		for _, set := range [...]uint64{effective, permitted, inheritable} {
			sets = e.AppendUint32(sets, uint32(set>>shift))
		}
	}
	l.Call(unix.SYS_CAPSET, l.Bytes(header[:]), l.Bytes(sets))
}

// RaiseCaps makes kept capabilities effective again after the uid changed: the working directory may be one that
// only root reaches, and the seccomp filter needs CAP_SYS_ADMIN where no_new_privs is off.
type RaiseCaps struct{ Permitted uint64 }

// Lower is one capset.
func (s RaiseCaps) Lower(l *Lowering) { l.capset(s.Permitted, s.Permitted, 0) }
func (s RaiseCaps) String() string    { return "keep capabilities for the next steps" }

// NoNewPrivs sets no_new_privs (process.noNewPrivileges, config.md).
type NoNewPrivs struct{}

// Lower is one prctl.
func (NoNewPrivs) Lower(l *Lowering) {
	l.Call(unix.SYS_PRCTL, Imm(unix.PR_SET_NO_NEW_PRIVS), Imm(1), Imm(0), Imm(0), Imm(0))
}
func (NoNewPrivs) String() string { return "set no_new_privs" }

// Chdir enters the working directory. Magic links are refused: through /proc/self/fd an image could otherwise
// choose a descriptor of the runtime (CVE-2024-21626).
type Chdir struct{ At Path }

// Lower resolves below the root's own descriptor, not below "/".
func (s Chdir) Lower(l *Lowering) {
	l.open(s.At, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, scratchB)
	l.Call(unix.SYS_FCHDIR, Value(scratchB))
	l.Call(unix.SYS_CLOSE, Value(scratchB))
}
func (s Chdir) String() string { return "enter " + s.At.String() }

// Rlimit sets one resource limit of the child (process.rlimits, config.md). Raising a hard limit is the parent's
// work.
type Rlimit struct {
	Resource   int
	Soft, Hard uint64
	Name       string
}

// Lower is one prlimit64 on the child itself.
func (s Rlimit) Lower(l *Lowering) {
	var b [16]byte
	binary.NativeEndian.PutUint64(b[0:], s.Soft)
	binary.NativeEndian.PutUint64(b[8:], s.Hard)
	l.Call(unix.SYS_PRLIMIT64, Imm(0), Imm(s.Resource), l.Bytes(b[:]), Imm(0))
}

func (s Rlimit) String() string {
	words := func(v uint64) string {
		if v == unix.RLIM_INFINITY {
			return "unlimited"
		}
		return strconv.FormatUint(v, 10)
	}
	return "limit " + s.Name + " " + words(s.Soft) + " " + words(s.Hard)
}

// Seccomp loads a compiled filter (linux.seccomp, config-linux.md). With SECCOMP_FILTER_FLAG_NEW_LISTENER among its
// flags it makes a listener, which the conductor fetches.
type Seccomp struct {
	Filter []byte // struct sock_filter[]
	Flags  uint   // SECCOMP_FILTER_FLAG_*
}

// Lower is one seccomp(2) with the filter in the phase's data. No call can be counted on below the filter, not even
// one that sends a listener away. So its number, which is the lowest free one, is announced before.
func (s Seccomp) Lower(l *Lowering) {
	if s.Flags&unix.SECCOMP_FILTER_FLAG_NEW_LISTENER != 0 {
		l.Call(unix.SYS_FCNTL, Value(Control), Imm(unix.F_DUPFD_CLOEXEC), Imm(0)).Into(Listener)
		l.Call(unix.SYS_CLOSE, Value(Listener))
		l.Call(unix.SYS_WRITE, Value(Control), Addr(Listener), Imm(AnnouncementSize))
	}
	filter := l.put(s.Filter)
	program := l.put(make([]byte, 16)) // struct sock_fprog
	binary.NativeEndian.PutUint16(l.data[program:], uint16(len(s.Filter)/8))
	l.pointer(program+8, filter)
	l.Call(unix.SYS_SECCOMP, Imm(unix.SECCOMP_SET_MODE_FILTER), Flags(uint64(s.Flags)), offset(program))
}

// AnnouncementSize is the length in bytes of the message with a listener's number, an int.
const AnnouncementSize = 4

func (s Seccomp) String() string {
	t := fmt.Sprintf("load the seccomp filter of %d instructions", len(s.Filter)/8)
	if s.Flags&unix.SECCOMP_FILTER_FLAG_NEW_LISTENER != 0 {
		t += ", announce its listener"
	}
	return t
}

// Probe asks whether the child could execute a file. Result(Index) receives access(2)'s answer, Result(Index+1)
// the answer for name/., whose ENOTDIR proves that the name is no directory.
type Probe struct {
	Name  string
	Index int
}

// Lower records errnos instead of failing on them.
func (s Probe) Lower(l *Lowering) {
	access := func(name string, mode, index int) {
		l.Call(unix.SYS_FACCESSAT, Imm(unix.AT_FDCWD), l.String(name), Imm(mode)).Into(Result(index)).Anyway()
	}
	access(s.Name, unix.X_OK, s.Index)
	access(s.Name+"/.", unix.F_OK, s.Index+1)
}
func (s Probe) String() string { return "look for " + s.Name }

// AwaitStart waits for `start`: one byte through the gate. It tells the conductor that all steps before it are
// done; from here on the answer goes to the verdict fifo, for the process that waits there need not be the one
// that made the child.
type AwaitStart struct {
	// Filtered says that the step before has loaded a filter with a listener, under which any call may be left to
	// an agent. The listener's announcement has told the conductor enough.
	Filtered bool
}

// StartByte is what `start` writes to the gate.
const StartByte = 1

// Lower blocks in read. The byte itself proves that it was start who ended the wait, and not the death of whoever held
// the other end, or an agent that answered in the kernel's place.
func (s AwaitStart) Lower(l *Lowering) {
	if !s.Filtered {
		l.Call(unix.SYS_WRITE, Value(Control), l.Bytes([]byte{0}), Imm(1))
	}
	l.Redirect(Control, Verdict)
	const mask = 0xff // the first byte of a little-endian int
	l.Call(poke, Addr(scratchA), Imm(0))
	l.Call(unix.SYS_READ, Value(Gate), Addr(scratchA), Imm(1))
	l.Call(expect, Addr(scratchA), Imm(mask), Imm(StartByte), Imm(int(unix.ECANCELED)))
}
func (AwaitStart) String() string { return "wait for start" }

// CloseOnExec marks every descriptor from First on, so that execve closes it.
type CloseOnExec struct{ First int }

// Lower is one close_range.
func (s CloseOnExec) Lower(l *Lowering) {
	l.Call(unix.SYS_CLOSE_RANGE, Imm(s.First), Flags(^uint64(0)>>32), Imm(unix.CLOSE_RANGE_CLOEXEC))
}
func (s CloseOnExec) String() string {
	return "close descriptors from " + strconv.Itoa(s.First) + " on at exec"
}

// Exec becomes the program. It is the last step that a child performs.
type Exec struct {
	Path string
	Args []string
	Env  []string
}

// Lower is execve; that it returns at all is a failure.
func (s Exec) Lower(l *Lowering) {
	l.Call(unix.SYS_EXECVE, l.String(s.Path), l.Strings(s.Args), l.Strings(s.Env))
}

// String leaves the environment out: it may hold secrets.
func (s Exec) String() string {
	quoted := make([]string, len(s.Args))
	for i, a := range s.Args {
		quoted[i] = strconv.Quote(a)
	}
	return "exec " + s.Path + " [" + strings.Join(quoted, " ") + "]"
}

// Keep gives a descriptor that came with this phase the slot in which later steps look for it.
type Keep struct{ From, As Slot }

// Lower copies the number.
func (s Keep) Lower(l *Lowering) { l.Redirect(s.As, s.From) }
func (s Keep) String() string    { return "keep " + s.From.String() + " as " + s.As.String() }

// ResetAffinity lets the child run on every CPU that its cpuset allows: a runtime that is pinned does not pin
// containers.
type ResetAffinity struct{}

// Lower asks for 8192 CPUs, the most that Linux can be built for; the kernel leaves out what is not there.
func (ResetAffinity) Lower(l *Lowering) {
	all := bytes.Repeat([]byte{0xff}, 1024)
	l.Call(unix.SYS_SCHED_SETAFFINITY, Imm(0), Imm(len(all)), l.Bytes(all))
}
func (ResetAffinity) String() string { return "run on every CPU" }

// Affinity has the child run on some CPUs only (process.execCPUAffinity, config.md#linux-process).
type Affinity struct {
	CPUs []byte // bit n of byte i is CPU 8i+n
	List string // as the configuration says it
}

// Lower is one sched_setaffinity. The kernel leaves out CPUs that the cpuset does not have, and refuses if none is left.
func (s Affinity) Lower(l *Lowering) {
	l.Call(unix.SYS_SCHED_SETAFFINITY, Imm(0), Imm(len(s.CPUs)), l.Bytes(s.CPUs))
}
func (s Affinity) String() string { return "run on the CPUs " + s.List }

// Personality sets the execution domain (linux.personality, config-linux.md).
type Personality struct {
	Domain uint64 // PER_*
	Name   string
}

// Lower is personality(2).
func (s Personality) Lower(l *Lowering) { l.Call(unix.SYS_PERSONALITY, Flags(s.Domain)) }
func (s Personality) String() string    { return "set the personality " + s.Name }
