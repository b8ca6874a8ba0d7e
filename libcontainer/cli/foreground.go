package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// foreground stands between the user and a container that runs in the foreground: signals go in, the exit status
// comes out, and the terminal's bytes go both ways.
type foreground struct {
	signals  int           // reading end of a pipe: one byte for each signal that arrives
	early    []unix.Signal // those that arrived and were read before wait
	terminal *terminal     // nil: the container has the user's own streams
}

// newForeground takes the signals over before there is a container, so that none is lost in between.
func newForeground() (*foreground, error) {
	signals, err := takeSignals()
	return &foreground{signals: signals}, err
}

// attach connects the user's terminal with the container's.
func (fg *foreground) attach(master *os.File) error {
	t, err := connect(master)
	fg.terminal = t
	return err
}

// wait passes signals on to the container's init until it has ended, and returns its exit status: 128+n for one that
// signal n ended. It needs no thread beside the calling one. The pid stays init's until it is reaped, here.
func (fg *foreground) wait(init int) (int, error) {
	if fg.terminal != nil {
		if err := fg.terminal.begin(); err != nil {
			return 0, err
		}
	}
	early := fg.early
	for {
		var sig unix.Signal
		var err error
		if len(early) > 0 {
			sig, early = early[0], early[1:]
		} else if sig, err = fg.nextSignal(); err != nil {
			return 0, err
		}
		switch {
		case sig == unix.SIGCHLD:
			if status, ended := reap(init); ended {
				if fg.terminal != nil {
					fg.terminal.drain(fg.nextSignal)
				}
				fg.close() // what follows can be interrupted, from the keyboard too
				return status, nil
			}
		case sig == unix.SIGWINCH && fg.terminal != nil:
			fg.terminal.resize()
		default:
			if sig == unix.SIGCONT && fg.terminal != nil {
				fg.terminal.resume()
			}
			_ = unix.Kill(init, sig)
		}
	}
}

// nextSignal waits for a signal to arrive.
func (fg *foreground) nextSignal() (unix.Signal, error) {
	number := make([]byte, 1)
	for {
		n, err := unix.Read(fg.signals, number)
		switch {
		case n == 1:
			return unix.Signal(number[0]), nil
		case err != unix.EINTR:
			return 0, os.NewSyscallError("read", err)
		}
	}
}

// reap buries every child that has ended, the container's orphans included: they come to us as their subreaper.
func reap(init int) (status int, ended bool) {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		switch {
		case err == unix.EINTR:
		case pid <= 0:
			return status, ended
		case pid == init && ws.Signaled():
			status, ended = 128+int(ws.Signal()), true
		case pid == init:
			status, ended = ws.ExitStatus(), true
		}
	}
}

// close gives the user's terminal back. It may be called again.
func (fg *foreground) close() {
	if fg.terminal != nil {
		fg.terminal.close()
		fg.terminal = nil
	}
}
