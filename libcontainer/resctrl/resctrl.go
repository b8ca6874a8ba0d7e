// Package resctrl places containers into groups of the kernel's resource control filesystem (linux.intelRdt,
// config-linux.md#intelrdt): shares of caches and of memory bandwidth, and monitoring of both.
//
// A control group is a directory below the root; its limits are the lines of its file schemata. A monitoring group is
// a directory below its mon_groups. The kernel fills new directories with files, and takes the tasks of removed ones
// back into the root group.
package resctrl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Tree is a mounted resctrl filesystem.
type Tree struct {
	Root string // absolute
	// Mkdir and Rmdir are the system calls, but in tests, whose directories do not fill and empty by themselves.
	Mkdir, Rmdir func(path string) error
}

// Usual is the tree at its usual place, whether anything is mounted there or not.
func Usual() *Tree {
	return &Tree{
		Root:  "/sys/fs/resctrl",
		Mkdir: func(path string) error { return unix.Mkdir(path, 0o755) },
		Rmdir: unix.Rmdir,
	}
}

// Mounted is Usual, or an error where no resctrl filesystem is mounted there.
func Mounted() (*Tree, error) {
	t := Usual()
	var st unix.Statfs_t
	if err := unix.Statfs(t.Root, &st); err != nil || st.Type != unix.RDTGROUP_SUPER_MAGIC {
		return nil, fmt.Errorf("linux.intelRdt: no resctrl filesystem is mounted at %s; where CPU and kernel can control resources, `mount -t resctrl resctrl %s` does it", t.Root, t.Root)
	}
	return t, nil
}

// Facts are what a container has in the tree. The zero value is nothing.
type Facts struct {
	Group   string `json:"group,omitempty"`   // directory of the control group, absolute
	Monitor string `json:"monitor,omitempty"` // directory of its own monitoring group, absolute, or empty
	Made    bool   `json:"made,omitempty"`    // create has made the control group
	Named   bool   `json:"named,omitempty"`   // by closID: others may use the control group, it outlives the container
}

// Design says what a container of this configuration has in the tree, whatever is there already.
func (t *Tree) Design(r *specs.LinuxIntelRdt, id string) (Facts, error) {
	name, path := r.ClosID, "linux.intelRdt.closID"
	if name == "" {
		name, path = id, "linux.intelRdt: without a closID, the container's id"
	}
	if slices.Contains([]string{"info", "mon_groups", "mon_data"}, name) {
		return Facts{}, fmt.Errorf("%s: %q names no group: the kernel uses it itself", path, name)
	}
	f := Facts{Group: filepath.Join(t.Root, name), Named: r.ClosID != ""}
	if r.EnableMonitoring {
		f.Monitor = filepath.Join(f.Group, "mon_groups", id)
	}
	return f, nil
}

