package libcontainer

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A hook that hangs keeps the create or start that runs it from going on, and with it whoever waits for the lock to
// delete the container. Taking the container away under the hook would leave what the hook does afterwards to nobody.
// Instead that create or start is told to end the hook, and undoes all of it as after any hook that fails.

// recallFile is a fifo in the state directory: who opens it to write, and closes it, ends a running hook.
const recallFile = "recall"

// recall opens the fifo through which the hook can be ended; -1 for a hook for which nobody waits any more.
func (h *hook) recall() (int, error) {
	if h.at == poststop {
		return -1, nil
	}
	path := h.container.dir.file(recallFile)
	if err := unix.Mkfifo(path, 0o600); err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, &os.PathError{Op: "mkfifo", Path: path, Err: err}
	}
	return openFile(path, unix.O_RDONLY|unix.O_NONBLOCK)
}

// recallHooks ends hooks that run for longer than a delete can wait, until it is stopped.
func recallHooks(dir string) (stop func()) {
	due, stopped := time.NewTicker(deletePatience), make(chan struct{})
	go func() {
		for {
			select {
			case <-stopped:
				return
			case <-due.C:
				// It fails where no hook runs.
				if fd, err := openFile(filepath.Join(dir, recallFile), unix.O_WRONLY|unix.O_NONBLOCK); err == nil {
					unix.Close(fd)
				}
			}
		}
	}()
	return func() {
		due.Stop()
		close(stopped)
	}
}

// loadForDelete is loadLocked for a delete. With force it waits for no hook that hangs.
func loadForDelete(root, id string, force bool, opts []Option) (*Container, error) {
	if force {
		c, err := loadLocked(root, id, unix.LOCK_EX|unix.LOCK_NB, opts)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return c, err
		}
		defer recallHooks(filepath.Join(root, id))()
	}
	return loadLocked(root, id, unix.LOCK_EX, opts)
}
