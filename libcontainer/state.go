package libcontainer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sys/unix"

	"skep/cgroups"
	"skep/libcontainer/netdev"
	"skep/libcontainer/resctrl"
	"skep/nsenter/plan"
	"skep/spec"
)

// State is what the state directory says about a container: facts, never a status. The file is called journal.json
// while the container is being made; renaming it to state.json is the moment from which it is created. What create
// is about to make stands in the journal before it is made, so that delete can undo a create that was killed.
type State struct {
	ID          string            `json:"id"`
	Bundle      string            `json:"bundle"` // absolute
	Rootfs      string            `json:"rootfs"` // absolute
	Created     time.Time         `json:"created"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Init        Process           `json:"init,omitzero"`
	OwnPidns    bool              `json:"ownPidNamespace,omitempty"` // the end of init ends every process
	HasProcess  bool              `json:"hasProcess,omitempty"`      // config.json has a process to start
	Cgroup      cgroups.Facts     `json:"cgroup,omitzero"`
	// Rdt are the container's groups in the resctrl filesystem, if it has some (linux.intelRdt).
	Rdt resctrl.Facts `json:"intelRdt,omitzero"`
	// NetDevices are the host's network devices that come to the container; once it is created they are its own.
	NetDevices *netdev.Record `json:"netDevices,omitempty"`
	// Hooks are the names of the lists of hooks that the configuration has, from when the first may run: what is made
	// until then needs no poststop hooks.
	Hooks []string `json:"hooks,omitempty"`
	// Keyring is the session keyring of the container's processes; empty means that of their caller.
	Keyring string `json:"keyring,omitempty"`
	// Release are the records that start sets off, so that it can say which of them failed.
	Release plan.Tail `json:"release,omitzero"`
	// Program is the file that start executes, as the container sees it.
	Program string `json:"program,omitempty"`
}

// The files of a state directory.
const (
	journalFile = "journal.json"
	stateFile   = "state.json"
	configFile  = "config.json" // the configuration as it was at create
	gateFile    = "gate"        // a fifo: start writes to it; it is gone once the container was started
	verdictFile = "verdict"     // a fifo: init writes to it why the program does not run
)

// stateDir is the state directory of a container, locked by flock: operations that change a container exclude each
// other, and who finds a journal without a lock knows that its create died.
type stateDir struct {
	path string
	lock *os.File
}

func (d *stateDir) file(name string) string { return filepath.Join(d.path, name) }

// makeStateDir makes and locks the directory of a new container. Of several creates the first to lock it while it is
// empty wins: what a create leaves that was killed right after mkdir, or before it had the lock, takes no id away.
func makeStateDir(root, id string) (*stateDir, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("state root: %w", err)
	}
	d := &stateDir{path: filepath.Join(root, id)}
	for range 100 { // a delete may take the empty directory for a leftover: make it anew
		err := os.Mkdir(d.path, 0o711)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		switch lockErr := d.acquire(unix.LOCK_EX | unix.LOCK_NB); {
		case errors.Is(lockErr, ErrNotExist):
			continue
		case lockErr == nil && d.empty():
			return d, nil
		case lockErr == nil, errors.Is(lockErr, unix.EWOULDBLOCK):
			d.release()
			return nil, ErrExist
		case err == nil:
			unix.Rmdir(d.path) // only if nobody else has begun to use it
			return nil, lockErr
		default:
			return nil, lockErr
		}
	}
	return nil, ErrExist // a file, or a link to nowhere, of that name
}

// empty reports whether nothing is in the directory. It takes no lock, which a create could run into.
func (d *stateDir) empty() bool {
	f := d.lock
	if f == nil {
		var err error
		if f, err = os.Open(d.path); err != nil {
			return false
		}
		defer f.Close()
	}
	_, err := f.Readdirnames(1)
	return err == io.EOF
}

// acquire locks the directory and makes sure that it is still the one at its path: the lock of a directory that
// delete has removed in the meantime excludes nobody.
func (d *stateDir) acquire(how int) error {
	f, err := os.OpenFile(d.path, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return ErrNotExist
	}
	if err != nil {
		return err
	}
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Flock(int(f.Fd()), how)
	}
	if err != nil {
		f.Close()
		return fmt.Errorf("lock %s: %w", d.path, err)
	}
	var held, named unix.Stat_t
	if unix.Fstat(int(f.Fd()), &held) != nil || unix.Stat(d.path, &named) != nil ||
		held.Ino != named.Ino || held.Dev != named.Dev {
		f.Close()
		return ErrNotExist
	}
	d.lock = f
	return nil
}

// busy reports whether somebody is working on the container right now.
func (d *stateDir) busy() bool {
	probe := &stateDir{path: d.path}
	err := probe.acquire(unix.LOCK_SH | unix.LOCK_NB)
	probe.release()
	return errors.Is(err, unix.EWOULDBLOCK)
}

func (d *stateDir) release() {
	if d.lock != nil {
		d.lock.Close()
		d.lock = nil
	}
}

// write replaces a file as a whole: a reader sees the old content or the new one.
func (d *stateDir) write(name string, content []byte) error {
	temporary, err := d.prepare(name, content)
	if err != nil {
		return err
	}
	if err := os.Rename(temporary, d.file(name)); err != nil {
		os.Remove(temporary)
		return fmt.Errorf("write %s: %w", d.file(name), err)
	}
	return nil
}

// prepare writes what is to replace a file, once the returned path is renamed to it.
func (d *stateDir) prepare(name string, content []byte) (path string, err error) {
	path = d.file("." + name + "." + strconv.Itoa(os.Getpid()))
	if err := os.WriteFile(path, content, 0o600); err != nil {
		os.Remove(path)
		return "", fmt.Errorf("write %s: %w", d.file(name), err)
	}
	return path, nil
}

func (d *stateDir) writeState(name string, s *State) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode the state of %s: %w", s.ID, err)
	}
	return d.write(name, b)
}

// read returns the state, and whether create has completed. A directory with nothing in it is no container; nor is
// one without a state that is locked, because its create or delete is at work.
func (d *stateDir) read() (s *State, complete bool, err error) {
	s, complete, err = d.readFiles()
	if !errors.Is(err, errNoState) || d.lock != nil {
		return s, complete, err
	}
	if d.empty() {
		return nil, false, ErrNotExist
	}
	probe := &stateDir{path: d.path}
	err = probe.acquire(unix.LOCK_SH | unix.LOCK_NB)
	defer probe.release()
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, false, ErrNotExist
	case err != nil:
		return nil, false, err
	}
	return probe.readFiles() // what was at work may have ended between the two
}

var (
	// errNoState means a directory without a state in it.
	errNoState = errors.New("no state in it")
	// errForeign means a state that nobody but its writer may remove.
	errForeign = errors.New("was written by another runtime")
)

func (d *stateDir) readFiles() (s *State, complete bool, err error) {
	for _, name := range [...]string{stateFile, journalFile} {
		raw, err := spec.ReadFile(d.file(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		s := &State{}
		if err := json.Unmarshal(raw, s); err != nil {
			return nil, false, fmt.Errorf("%s: %w", d.file(name), err)
		}
		if s.ID != filepath.Base(d.path) {
			return nil, false, fmt.Errorf("%s: is not the state of this container", d.file(name))
		}
		// runc's file has the same name, and dockerd one state root for all its runtimes. Taken for skep's, a container
		// of runc's that runs would be one without an init: stopped, and fit to be deleted.
		if s.Bundle == "" {
			return nil, false, fmt.Errorf("%s: %w", d.file(name), errForeign)
		}
		return s, name == stateFile, nil
	}
	if _, err := os.Stat(d.path); errors.Is(err, fs.ErrNotExist) {
		return nil, false, ErrNotExist
	}
	return nil, false, fmt.Errorf("%s: %w", d.path, errNoState)
}

// remove removes the directory with what is in it, the state last: until then who finds the directory knows what it
// is about. It needs no descriptor but the lock, because the lack of them may be what is being undone.
func (d *stateDir) remove() error {
	if _, err := d.lock.Seek(0, io.SeekStart); err != nil {
		return err
	}
	names, err := d.lock.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == stateFile || name == journalFile {
			continue
		}
		if err := os.RemoveAll(d.file(name)); err != nil {
			return err
		}
	}
	for _, name := range [...]string{stateFile, journalFile} {
		if err := os.RemoveAll(d.file(name)); err != nil {
			return err
		}
	}
	return os.Remove(d.path)
}
