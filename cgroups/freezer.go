package cgroups

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Freezer is the state of a group's freezer.
type Freezer int

const (
	NoFreezer Freezer = iota // the host has none, or the group is gone
	Thawed
	Freezing // some processes may have stopped, others have not
	Frozen
)

// freezeTimeout bounds the wait for processes that do not freeze: those in
// uninterruptible sleep, or on v1 a parent waiting for its vfork.
const freezeTimeout = 10 * time.Second

// Freezer returns whether the group is frozen, be it by an ancestor.
func (g *Group) Freezer() (Freezer, error) {
	d := g.freezerDir()
	if d.path == "" {
		return NoFreezer, nil
	}
	state, err := d.freezer()
	if isGone(err) {
		return NoFreezer, nil
	}
	return state, err
}

func (d dir) freezer() (Freezer, error) {
	file, frozen, freezing := stateV1, "FROZEN", "FREEZING"
	if d.isV2() {
		file, frozen = "cgroup.events", "frozen 1"
	}
	state, err := readFile(d.path + "/" + file)
	if err == nil && d.isV2() && !strings.Contains(state, frozen) {
		state, err = readFile(d.path + "/cgroup.freeze")
		freezing = "1"
	}
	switch {
	case err != nil:
		return NoFreezer, err
	case strings.Contains(state, frozen):
		return Frozen, nil
	case strings.Contains(state, freezing):
		return Freezing, nil
	}
	return Thawed, nil
}

// Freeze stops all processes of the group and returns when they have stopped.
// If some do not within 10 s, it thaws the others again.
func (g *Group) Freeze() error {
	if err := g.freeze(freezeTimeout); err != nil {
		return errors.Join(err, g.thaw())
	}
	return nil
}

// Thaw lets the processes of the group run again.
func (g *Group) Thaw() error {
	if err := g.thaw(); err != nil {
		return err
	}
	return g.awaitFreezer(Thawed, freezeTimeout)
}

