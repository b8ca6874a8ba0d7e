package rootfs

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// Tree is a detached clone of a mount of the host. It gets its attributes and its propagation before it is handed
// over: there is no moment at which a read-only bind mount can be written.
type Tree struct {
	Item      string // of the configuration, for errors
	Path      string // on the host; symlinks are followed
	Recursive bool   // with all that is mounted below
	// Dir is what Path has been found to be, for those that were looked up before; its zero value looks Path up.
	Dir *os.File

	Changes []plan.SetAttr // in order; their Mount is not used
	// Implied are the attributes that Changes clear only because nobody asked for them. Where an outer user
	// namespace has locked them, they stay.
	Implied uint64

	IDMap *IDMap // whose the files appear to be; nil leaves it

	Device *specs.LinuxDevice // it has to be a node of this type and number, if set
	Procfs bool               // it has to be a procfs
}

// String says what is cloned and what becomes of it.
func (t Tree) String() string {
	var b strings.Builder
	b.WriteString("clone of " + t.Path)
	if t.Recursive {
		b.WriteString(" and all below")
	}
	if t.IDMap != nil {
		b.WriteString(", owners mapped by " + t.IDMap.String())
		if t.IDMap.Recursive {
			b.WriteString(" recursively")
		}
	}
	for _, change := range t.Changes {
		change.Mount = plan.Mount
		b.WriteString("," + strings.TrimPrefix(change.String(), "set "+plan.Mount.String()))
	}
	for _, proof := range t.proofs(plan.Mount) {
		b.WriteString(", " + strings.Replace(proof.String(), plan.Mount.String(), "it", 1))
	}
	return b.String()
}

// Open clones the mount. Errors begin with the item and name the path.
func (t Tree) Open() (int, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if t.Recursive {
		flags |= unix.AT_RECURSIVE
	}
	at, path := unix.AT_FDCWD, t.Path
	if t.Dir != nil {
		at, path, flags = int(t.Dir.Fd()), "", flags|unix.AT_EMPTY_PATH
	}
	fd, err := unix.OpenTree(at, path, flags)
	if err != nil {
		return -1, fmt.Errorf("%s: clone the mount at %s: %w", t.Item, t.Path, err)
	}
	if err = t.prove(fd); err == nil {
		err = t.change(fd)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("%s: %s: %w", t.Item, t.Path, err)
	}
	return fd, nil
}

// change maps the owners and applies the attributes and the propagation.
func (t Tree) change(fd int) error {
	if t.IDMap != nil {
		if err := t.IDMap.apply(fd); err != nil {
			return err
		}
	}
	for _, s := range t.Changes {
		flags := uint(unix.AT_EMPTY_PATH)
		if s.Recursive {
			flags |= unix.AT_RECURSIVE
		}
		attr := unix.MountAttr{Attr_set: s.Set, Attr_clr: s.Clear, Propagation: s.Propagation}
		err := unix.MountSetattr(fd, "", flags, &attr)
		if err == unix.EPERM && s.Clear&t.Implied != 0 {
			attr.Attr_clr &^= t.Implied
			err = unix.MountSetattr(fd, "", flags, &attr)
		}
		if err != nil {
			s.Mount = plan.Mount
			err = fmt.Errorf("%s: mount_setattr: %w", s, err)
			if locked := Locked(t.Path, s.Clear); errors.Is(err, unix.EPERM) && locked != "" {
				err = fmt.Errorf("%w (%s)", err, locked)
			}
			return err
		}
	}
	return nil
}

// prove looks at the descriptor, not at the path, which could name something else by now.
func (t Tree) prove(fd int) error {
	if t.Procfs {
		var st unix.Statfs_t
		if err := unix.Fstatfs(fd, &st); err != nil {
			return os.NewSyscallError("fstatfs", err)
		}
		if st.Type != unix.PROC_SUPER_MAGIC {
			return errors.New("only a procfs may be mounted on /proc, and this is none")
		}
	}
	if t.Device != nil {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return os.NewSyscallError("fstat", err)
		}
		if d := t.Device; st.Mode&unix.S_IFMT != nodeType(d) || st.Rdev != unix.Mkdev(uint32(d.Major), uint32(d.Minor)) {
			return fmt.Errorf("the host has something else there than the device %s %d:%d", d.Type, d.Major, d.Minor)
		}
	}
	return nil
}

// proofs are the steps that prove the same in init.
func (t Tree) proofs(slot plan.Slot) []plan.Step {
	var steps []plan.Step
	if t.Procfs {
		steps = append(steps, plan.ProveFilesystem{Slot: slot, Type: "procfs", Magic: unix.PROC_SUPER_MAGIC})
	}
	if d := t.Device; d != nil {
		steps = append(steps, plan.ProveNode{Slot: slot, Mode: nodeType(d), Major: uint32(d.Major), Minor: uint32(d.Minor)})
	}
	return steps
}

// hostProcfs is the host's /proc as a Source.
type hostProcfs struct{}

// Open proves that it is one.
func (h hostProcfs) Open() (int, error) {
	fd, err := unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: "/proc", Err: err}
	}
	if err := (Tree{Procfs: true}).prove(fd); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("/proc: %w", err)
	}
	return fd, nil
}
func (hostProcfs) String() string { return "/proc" }
