package libcontainer

import (
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"skep/cgroups"
	"skep/spec"
)

// deleteBroken handles a container whose state cannot be read: an empty or truncated file, or a create killed
// before its first write. What there was to make follows from the configuration, if that was kept.
func deleteBroken(root, id string, force bool, cause error) error {
	if ValidateID(id) != nil || errors.Is(cause, ErrNotExist) {
		return cause
	}
	dir := &stateDir{path: filepath.Join(root, id)}
	if err := dir.acquire(unix.LOCK_EX); err != nil {
		return err
	}
	defer dir.release()
	if !force {
		return fmt.Errorf("%w (delete --force removes what is left)", cause)
	}
	raw, err := spec.ReadFile(dir.file(configFile))
	if err != nil {
		return dir.remove() // nothing is made before the configuration is kept
	}
	s, _, err := spec.Parse(raw)
	if err != nil {
		return fmt.Errorf("delete %s: %w", id, err)
	}
	group, err := groupOf(s, id)
	if err != nil {
		return fmt.Errorf("delete %s: %w", id, err)
	}
	// All directories of the group count as made by create: the kernel refuses to remove one that is in use.
	facts := cgroups.Facts{Paths: group.Paths()}
	for _, path := range facts.Paths {
		facts.Created = append(facts.Created, path)
	}
	c := &Container{dir: dir, state: &State{ID: id, Cgroup: facts}}
	return c.destroy()
}
