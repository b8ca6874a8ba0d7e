package cgroups

import (
	"encoding/binary"
	"fmt"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// OOMWatch tells when the kernel has run out of memory within a group. Its
// descriptor is to be polled for its events.
type OOMWatch struct {
	fd    int    // v1: an eventfd; v2: memory.events
	path  string // of the file that is watched
	v1    bool
	seen  oomEvents
	ahead bool // the group kill that has begun is told already
}

// oomEvents is what memory.events of v2 says about it.
type oomEvents struct {
	begun  uint64 // oom: how often the limit left no way but to kill
	killed uint64 // oom_kill: how many processes
	groups uint64 // oom_group_kill (Linux 5.17): how many groups that end as a whole
}

// WatchOOM begins to watch a group for lack of memory. The error is ENOENT
// where the group does not have the memory controller.
func (g *Group) WatchOOM() (*OOMWatch, error) {
	dir, err := g.dirOf("memory")
	if err != nil {
		return nil, err
	}
	if dir != g.V2Dir() {
		return watchOOMv1(dir)
	}
	w := &OOMWatch{path: dir + "/memory.events"}
	w.fd, err = openFile(w.path, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	if _, err := w.Read(); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// watchOOMv1 has the kernel write to an eventfd.
func watchOOMv1(dir string) (*OOMWatch, error) {
	w := &OOMWatch{path: dir + "/memory.oom_control", v1: true}
	control, err := openFile(w.path, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(control)
	if w.fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	err = writeFile(dir+"/cgroup.event_control", strconv.Itoa(w.fd)+" "+strconv.Itoa(control))
	if err != nil {
		unix.Close(w.fd)
		return nil, err
	}
	return w, nil
}

// Fd returns the descriptor, and the events of poll(2) after which Read has
// something to tell.
func (w *OOMWatch) Fd() (fd int, events int16) {
	if w.v1 {
		return w.fd, unix.POLLIN
	}
	return w.fd, unix.POLLPRI
}

// Read tells whether it has happened since the last call. Several times between
// two calls are one. The error is ENODEV once the group is gone.
func (w *OOMWatch) Read() (bool, error) {
	if w.v1 {
		return w.readV1()
	}
	text, err := readFrom(w.fd, w.path)
	if err != nil {
		return false, err
	}
	t := table(text)
	now, before := oomEvents{t["oom"], t["oom_kill"], t["oom_group_kill"]}, w.seen
	if now.killed == before.killed {
		return false, nil
	}
	w.seen = now
	if _, counts := t["oom_group_kill"]; !counts || !w.isGroup() {
		return true, nil
	}
	// The processes of a group are counted one by one: the first before the
	// group, the others after it.
	more := now.groups - before.groups
	if more == 0 && now.begun == before.begun {
		return false, nil
	}
	told := w.ahead && more == 1
	w.ahead = more == 0
	return !told, nil
}

// isGroup tells whether the kernel kills all processes of the group if it kills
// one of them.
func (w *OOMWatch) isGroup() bool {
	text, err := readFile(path.Dir(w.path) + "/memory.oom.group")
	return err == nil && strings.TrimSpace(text) == "1"
}

func (w *OOMWatch) readV1() (bool, error) {
	var count [8]byte
	switch _, err := unix.Read(w.fd, count[:]); {
	case err == unix.EAGAIN || err == unix.EINTR:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read eventfd: %w", err)
	}
	// The removal of the group is told in the same way.
	if err := unix.Access(w.path, unix.F_OK); err != nil {
		return false, fmt.Errorf("%s: %w", w.path, unix.ENODEV)
	}
	return binary.NativeEndian.Uint64(count[:]) > 0, nil
}

// Close ends the watch.
func (w *OOMWatch) Close() { unix.Close(w.fd) }
