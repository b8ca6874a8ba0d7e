package libcontainer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter"
	"skep/nsenter/plan"
	"skep/spec"
)

// idKind is one of the two kinds of ids that a user namespace maps (config-linux.md#user-namespace-mappings).
type idKind struct {
	item   string // JSON path
	file   string // in /proc/PID
	helper string // maps ids that /etc/subuid or /etc/subgid gives to an unprivileged user
	grants string // that file
	own    int    // effective id
	ids    []specs.LinuxIDMapping
}

func idKinds(l *specs.Linux) [2]idKind {
	return [...]idKind{
		{"linux.uidMappings", "uid_map", "newuidmap", "/etc/subuid", os.Geteuid(), l.UIDMappings},
		{"linux.gidMappings", "gid_map", "newgidmap", "/etc/subgid", os.Getegid(), l.GIDMappings},
	}
}

// onlyOwn tells whether nothing but the own id is mapped, which takes no privilege.
func onlyOwn(ids []specs.LinuxIDMapping, own int) bool {
	return len(ids) == 1 && ids[0].Size == 1 && ids[0].HostID == uint32(own)
}

// writeIDMaps writes the maps of the child's new user namespace.
func (c *creation) writeIDMaps() error {
	l := c.spec.Linux
	if len(l.UIDMappings) == 0 && len(l.GIDMappings) == 0 {
		return nil
	}
	dir := procFile(c.child.Pid, "")
	for _, k := range idKinds(l) {
		var err error
		switch {
		case c.rights.mapIDs:
			err = k.write(dir)
		case !onlyOwn(k.ids, k.own):
			err = c.callHelper(k)
		case k.file == "gid_map" && !setgroupsDenied(dir): // the kernel's condition
			if err = writeFile(dir+"setgroups", "deny"); err != nil {
				err = fmt.Errorf("deny setgroups: %w", err)
				break
			}
			fallthrough
		default:
			err = k.write(dir)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", k.item, err)
		}
	}
	if !c.rights.host {
		c.process.KeepGroups = setgroupsDenied(dir)
	}
	return nil
}

func (k *idKind) write(dir string) error {
	err := writeFile(dir+k.file, spec.FormatIDMap(k.ids))
	if err == nil {
		return nil
	}
	err = fmt.Errorf("write %s: %w", k.file, err)
	if own, readErr := readIDMap("/proc/self/" + k.file); readErr == nil && errors.Is(err, unix.EPERM) && !within(k.ids, own) {
		err = fmt.Errorf("%w (this process's own user namespace has no such ids; it has %s)", err, listIDMap(own))
	}
	return err
}

// within tells whether all host ids of a mapping exist in a user namespace that has these.
func within(ids, has []specs.LinuxIDMapping) bool {
	has = normalIDMap(has)
	return !slices.ContainsFunc(ids, func(m specs.LinuxIDMapping) bool {
		return !slices.ContainsFunc(has, func(h specs.LinuxIDMapping) bool {
			return m.HostID >= h.ContainerID && uint64(m.HostID)+uint64(m.Size) <= uint64(h.ContainerID)+uint64(h.Size)
		})
	})
}

// listIDMap shows the ids of a user namespace as ranges.
func listIDMap(has []specs.LinuxIDMapping) string {
	var ranges []string
	for _, m := range normalIDMap(has) {
		first, last := uint64(m.ContainerID), uint64(m.ContainerID)+uint64(m.Size)-1
		text := strconv.FormatUint(first, 10)
		if last > first {
			text += "-" + strconv.FormatUint(last, 10)
		}
		ranges = append(ranges, text)
	}
	return strings.Join(ranges, ", ")
}

// callHelper has newuidmap(1) or newgidmap(1) write a map. They look at /etc/subuid and /etc/subgid.
func (c *creation) callHelper(k idKind) error {
	program, err := lookPath(c.searchPath, k.helper)
	if err != nil {
		return fmt.Errorf("%w: without it an unprivileged user can map only the own id, %d (on Debian it comes with the package uidmap, on Fedora with shadow-utils)",
			err, k.own)
	}
	args := append([]string{program, strconv.Itoa(c.child.Pid)}, strings.Fields(spec.FormatIDMap(k.ids))...)
	if err := runProgram(c.ctx, c.dir.path, args); err != nil {
		return k.explain(err)
	}
	return nil
}

// explain adds what can be done about a helper that has refused.
func (k *idKind) explain(err error) error {
	nnp, _ := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	switch {
	case strings.Contains(err.Error(), "not allowed"):
		return fmt.Errorf("%w (has %s a line for uid %d that gives it these ids?)", err, k.grants, os.Getuid())
	case nnp != 0:
		return fmt.Errorf("%w (no_new_privs is set for this process, so that %s runs without the privileges of its file)", err, k.helper)
	case strings.Contains(err.Error(), "not permitted"):
		return fmt.Errorf("%w (is %s installed setuid root or with file capabilities, on a mount without nosuid?)", err, k.helper)
	}
	return err
}

// defaultSearchPath is where programs are looked up for callers that give no path.
const defaultSearchPath = "/usr/local/bin:/usr/bin:/bin"

// lookPath finds a program in a list of directories as PATH has it. Relative ones are left out: what the bundle's
// directory holds is no program of the host.
func lookPath(list, name string) (string, error) {
	if list == "" {
		list = defaultSearchPath
	}
	for _, dir := range filepath.SplitList(list) {
		path := filepath.Join(dir, name)
		var st unix.Stat_t
		if filepath.IsAbs(dir) && unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG &&
			unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS) == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: not found in %s", name, list)
}

// runProgram runs a program of the host to its end, with an empty environment and without input. The error is what it
// wrote. Like a hook it is what a player becomes, and so gets nothing of this process but its privileges.
func runProgram(ctx context.Context, temp string, args []string) error {
	output, write, err := newHookOutput()
	if err != nil {
		return err
	}
	defer unix.Close(output.fd)
	defer unix.Close(write)
	stdin, err := memoryFile(nil)
	if err != nil {
		return err
	}
	defer unix.Close(stdin)
	child, err := nsenter.Start(nsenter.Options{Cgroup: -1, TempDir: temp})
	if err != nil {
		return err
	}
	defer child.Release()
	defer child.Kill()
	p := &plan.Phase{Name: "helper"}
	in, out := p.Take(descriptor{stdin, "input"}), p.Take(descriptor{write, "output"})
	p.Add(plan.Stream{From: in, FD: 0}, plan.Stream{From: out, FD: 1}, plan.Stream{From: out, FD: 2},
		plan.ResetSignals{}, plan.CloseOnExec{First: 3}, plan.Exec{Path: args[0], Args: args})
	if err := child.Become(p); err != nil {
		return err
	}
	if err := output.await(ctx, child, nil, -1); err != nil {
		return err
	}
	if status := child.Wait(); status != 0 {
		return output.explain(errors.New(filepath.Base(args[0]) + " " + nsenter.Ended(status)))
	}
	return nil
}
