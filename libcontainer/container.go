// Package libcontainer is skep's Go API: the lifecycle of containers on this host (runtime.md of the OCI runtime
// specification), with their state below a root directory. A program that imports it needs no re-exec hook in its
// main: what runs in a container before its program is not Go.
//
// Create makes a container of a bundle, Restore of images as well; Load and List find those that are there. All else
// are methods: Start, Exec, Kill, Pause, Resume, Update, Checkpoint, Delete and Undo change a container, State, Status, OCI,
// Processes, Stats and Events tell of it. Start, Kill and Delete are also functions that take an id; that Delete removes
// what is left of a container whose state cannot be read, too. Whatever can be chosen besides is an Option, and each
// says where it counts.
package libcontainer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/cgroups"
)

// Container is a container of this host, whoever created it: what Load found of it. Its methods look at what has become
// of it since. It is not for use by several goroutines at once.
type Container struct {
	dir      *stateDir
	state    *State
	complete bool // create has succeeded
	options  options
	config   *specs.Spec   // as it was at create; nil until it is asked for
	passed   chan struct{} // closed when nothing of NotifyPass is left
}

// Load finds a container by its id. The error is ErrInvalidID or ErrNotExist where there can be or is none. The options
// are those of the methods.
func Load(root, id string, opts ...Option) (*Container, error) {
	if err := ValidateID(id); err != nil {
		return nil, err
	}
	dir := &stateDir{path: filepath.Join(root, id)}
	s, complete, err := dir.read()
	if err != nil {
		return nil, err
	}
	return found(dir, s, complete, opts), nil
}

func found(dir *stateDir, s *State, complete bool, opts []Option) *Container {
	c := &Container{dir: dir, state: s, complete: complete}
	for _, set := range opts {
		set(&c.options)
	}
	return c
}

// loadLocked is Load for an operation that changes the container. The caller releases the lock.
func loadLocked(root, id string, how int, opts []Option) (*Container, error) {
	if err := ValidateID(id); err != nil {
		return nil, err
	}
	dir := &stateDir{path: filepath.Join(root, id)}
	if err := dir.acquire(how); err != nil {
		return nil, err
	}
	s, complete, err := dir.read()
	if errors.Is(err, errNoState) && dir.empty() { // its create was killed before anything was made
		unix.Rmdir(dir.path)
		err = ErrNotExist
	}
	if err != nil {
		dir.release()
		return nil, err
	}
	return found(dir, s, complete, opts), nil
}

// List returns the containers below root, ordered by id; none if there is no such directory. Those that vanish
// meanwhile are left out. Broken tells of containers whose state cannot be read.
func List(root string) (all []*Container, broken []error, err error) {
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		if !e.IsDir() || ValidateID(e.Name()) != nil {
			continue
		}
		switch c, err := Load(root, e.Name()); {
		case err == nil:
			all = append(all, c)
		case !errors.Is(err, ErrNotExist):
			broken = append(broken, err)
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].state.ID < all[j].state.ID })
	return all, broken, nil
}

// ID returns the container's id.
func (c *Container) ID() string { return c.state.ID }

// State returns the facts on disk.
func (c *Container) State() State { return *c.state }

// StateDir returns the container's directory below the root.
func (c *Container) StateDir() string { return c.dir.path }

// Status derives where the container stands.
func (c *Container) Status() Status {
	if !c.complete && c.dir.lock == nil {
		if c.dir.busy() {
			return Creating
		}
		c.refresh() // its create may have ended since it was found
	}
	if !c.complete || !c.state.Init.Alive() {
		return Stopped
	}
	if _, err := os.Lstat(c.dir.file(gateFile)); err == nil {
		return Created
	}
	if c.frozen() {
		return Paused
	}
	return Running
}

// frozen tells whether its processes are stopped, or being stopped: a pause that was killed may have left it so, and
// resume is to thaw it.
func (c *Container) frozen() bool {
	f, err := cgroups.Open(c.state.Cgroup).Freezer()
	return err == nil && (f == cgroups.Frozen || f == cgroups.Freezing)
}

// refresh reads the state again, unless another container has the id by now.
func (c *Container) refresh() {
	if s, complete, err := c.dir.read(); err == nil && s.Created.Equal(c.state.Created) {
		c.state, c.complete = s, complete
	}
}

// OCI returns the state in the specification's form (runtime.md#state). The pid is 0 unless the container has a
// process.
func (c *Container) OCI() specs.State {
	s := specs.State{
		Version:     specs.Version,
		ID:          c.state.ID,
		Status:      specs.ContainerState(c.Status()),
		Bundle:      c.state.Bundle,
		Annotations: c.state.Annotations,
	}
	if s.Status != specs.ContainerState(Stopped) {
		s.Pid = c.state.Init.Pid
	}
	return s
}

// ValidateID checks a container id before any path is made of it: letters, digits and _ + . - , at most 255 of them (a
// file name), and neither . nor .. . The error is ErrInvalidID.
func ValidateID(id string) error {
	if id == "" || id == "." || id == ".." || len(id) > 255 {
		return ErrInvalidID
	}
	for i := 0; i < len(id); i++ {
		switch b := id[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		case b == '_', b == '+', b == '.', b == '-':
		default:
			return ErrInvalidID
		}
	}
	return nil
}