// Release takes a process out of v1's freezer, in which it cannot even die, to the caller's own cgroup there. On v2 a
// process dies where it is.
func (g *Group) Release(pid int) error {
	d := g.freezerDir()
	if d.isV2() {
		return nil
	}
	layout, err := Detect()
	if err != nil {
		return err
	}
	h, ok := layout.find(d.Name)
	if !ok {
		return errNoFreezer
	}
	err = writeFile(path.Join(h.Mount, h.Own, "cgroup.procs"), strconv.Itoa(pid))
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// ThawAll thaws the group and all cgroups below it for what has been killed: v1's
// freezer holds even the dying. It does not wait.
func (g *Group) ThawAll() error {
	d := g.freezerDir()
	if err := g.thaw(); err != nil || d.isV2() {
		return err
	}
	// Mostly nobody is left, and a create that has failed for lack of descriptors has none for a walk either.
	if v2 := g.V2Dir(); v2 != "" && isEmpty(v2) {
		return nil
	}
	return walk(d.path, func(dir int) error {
		fd, err := unix.Openat(dir, stateV1, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if isGone(err) {
			return nil
		}
		if err != nil {
			return &os.PathError{Op: "open", Path: stateV1, Err: err}
		}
		defer unix.Close(fd)
		if _, err := unix.Write(fd, []byte("THAWED")); err != nil && !isGone(err) {
			return &os.PathError{Op: "write", Path: stateV1, Err: err}
		}
		return nil
	}, nil)
}

// stateV1 is v1's file with the freezer's state.
const stateV1 = "freezer.state"

// FreezerDir returns the absolute directory whose freezer freezes the group, for who does it without [Group.Freeze].
func (g *Group) FreezerDir() (string, error) {
	if d := g.freezerDir(); d.path != "" {
		return d.path, nil
	}
	return "", errNoFreezer
}

var errNoFreezer = errors.New("freeze: the freezer controller is not mounted")

// freezerDir returns the directory whose freezer is used, with an empty path
// if there is none. A host that has v1's freezer expects to see it used.
func (g *Group) freezerDir() dir {
	for _, d := range g.dirs {
		if d.has("freezer") {
			return d
		}
	}
	return dir{path: g.V2Dir()}
}

func (g *Group) freeze(timeout time.Duration) error {
	d := g.freezerDir()
	if d.path == "" {
		return errNoFreezer
	}
	if err := d.freeze(); err != nil {
		return err
	}
	return g.awaitFreezer(Frozen, timeout)
}

func (d dir) freeze() error {
	if d.isV2() {
		return writeFile(d.path+"/cgroup.freeze", "1")
	}
	return writeFile(d.path+"/"+stateV1, "FROZEN")
}

func (d dir) thaw() error {
	if d.isV2() {
		return writeFile(d.path+"/cgroup.freeze", "0")
	}
	return writeFile(d.path+"/"+stateV1, "THAWED")
}

// thaw does not wait: the processes leave the freezer one after the other.
func (g *Group) thaw() error {
	d := g.freezerDir()
	if d.path == "" {
		return nil
	}
	if err := d.thaw(); err != nil && !isGone(err) {
		return err
	}
	return nil
}

// awaitFreezer waits until the freezer has the state.
func (g *Group) awaitFreezer(want Freezer, timeout time.Duration) error {
	d := g.freezerDir()
	deadline := time.Now().Add(timeout)
	for pause := firstPause; ; pause = nextPause(pause) {
		now, err := g.Freezer()
		switch {
		case err != nil:
			return err
		case now == want, now == NoFreezer:
			return nil
		case time.Now().After(deadline):
			err := fmt.Errorf("cgroup %s is still not %s after %v", d.path, want, timeout)
			if want == Thawed {
				err = fmt.Errorf("%w: one above it is frozen", err)
			}
			return err
		case d.isV2():
			err = waitEvent(d.path, want.event(), time.Until(deadline))
		default:
			err = d.nudge(want, pause)
		}
		if err != nil {
			return err
		}
	}
}

// nudge waits for v1's freezer, which tells no event; reading its state is what
// updates it. A process that forks or wakes while it is frozen can be missed,
// and stays so until it is asked again.
func (d dir) nudge(want Freezer, pause time.Duration) error {
	time.Sleep(pause)
	if want == Frozen {
		return d.freeze()
	}
	return nil
}

// String returns the state in words.
func (f Freezer) String() string {
	switch f {
	case Thawed:
		return "thawed"
	case Freezing:
		return "freezing"
	case Frozen:
		return "frozen"
	}
	return "without freezer"
}

// event returns the line in cgroup.events that tells the state.
func (f Freezer) event() string {
	if f == Frozen {
		return "frozen 1"
	}
	return "frozen 0"
}

// Pauses between looks at a thing that tells no event double from the first to
// the longest.
const (
	firstPause   = 100 * time.Microsecond
	longestPause = 10 * time.Millisecond
)

func nextPause(d time.Duration) time.Duration { return min(2*d, longestPause) }

// waitEvent waits until the cgroup.events file of a v2 directory contains the
// line, or the time is over, or the cgroup is gone.
func waitEvent(dir, line string, timeout time.Duration) error {
	file := dir + "/cgroup.events"
	fd, err := openFile(file, unix.O_RDONLY)
	if isGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	deadline := time.Now().Add(timeout)
	for {
		// Poll reports what changed since the last read.
		events, err := readFrom(fd, file)
		if isGone(err) {
			return nil
		}
		if err != nil {
			return err
		}
		left := time.Until(deadline)
		if strings.Contains(events, line) || left <= 0 {
			return nil
		}
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}
		if _, err := unix.Poll(fds, int(left.Milliseconds())+1); err != nil && err != unix.EINTR {
			return fmt.Errorf("poll %s: %w", file, err)
		}
	}
}
