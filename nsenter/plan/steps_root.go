package plan

import "golang.org/x/sys/unix"

// OpenRoot takes a directory of the mount namespace that has been joined for the container's root.
type OpenRoot struct{ Path string }

// Lower follows symlinks, as the parent does with a root of its own mount namespace.
func (s OpenRoot) Lower(l *Lowering) {
	how := l.how(unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	l.Call(unix.SYS_OPENAT2, Imm(unix.AT_FDCWD), l.String(s.Path), how, Imm(24)).Into(Root)
}
func (s OpenRoot) String() string { return "take " + s.Path + " as " + Root.String() }

// ChangeRoot is for a mount namespace that is not the container's own: pivot_root would change the root of everybody
// in it.
type ChangeRoot struct{}

// Lower is chroot(2).
func (ChangeRoot) Lower(l *Lowering) {
	l.Call(unix.SYS_FCHDIR, Value(Root))
	l.Call(unix.SYS_CHROOT, l.String("."))
	l.Call(unix.SYS_CHDIR, l.String("/"))
}
func (ChangeRoot) String() string { return "change root to root" }
