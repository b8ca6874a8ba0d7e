package libcontainer

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/cgroups"
	"skep/spec"
)

// deleteBroken handles a container whose state cannot be read: an empty or truncated file, or a create killed
// before its first write. What there was to make follows from the configuration, if that was kept.
func deleteBroken(root, id string, force bool, opts []Option, cause error) error {
	if ValidateID(id) != nil || errors.Is(cause, ErrNotExist) || errors.Is(cause, errForeign) {
		return cause
	}
	dir := &stateDir{path: filepath.Join(root, id)}
	if err := dir.acquire(unix.LOCK_EX); err != nil {
		return err
	}
	defer dir.release()
	if _, _, cause = dir.read(); cause == nil { // a new container has taken the id before we had the lock
		dir.release()
		return Delete(root, id, force, opts...)
	}
	if !force {
		return fmt.Errorf("%w (delete --force removes what is left)", cause)
	}
	if _, err := os.Lstat(dir.file(verdictFile)); errors.Is(cause, errNoState) && errors.Is(err, fs.ErrNotExist) {
		return dir.remove() // nothing is made before the journal is written: the cgroup may be somebody else's
	}
	c := &Container{dir: dir, state: &State{ID: id}, options: *newOptions(Unprivileged(), opts)}
	return c.deleteWithoutState()
}

// deleteWithoutState removes the container by what its configuration says. Without that too, only the default cgroup
// could be its own. Poststop hooks do not run: where the bundle is, which they are to be told and to work in, stood in
// the state.
func (c *Container) deleteWithoutState() error {
	kept, configErr := keptConfig(c.dir)
	if configErr != nil {
		kept = &specs.Spec{}
	}
	group, err := c.options.groupOf(kept, c.state.ID)
	if err != nil {
		return err
	}
	// All directories of the group count as made by create: the kernel refuses to remove one that is in use.
	c.state.Cgroup = cgroups.Facts{Paths: group.Paths(), Unit: group.Unit()}
	for _, path := range c.state.Cgroup.Paths {
		c.state.Cgroup.Created = append(c.state.Cgroup.Created, path)
	}
	if kept.Hooks != nil && len(kept.Hooks.Poststop) > 0 {
		c.options.report([]string{"hooks.poststop: not run: the state that says where the bundle is cannot be read"})
	}
	if configErr == nil {
		return c.destroy()
	}
	// A container of another --root, too, may have this id, and its processes in that cgroup are not ours to end.
	pids, err := group.Procs()
	if err != nil || len(pids) > 0 {
		c.options.report([]string{fmt.Sprintf("neither the state nor the configuration can be read: the cgroup %s stays, with the processes %v",
			slices.Sorted(maps.Values(c.state.Cgroup.Paths))[0], pids)})
		c.state.Cgroup = cgroups.Facts{}
	}
	return c.destroy()
}

// keptConfig returns the configuration as it was at create.
func keptConfig(dir *stateDir) (*specs.Spec, error) {
	raw, err := spec.ReadFile(dir.file(configFile))
	if err != nil {
		return nil, err
	}
	s, _, err := spec.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir.file(configFile), err)
	}
	if s.Linux == nil {
		s.Linux = &specs.Linux{}
	}
	return s, nil
}
