package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// interruption is the context in which a foreground command makes its process: SIGINT and its like end it until the
// program runs. Signals are looked at from the first time that somebody asks for Done on. That takes a thread, and is
// done only where others are waited for: hooks, and processes that a frozen cgroup or a seccomp agent keeps from going on.
type interruption struct {
	context.Context
	cancel context.CancelCauseFunc
	fg     *foreground
	look   sync.Once
	stop   [2]int        // a pipe whose closed end ends the looking
	ended  chan struct{} // closed when nobody looks any more
}

func newInterruption(parent context.Context, fg *foreground) *interruption {
	i := &interruption{fg: fg, stop: [2]int{-1, -1}}
	i.Context, i.cancel = context.WithCancelCause(parent)
	return i
}

// Done is that of a context.Context.
func (i *interruption) Done() <-chan struct{} {
	i.look.Do(func() {
		if err := unix.Pipe2(i.stop[:], unix.O_CLOEXEC); err != nil {
			i.cancel(fmt.Errorf("pipe2: %w", err))
			return
		}
		i.ended = make(chan struct{})
		go i.watch()
	})
	return i.Context.Done()
}

// watch notes the signals that arrive, for foreground.wait, until one interrupts.
func (i *interruption) watch() {
	defer close(i.ended)
	fds := []unix.PollFd{{Fd: int32(i.fg.signals), Events: unix.POLLIN}, {Fd: int32(i.stop[0]), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			i.cancel(fmt.Errorf("poll: %w", err))
			return
		}
		if fds[1].Revents != 0 {
			return
		}
		if fds[0].Revents == 0 {
			continue
		}
		sig, err := i.fg.nextSignal()
		switch {
		case err != nil:
			i.cancel(err)
			return
		case interrupts(sig):
			leaveSignals(interrupting()...) // the next one ends skep at once
			i.cancel(fmt.Errorf("interrupted by %s", unix.SignalName(sig)))
			return
		}
		i.fg.early = append(i.fg.early, sig)
	}
}

// close ends the looking: from now on the signals are the program's. The error says that one has interrupted.
func (i *interruption) close() error {
	i.look.Do(func() {})
	if i.ended != nil {
		unix.Close(i.stop[1])
		<-i.ended
		unix.Close(i.stop[0])
		i.ended = nil
	}
	i.cancel(errNotInterrupted)
	if err := context.Cause(i); err != errNotInterrupted {
		return err
	}
	return nil
}

var errNotInterrupted = errors.New("the program runs")

// interrupts tells which signals end what skep does.
func interrupts(sig unix.Signal) bool {
	return slices.Contains(interrupting(), sig)
}

func interrupting() []unix.Signal {
	return []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM}
}
