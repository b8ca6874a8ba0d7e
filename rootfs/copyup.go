package rootfs

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// copiesPerPhase bounds the memory that a phase takes.
const copiesPerPhase = 256

// tmpCopyUp adds what a tmpfs with the option tmpcopyup needs before it covers a directory. What is in that directory
// nobody knows before the mounts up to here are made: init hands it out, and between this phase and the next the
// conductor has a [CopyUp] compile the copying. Init copies: the pages are then charged to its cgroup, and the owners are
// those of its user namespace.
func (c *compiler) tmpCopyUp(m *mount, params []string) {
	c.add(m.item, plan.Mkdirs{At: m.at}, plan.Find{At: m.at, Into: plan.Covered}, plan.Export{Slot: plan.Covered})
	if c.copyUps == nil {
		c.copyUps = map[*plan.Phase]*CopyUp{}
	}
	c.copyUps[c.phase] = &CopyUp{item: m.item, ownTop: slices.ContainsFunc(params, func(p string) bool {
		return strings.HasPrefix(p, "mode=") || strings.HasPrefix(p, "uid=") || strings.HasPrefix(p, "gid=")
	})}
	c.nextPhase()
	c.add(m.item, plan.Close{Slots: []plan.Slot{plan.Covered}})
}

// CopyUp is a tmpfs to be filled.
type CopyUp struct {
	item   string
	ownTop bool // its options say what its own mode or owner is
}

// Compile compiles the copying of the directory that init has handed out as plan.Covered, which stays the caller's.
func (u *CopyUp) Compile(dir *os.File) ([]*plan.Phase, error) {
	w := &copier{CopyUp: u}
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = w.entry(fd, ".", unix.S_IFDIR)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: tmpcopyup: %w", u.item, err)
	}
	return w.phases, nil
}

type copier struct {
	*CopyUp
	phases []*plan.Phase
}

// add adds a step that copies one entry.
func (w *copier) add(s plan.Copy) {
	last := len(w.phases) - 1
	if last < 0 || len(w.phases[last].Steps) == copiesPerPhase {
		w.phases = append(w.phases, &plan.Phase{Name: "rootfs"})
		last++
	}
	w.phases[last].Add(plan.For{Item: w.item, Step: s})
}

// directory adds what is in a directory, which it closes.
func (w *copier) directory(fd int, name string) error {
	dir := os.NewFile(uintptr(fd), name)
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, base := range names {
		var st unix.Stat_t
		inside := path.Join(name, base)
		if err := unix.Fstatat(fd, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return &os.PathError{Op: "stat", Path: inside, Err: err}
		}
		if err := w.child(fd, base, inside, &st); err != nil {
			return err
		}
	}
	return nil
}

// child adds one entry of a directory. A socket without its server is of no use, and none can be made.
func (w *copier) child(dir int, base, inside string, st *unix.Stat_t) error {
	kind := st.Mode & unix.S_IFMT
	switch kind {
	case unix.S_IFSOCK:
		return nil
	case unix.S_IFDIR, unix.S_IFREG:
		flags := unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOFOLLOW | unix.O_CLOEXEC
		fd, err := unix.Openat(dir, base, flags, 0)
		if err != nil {
			return &os.PathError{Op: "open", Path: inside, Err: err}
		}
		return w.entry(fd, inside, kind)
	case unix.S_IFLNK:
		target := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(dir, base, target)
		if err != nil {
			return &os.PathError{Op: "readlink", Path: inside, Err: err}
		}
		w.add(plan.Copy{Name: inside, Type: kind, Target: string(target[:n]), Changed: st.Mtim})
	default:
		w.add(plan.Copy{Name: inside, Type: kind, Dev: st.Rdev, Changed: st.Mtim})
	}
	return nil
}

// entry adds an open file or directory, which it closes, and what is in it.
func (w *copier) entry(fd int, name string, kind uint32) error {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	if err == nil && st.Mode&unix.S_IFMT != kind {
		err = unix.ESTALE
	}
	s := plan.Copy{Name: name, Type: kind, Size: st.Size, Changed: st.Mtim}
	if err == nil {
		s.Xattrs, err = xattrs(fd)
	}
	if err != nil {
		unix.Close(fd)
		return &os.PathError{Op: "read", Path: name, Err: err}
	}
	if name != "." || !w.ownTop {
		w.add(s)
	}
	if kind == unix.S_IFDIR {
		return w.directory(fd, name)
	}
	return unix.Close(fd)
}

// xattrs reads the extended attributes but SELinux's label, which a mount gives its files.
func xattrs(fd int) ([]plan.Xattr, error) {
	size, err := unix.Flistxattr(fd, nil)
	if err == unix.EOPNOTSUPP || size == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list := make([]byte, size)
	if size, err = unix.Flistxattr(fd, list); err != nil {
		return nil, err
	}
	var all []plan.Xattr
	for _, name := range strings.FieldsFunc(string(list[:size]), func(r rune) bool { return r == 0 }) {
		value := make([]byte, 1<<16) // XATTR_SIZE_MAX
		n, err := unix.Fgetxattr(fd, name, value)
		if err != nil {
			return nil, err
		}
		if name != "security.selinux" {
			all = append(all, plan.Xattr{Name: name, Value: value[:n]})
		}
	}
	return all, nil
}
