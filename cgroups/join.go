package cgroups

import (
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// checkJoin fails if this process may not have a child born into the v2 directory. Beside the right to write to the
// directory's own cgroup.procs the kernel asks for that of the nearest cgroup above both (cgroups(7), delegation
// containment), which only who is inside of a delegated subtree has.
func (d dir) checkJoin() error {
	procs := d.Mount + commonAncestor(d.Own, strings.TrimPrefix(d.path, d.Mount)) + "/cgroup.procs"
	if err := unix.Faccessat(unix.AT_FDCWD, procs, unix.W_OK, unix.AT_EACCESS); err != nil {
		err = &os.PathError{Op: "write", Path: path.Clean(procs), Err: err}
		return fmt.Errorf("%w (to place a process into %s from %s takes the right to that)", err, d.path, d.Own)
	}
	return nil
}

// CanJoin tells whether this process may have a child born into the group's v2 directory.
func (g *Group) CanJoin() bool {
	layout, err := Detect()
	if err != nil {
		return false
	}
	h, ok := layout.find("")
	return !ok || dir{h, g.V2Dir()}.checkJoin() == nil
}

// commonAncestor returns the deepest cgroup that two cgroups are in, "" for the root. What is outside of the cgroup
// namespace, whose path begins with "/..", has the root in common.
func commonAncestor(a, b string) string {
	common := ""
	a, b = path.Clean(a)+"/", path.Clean(b)+"/"
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			break
		}
		if a[i] == '/' {
			common = a[:i]
		}
	}
	return common
}
