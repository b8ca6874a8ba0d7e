package libcontainer

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
	"skep/rootfs"
	"skep/spec"
)

// mountHint says what may be the reason that the kernel does not do something with a mount.
func (b *blueprint) mountHint(e *plan.StepError) string {
	f, ok := e.Step.(plan.For)
	var i int
	if n, _ := fmt.Sscanf(f.Item, "mounts[%d]", &i); !ok || n != 1 || i >= len(b.spec.Mounts) {
		return ""
	}
	source := b.spec.Mounts[i].Source
	if !filepath.IsAbs(source) {
		source = filepath.Join(b.bundle, source)
	}
	if _, ok := f.Step.(plan.Attach); ok {
		if o, err := spec.ParseMountOptions(b.spec.Mounts[i].Options); err == nil && o.Bind {
			return kindHint(source, e.Errno)
		}
		return ""
	}
	if b.rights.host && spec.FindNamespace(b.spec.Linux, specs.UserNamespace) == nil {
		return ""
	}
	switch s := f.Step.(type) {
	case plan.OpenTree:
		if e.Errno == unix.EINVAL && !s.Recursive {
			return "mounts of the host below it cannot be left out in a user namespace: use rbind"
		}
	case plan.SetAttr:
		if e.Errno != unix.EPERM {
			return ""
		}
		return rootfs.Locked(source, s.Clear)
	case plan.Filesystem:
		switch {
		case e.Errno != unix.EPERM:
			return ""
		case s.Type == "proc":
			return "in a user namespace a new proc takes a pid namespace of its own, and a host whose /proc nothing is mounted over; a bind mount of /proc does not"
		}
		return "does the kernel let user namespaces mount a " + s.Type + ", and is the namespace that it shows the container's own?"
	}
	return ""
}

// kindHint tells of the usual mistake with a bind mount: one of the two is a directory.
func kindHint(source string, errno unix.Errno) string {
	st, err := os.Stat(source)
	switch {
	case err == nil && st.IsDir() && errno == unix.ENOTDIR:
		return source + " is a directory, and what it is to be mounted on is not"
	case err == nil && !st.IsDir() && errno == unix.EINVAL: // dockerd looks for "not a directory"
		return source + " is not a directory, and what it is to be mounted on is one"
	}
	return ""
}
