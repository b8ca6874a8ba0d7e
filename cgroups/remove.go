package cgroups

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// removeTimeout bounds the wait for killed processes to leave.
const removeTimeout = 10 * time.Second

// Remove removes the cgroups which the container made below its own, and of
// the group's own directories those that Create made; a parent that others use
// by now stays. It waits up to 10 s for killed processes to leave. The error
// names the processes that stay.
func (g *Group) Remove() error {
	deadline := time.Now().Add(removeTimeout)
	for _, d := range g.dirs {
		if err := g.removeDir(d, deadline); err != nil {
			return err
		}
	}
	for _, p := range slices.Backward(g.created) {
		if err := rmdir(p); err != nil && !isBusy(err) {
			return err
		}
	}
	return nil
}

func (g *Group) removeDir(d dir, deadline time.Time) error {
	for pause := firstPause; ; pause = nextPause(pause) {
		err := g.removeTree(d.path)
		if !isBusy(err) {
			return err
		}
		if time.Now().After(deadline) {
			return g.stillBusy(d.path, err)
		}
		// The v2 tree tells when the last process has left, which it does in
		// all hierarchies at once.
		if v2 := g.V2Dir(); v2 == "" || isEmpty(v2) {
			time.Sleep(pause)
		} else if err := waitEvent(v2, "populated 0", time.Until(deadline)); err != nil {
			return err
		}
	}
}

// removeTree removes dir if it was created, else what the container has made
// below it.
func (g *Group) removeTree(dir string) error {
	if slices.Contains(g.created, dir) {
		return removeAll(dir)
	}
	below, err := below(dir)
	for _, p := range below {
		if slices.Contains(g.kept, p) {
			continue
		}
		if err := removeAll(p); err != nil {
			return err
		}
	}
	return err
}

// removeAll removes a directory and those below it, children first.
func removeAll(dir string) error {
	// Mostly there is nothing below.
	if err := rmdir(dir); !isBusy(err) {
		return err
	}
	err := walk(dir, nil, func(above int, name string) error {
		if err := unix.Unlinkat(above, name, unix.AT_REMOVEDIR); err != nil && !isGone(err) {
			return &os.PathError{Op: "rmdir", Path: name, Err: err}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return rmdir(dir)
}

// rmdir removes a cgroup, if it exists. A read-only mount refuses before it
// looks whether there is anything to remove.
func rmdir(p string) error {
	err := unix.Rmdir(p)
	switch {
	case err == nil, isGone(err):
		return nil
	case err == unix.EROFS:
		if _, missing := os.Lstat(p); isGone(missing) {
			return nil
		}
	}
	return &os.PathError{Op: "rmdir", Path: p, Err: err}
}

func isEmpty(v2 string) bool {
	events, err := readFile(v2 + "/cgroup.events")
	return err != nil || !strings.Contains(events, "populated 1")
}

func (g *Group) stillBusy(dir string, err error) error {
	pids, listErr := procs(dir)
	if len(pids) == 0 {
		return errors.Join(fmt.Errorf("%w, after %v", err, removeTimeout), listErr)
	}
	var list []byte
	for i, pid := range pids {
		if i > 0 {
			list = append(list, ", "...)
		}
		list = strconv.AppendInt(list, int64(pid), 10)
	}
	return fmt.Errorf("%w: still has process %s after %v", err, list, removeTimeout)
}

// LeaveToSystemd waits until systemd has removed the cgroup of an empty unit, at most as long as told. A directory that
// is taken from under its unit leaves systemd with a unit that never ends.
func (g *Group) LeaveToSystemd(patience time.Duration) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("inotify_init1", err)
	}
	defer unix.Close(fd)
	for _, d := range g.dirs {
		if !d.isSystemds() {
			continue
		}
		if _, err := unix.InotifyAddWatch(fd, d.path, unix.IN_DELETE_SELF); err != nil {
			continue // it is gone
		}
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, int(patience.Milliseconds())); err != nil && err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
	}
	return nil
}
