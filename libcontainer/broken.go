package libcontainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/cgroups"
	"skep/spec"
)

// deleteBroken handles a container whose state cannot be read: an empty or truncated file, or a create killed
// before its first write. What there was to make follows from the configuration, if that was kept.
func deleteBroken(root, id string, force bool, opts []Option, cause error) error {
	if ValidateID(id) != nil || errors.Is(cause, ErrNotExist) {
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
	kept, err := keptConfig(dir)
	if err != nil {
		return dir.remove() // what the default cgroup is called may be another's: nobody knows what this one was
	}
	group, err := groupOf(kept, id)
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
