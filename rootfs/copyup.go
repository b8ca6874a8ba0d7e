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
	if err := w.entry(int(dir.Fd()), ".", "."); err != nil {
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

// entry adds one entry of a directory, and what is in it. A socket without its server is of no use, and none can be
// made. Nothing but directories is opened here: it could be something else by then, which init finds out.
func (w *copier) entry(dir int, base, inside string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "stat", Path: inside, Err: err}
	}
	s := plan.Copy{Name: inside, Type: st.Mode & unix.S_IFMT, Size: st.Size, Dev: st.Rdev, Changed: st.Mtim}
	var err error
	switch s.Type {
	case unix.S_IFSOCK:
		return nil
	case unix.S_IFLNK:
		s.Target, err = readlink(dir, base)
	case unix.S_IFDIR, unix.S_IFREG:
		s.Xattrs, err = xattrs(fmt.Sprintf("/proc/self/fd/%d/%s", dir, base))
	}
	if err != nil {
		return &os.PathError{Op: "read", Path: inside, Err: err}
	}
	if inside != "." || !w.ownTop {
		w.add(s)
	}
	if s.Type != unix.S_IFDIR {
		return nil
	}
	return w.directory(dir, base, inside)
}

// directory adds what is in a directory.
func (w *copier) directory(parent int, base, inside string) error {
	fd, err := unix.Openat(parent, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: inside, Err: err}
	}
	dir := os.NewFile(uintptr(fd), inside)
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := w.entry(fd, name, path.Join(inside, name)); err != nil {
			return err
		}
	}
	return nil
}

func readlink(dir int, base string) (string, error) {
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, base, target)
	if err != nil {
		return "", err
	}
	return string(target[:n]), nil
}

// xattrs reads the extended attributes but SELinux's label, which a mount gives its files.
func xattrs(name string) ([]plan.Xattr, error) {
	size, err := unix.Llistxattr(name, nil)
	if err == unix.EOPNOTSUPP || size == 0 && err == nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list := make([]byte, size)
	if size, err = unix.Llistxattr(name, list); err != nil {
		return nil, err
	}
	var all []plan.Xattr
	for key := range strings.SplitSeq(strings.TrimSuffix(string(list[:size]), "\x00"), "\x00") {
		if key == "security.selinux" {
			continue
		}
		value := make([]byte, 1<<16) // XATTR_SIZE_MAX
		n, err := unix.Lgetxattr(name, key, value)
		if err != nil {
			return nil, err
		}
		all = append(all, plan.Xattr{Name: key, Value: value[:n]})
	}
	return all, nil
}
