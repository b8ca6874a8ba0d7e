package plan

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// SetLabel tells a security module what the child's next program or key is to be labelled: process.apparmorProfile
// and process.selinuxLabel, config.md#linux-process.
type SetLabel struct {
	Module    string // with a directory of its own below attr: apparmor; otherwise empty
	Attribute string // exec or keycreate
	Value     string
}

// file is where the attribute is, below a procfs.
func (s SetLabel) file() string {
	if s.Module == "" {
		return "thread-self/attr/" + s.Attribute
	}
	return "thread-self/attr/" + s.Module + "/" + s.Attribute
}

// Lower writes through the private procfs, as WriteFile does. Kernels before 5.8 have no directory for AppArmor.
func (s SetLabel) Lower(l *Lowering) {
	how := l.how(unix.O_WRONLY|unix.O_CLOEXEC, resolveProcfs)
	opened := l.Call(unix.SYS_OPENAT2, Value(Procfs), l.String(s.file()), how, Imm(24)).Into(scratchB)
	if s.Module != "" {
		opened.Tolerate(unix.ENOENT)
		there := l.Call(unix.SYS_FCNTL, Value(scratchB), Imm(unix.F_SETFD), Imm(unix.FD_CLOEXEC)).Tolerate(unix.EBADF)
		shared := SetLabel{Attribute: s.Attribute}
		l.Call(unix.SYS_OPENAT2, Value(Procfs), l.String(shared.file()), how, Imm(24)).Into(scratchB)
		there.SkipHere(0)
	}
	l.Call(unix.SYS_WRITE, Value(scratchB), l.String(s.Value), Imm(len(s.Value)))
	l.Call(unix.SYS_CLOSE, Value(scratchB))
}

// String has the path in backquotes, by which podman recognises the errors of security modules.
func (s SetLabel) String() string { return "write " + s.Value + " to `/proc/" + s.file() + "`" }

// SessionKeyring gives the child a session keyring of its own, or joins the one of this name: so do the container's
// later processes. Without it the container would have the keys of whoever called the runtime.
type SessionKeyring struct{ Name string }

// Lower leaves the keyring's serial number in its slot. Where there are no keys, or an outer runtime's filter
// forbids them, that is the errno.
func (s SessionKeyring) Lower(l *Lowering) {
	// Everything for who possesses the keyring; its user may also find and join it (keyctl(2), KEYCTL_SETPERM).
	const permissions = 0x3f1b0000
	joined := l.Call(unix.SYS_KEYCTL, Imm(unix.KEYCTL_JOIN_SESSION_KEYRING), l.String(s.Name)).Into(Keyring)
	l.Call(unix.SYS_KEYCTL, Imm(unix.KEYCTL_SETPERM), Value(Keyring), Imm(permissions))
	joined.SkipHere(unix.ENOSYS, unix.EPERM)
}
func (s SessionKeyring) String() string { return "join the session keyring " + s.Name }

// Dumpable says whether processes of the same user may trace the child, and through it reach its descriptors and its
// capabilities; otherwise it takes CAP_SYS_PTRACE over the user namespace in which the child was made. Whoever comes
// into a container where others run already is not dumpable until execve (CVE-2016-9962).
type Dumpable struct{ On bool }

// Lower is one prctl.
func (s Dumpable) Lower(l *Lowering) {
	on := 0
	if s.On {
		on = 1
	}
	l.Call(unix.SYS_PRCTL, Imm(unix.PR_SET_DUMPABLE), Imm(on), Imm(0), Imm(0), Imm(0))
}
func (s Dumpable) String() string {
	if s.On {
		return "be dumpable"
	}
	return "be out of reach of other processes"
}

// ClearSecurebits takes away the securebits that the runtime has inherited from its caller. It fails where they are
// locked. Locks cannot be taken away; those of what is not set change nothing.
type ClearSecurebits struct{ Inherited int }

// Lower is one prctl.
func (s ClearSecurebits) Lower(l *Lowering) {
	const locks = 0xaaaaaaaa // the bit after each (linux/securebits.h)
	l.Call(unix.SYS_PRCTL, Imm(unix.PR_SET_SECUREBITS), Imm(s.Inherited&locks), Imm(0), Imm(0), Imm(0))
}
func (s ClearSecurebits) String() string {
	return fmt.Sprintf("clear the caller's securebits %#x, unless they are locked", s.Inherited)
}

// LabelMount gives the root of a mount an SELinux label, as a file (linux.mountLabel, config-linux.md#mount-label).
type LabelMount struct {
	Mount Slot
	Label string
}

// Lower opens the directory: through the descriptor of a mount no attribute can be set.
func (s LabelMount) Lower(l *Lowering) {
	how := l.how(unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	l.Call(unix.SYS_OPENAT2, Value(s.Mount), l.String("."), how, Imm(24)).Into(scratchA)
	// With its NUL, as the kernel stores it.
	l.Call(unix.SYS_FSETXATTR, Value(scratchA), l.String("security.selinux"), l.String(s.Label), Imm(len(s.Label)+1), Imm(0))
	l.Call(unix.SYS_CLOSE, Value(scratchA))
}
func (s LabelMount) String() string { return "label " + s.Mount.String() + " " + s.Label }
