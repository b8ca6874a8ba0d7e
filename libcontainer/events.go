package libcontainer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"golang.org/x/sys/unix"

	"skep/cgroups"
)

// EventType says what an event is about.
type EventType string

// The events of runc.
const (
	EventStats EventType = "stats" // the counters, from time to time
	EventOOM   EventType = "oom"   // the container was out of memory
)

// Event is something that a caller watches a container for. Its JSON is that of runc's events.
type Event struct {
	Type EventType `json:"type"`
	ID   string    `json:"id"`             // of the container
	Data *Stats    `json:"data,omitempty"` // of EventStats
}

// Events watches the container until its init ends: for lack of memory, of which the kernel tells, and every interval
// for its counters, unless the interval is 0. An error is the last thing that comes; it is ErrNotRunning for a
// container without processes, and that of ctx once that has ended.
func (c *Container) Events(ctx context.Context, interval time.Duration) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		w, err := c.watch(ctx)
		if err == nil {
			defer w.close()
			err = w.follow(interval, func(e Event) bool { return yield(e, nil) })
		}
		if err != nil {
			yield(Event{}, err)
		}
	}
}

// watcher waits for what can happen to a container.
type watcher struct {
	container *Container
	ctx       context.Context
	pidfd     int
	over      int    // can be read once ctx has ended
	done      func() // closes it
	oom       *cgroups.OOMWatch
}

func (c *Container) watch(ctx context.Context) (*watcher, error) {
	if err := c.Status().allows().live; err != nil {
		return nil, err
	}
	w := &watcher{container: c, ctx: ctx}
	var err error
	if w.pidfd, err = c.state.Init.open(); err != nil {
		return nil, err
	}
	if w.over, w.done, err = endOf(ctx); err != nil {
		unix.Close(w.pidfd)
		return nil, err
	}
	w.oom, err = cgroups.Open(c.state.Cgroup).WatchOOM()
	if err != nil && !errors.Is(err, unix.ENOENT) { // else nothing limits its memory
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *watcher) close() {
	w.done()
	unix.Close(w.pidfd)
	if w.oom != nil {
		w.oom.Close()
	}
}

// errEnough says that nobody wants more events.
var errEnough = errors.New("no more events are wanted")

// follow hands the events on until the container's init has ended or nobody wants more.
func (w *watcher) follow(interval time.Duration, yield func(Event) bool) error {
	next := time.Now().Add(interval)
	for {
		timeout := -1
		if interval > 0 {
			timeout = milliseconds(time.Until(next))
		}
		ended, err := w.poll(timeout)
		if err == nil {
			err = w.outOfMemory(yield)
		}
		if err == nil && !ended && interval > 0 && !time.Now().Before(next) {
			next = time.Now().Add(interval)
			err = w.stats(yield)
		}
		switch {
		case errors.Is(err, errEnough):
			return nil
		case err != nil || ended:
			return err
		}
	}
}

// poll waits until something happens, for at most the timeout in milliseconds.
func (w *watcher) poll(timeout int) (ended bool, err error) {
	fds := []unix.PollFd{{Fd: int32(w.pidfd), Events: unix.POLLIN}, {Fd: int32(w.over), Events: unix.POLLIN}}
	if w.oom != nil {
		fd, events := w.oom.Fd()
		fds = append(fds, unix.PollFd{Fd: int32(fd), Events: events})
	}
	if _, err := unix.Poll(fds, timeout); err != nil && err != unix.EINTR {
		return false, fmt.Errorf("poll: %w", err)
	}
	return fds[0].Revents != 0, w.ctx.Err()
}

// outOfMemory looks whether it is, also when nothing has been told: what ends init may be told a moment later.
func (w *watcher) outOfMemory(yield func(Event) bool) error {
	if w.oom == nil {
		return nil
	}
	happened, err := w.oom.Read()
	switch {
	case errors.Is(err, unix.ENODEV): // the container is being deleted
		w.oom.Close()
		w.oom = nil
		return nil
	case err != nil:
		return err
	case happened && !yield(Event{Type: EventOOM, ID: w.container.state.ID}):
		return errEnough
	}
	return nil
}

func (w *watcher) stats(yield func(Event) bool) error {
	s, err := w.container.Stats()
	switch {
	case errors.Is(err, ErrNotRunning): // the pidfd is about to tell, and there may have been an event before
		return nil
	case err == nil && !yield(Event{Type: EventStats, ID: w.container.state.ID, Data: s}):
		return errEnough
	}
	return err
}