// Plan is Design with a look at the tree: which group is to be made, and whether it may be. Nothing is changed.
func (t *Tree) Plan(r *specs.LinuxIntelRdt, id string) (Facts, error) {
	f, err := t.Design(r, id)
	if err != nil {
		return Facts{}, err
	}
	there, err := exists(f.Group)
	if err != nil {
		return Facts{}, fmt.Errorf("linux.intelRdt: %w", err)
	}
	if f.Made = !there; f.Made && f.Named && len(schemas(r)) == 0 {
		return Facts{}, fmt.Errorf("linux.intelRdt.closID: there is no group %s, and no schema to make it with", f.Group)
	}
	if f.Monitor == "" {
		return f, nil
	}
	if there, err = exists(f.Monitor); err == nil && there {
		err = fmt.Errorf("the monitoring group %s exists already", f.Monitor)
	}
	if err != nil {
		return Facts{}, fmt.Errorf("linux.intelRdt.enableMonitoring: %w", err)
	}
	return f, nil
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Create makes what is planned. What the facts claim of it afterwards is true, also after an error.
func (t *Tree) Create(r *specs.LinuxIntelRdt, f *Facts) error {
	monitor := f.Monitor
	f.Monitor = ""
	if f.Made {
		err := t.Mkdir(f.Group)
		f.Made = err == nil
		if err != nil && err != unix.EEXIST { // somebody has been faster
			return t.explain("linux.intelRdt: mkdir "+f.Group, err)
		}
	}
	if f.Named && !f.Made {
		if err := t.compare(r, f.Group); err != nil {
			return err
		}
	}
	if err := t.limit(r, f.Group); err != nil {
		return err
	}
	if monitor == "" {
		return nil
	}
	if err := t.Mkdir(monitor); err != nil {
		return t.explain("linux.intelRdt.enableMonitoring: mkdir "+monitor, err)
	}
	f.Monitor = monitor
	return nil
}

// limit makes one write for each setting: within one the kernel does not let a line change what an earlier one has set.
func (t *Tree) limit(r *specs.LinuxIntelRdt, group string) error {
	file := filepath.Join(group, schemataFile)
	for _, s := range schemas(r) {
		if err := appendTo(file, s.value+"\n"); err != nil {
			return t.explain(fmt.Sprintf("linux.intelRdt.%s: write %q to %s", s.path, s.value, file), err)
		}
	}
	return nil
}

const schemataFile = "schemata"

// Set changes the cache and bandwidth shares of a container; an empty schema leaves them. After an error nothing is
// changed. The function puts back later what was before.
func (t *Tree) Set(f Facts, l3Cache, memBw string) (undo func() error, err error) {
	before, err := os.ReadFile(filepath.Join(f.Group, schemataFile))
	if err != nil {
		return nil, fmt.Errorf("linux.intelRdt: %w", err)
	}
	var back []string
	for _, schema := range [...]string{l3Cache, memBw} {
		resource, _ := cut(schema)
		if line := find(string(before), resource); line != "" {
			back = append(back, line)
		}
	}
	undo = func() error { return t.limit(&specs.LinuxIntelRdt{Schemata: back}, f.Group) }
	if err := t.limit(&specs.LinuxIntelRdt{L3CacheSchema: l3Cache, MemBwSchema: memBw}, f.Group); err != nil {
		return nil, errors.Join(err, undo())
	}
	return undo, nil
}

// Join moves a process and what it will fork into the container's groups; the monitoring group takes only what is in
// its control group.
func (t *Tree) Join(f Facts, pid int) error {
	for _, dir := range [...]string{f.Group, f.Monitor} {
		if dir == "" {
			continue
		}
		file := filepath.Join(dir, tasksFile)
		if err := appendTo(file, strconv.Itoa(pid)+"\n"); err != nil {
			return t.explain(fmt.Sprintf("linux.intelRdt: write %d to %s", pid, file), err)
		}
	}
	return nil
}

const tasksFile = "tasks"

// Remove removes what create has made for the container alone, and can be repeated. A group that closID names stays,
// unless its create failed and it has nobody in it but init.
func (t *Tree) Remove(f Facts, failed bool, init int) error {
	var dirs []string
	if f.Monitor != "" {
		dirs = append(dirs, f.Monitor)
	}
	if f.Made && (!f.Named || failed && !used(f.Group, init)) {
		dirs = append(dirs, f.Group)
	}
	for _, dir := range dirs {
		if err := t.Rmdir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("linux.intelRdt: rmdir %s: %w", dir, err)
		}
	}
	return nil
}

// used reports whether another process than init is in a group.
func used(group string, init int) bool {
	raw, err := os.ReadFile(filepath.Join(group, tasksFile))
	if err != nil {
		return false
	}
	return slices.ContainsFunc(strings.Fields(string(raw)), func(pid string) bool { return pid != strconv.Itoa(init) })
}

// appendTo writes to a file of the kernel, which takes it for a command, in one write.
func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return errors.Unwrap(err) // the caller names the file
	}
	_, err = f.WriteString(text)
	f.Close()
	return errors.Unwrap(err)
}

// explain adds what the kernel noted about its last failure. Another command may have followed: it says more often
// than it misleads.
func (t *Tree) explain(what string, err error) error {
	raw, failed := os.ReadFile(filepath.Join(t.Root, "info", "last_cmd_status"))
	status := strings.TrimSpace(string(raw))
	if failed != nil || status == "" || status == "ok" {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: %w (%s)", what, err, status)
}
