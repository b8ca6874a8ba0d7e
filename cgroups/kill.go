package cgroups

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// killFreezeTimeout is shorter than that of Freeze: killing goes on without.
const killFreezeTimeout = time.Second

// killBatch bounds the open pidfds.
const killBatch = 128

// Kill sends a signal to all processes of the group, forks included. With
// SIGKILL what is frozen is thawed, because v1's freezer holds even the dying;
// other signals to a frozen group wait there until it is thawed.
func (g *Group) Kill(sig unix.Signal) error {
	if dir := g.V2Dir(); dir != "" && sig == unix.SIGKILL {
		// One write reaches all, even those being forked (Linux 5.14). On a
		// hybrid host every process joined the v2 tree too.
		if writeFile(dir+"/cgroup.kill", "1") == nil {
			return g.ThawAll()
		}
	}
	return g.killEach(sig)
}

// killEach holds the processes still, so that none escapes by forking, and
// signals them one by one.
func (g *Group) killEach(sig unix.Signal) (err error) {
	before, err := g.Freezer()
	if err != nil {
		return err
	}
	// Whatever happens: a group left frozen cannot even be killed on v1.
	if sig == unix.SIGKILL {
		defer func() { err = errors.Join(err, g.ThawAll()) }()
	} else if before == Thawed {
		defer func() { err = errors.Join(err, g.thaw()) }()
	}
	frozen := before == Frozen || before != NoFreezer && g.freeze(killFreezeTimeout) == nil
	seen := make(map[int]bool)
	for deadline := time.Now().Add(removeTimeout); ; {
		pids, err := g.Procs()
		if err != nil {
			return err
		}
		pids = slices.DeleteFunc(pids, func(pid int) bool { return seen[pid] })
		for batch := range slices.Chunk(pids, killBatch) {
			if err := g.signal(batch, sig); err != nil {
				return err
			}
		}
		// Unless frozen, they may have forked while others were killed. Other
		// signals need not end a process, so there is no end to wait for.
		if frozen || sig != unix.SIGKILL || len(pids) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("kill: new processes keep appearing in cgroup %s, and cannot be frozen", g.dirs[0].path)
		}
		for _, pid := range pids {
			seen[pid] = true
		}
	}
}

// signal signals those of pids that are in the group. A pid may have passed to
// a foreign process since it was read; a pidfd cannot, so the membership is
// looked up again once all are open.
func (g *Group) signal(pids []int, sig unix.Signal) error {
	fds := make([]int, len(pids))
	for i, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		// EINVAL: gone, but the pid still is the session's or process group's of others.
		if err != nil && err != unix.ESRCH && err != unix.EINVAL {
			return fmt.Errorf("pidfd_open %d: %w", pid, err)
		}
		fds[i] = fd
		if err == nil {
			defer unix.Close(fd)
		}
	}
	members, err := g.Procs()
	if err != nil {
		return err
	}
	for i, fd := range fds {
		if fd < 0 || !slices.Contains(members, pids[i]) {
			continue
		}
		if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && err != unix.ESRCH {
			return fmt.Errorf("signal %d to process %d: %w", sig, pids[i], err)
		}
	}
	return nil
}
