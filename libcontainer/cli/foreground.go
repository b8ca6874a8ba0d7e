package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/containerd/console"
	"golang.org/x/sys/unix"
)

// foreground stands between the user and a container that runs in the foreground: signals go in, the exit status
// comes out, and the terminal's bytes go both ways.
type foreground struct {
	signals int             // reading end of a pipe: one byte for each signal that arrives
	early   []unix.Signal   // those that arrived and were read before wait
	user    console.Console // the user's own terminal, in raw mode
	master  *os.File        // the container's terminal
	drained chan struct{}   // closed when all of the container's output is out
}

// newForeground takes the signals over before there is a container, so that none is lost in between.
func newForeground() (*foreground, error) {
	signals, err := takeSignals()
	return &foreground{signals: signals}, err
}

// attach connects the user's terminal with the container's.
func (fg *foreground) attach(master *os.File) error {
	user, err := userTerminal()
	if err != nil {
		master.Close()
		return err
	}
	if err := unix.SetNonblock(int(master.Fd()), true); err != nil { // so that reads can be given a deadline
		return err
	}
	fd, err := unix.FcntlInt(master.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	master.Close()
	if err != nil {
		return os.NewSyscallError("dup", err)
	}
	fg.master, fg.user = os.NewFile(uintptr(fd), "terminal"), user
	if err := user.SetRaw(); err != nil {
		return fmt.Errorf("raw mode: %w", err)
	}
	fg.resize()
	fg.drained = make(chan struct{})
	go func() { _, _ = io.Copy(fg.master, os.Stdin) }()
	go func() {
		_, _ = io.Copy(os.Stdout, fg.master)
		close(fg.drained)
	}()
	return nil
}

var errNoTerminal = errors.New("process.terminal is true, but skep itself has no terminal: run it from one, " +
	"give --console-socket, or set process.terminal to false")

// userTerminal finds the terminal among the standard streams.
func userTerminal() (console.Console, error) {
	for _, f := range []*os.File{os.Stdin, os.Stdout, os.Stderr} {
		if c, err := console.ConsoleFromFile(f); err == nil {
			return c, nil
		}
	}
	return nil, errNoTerminal
}

func (fg *foreground) resize() {
	size, err := fg.user.Size()
	if err != nil || size.Height == 0 {
		return
	}
	raw, err := fg.master.SyscallConn() // Fd would make it blocking again
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Height, Col: size.Width})
	})
}

// wait passes signals on to the container's init until it has ended, and returns its exit status: 128+n for one that
// signal n ended. It needs no thread beside the calling one. The pid stays init's until it is reaped, here.
func (fg *foreground) wait(init int) (int, error) {
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
				fg.drain()
				return status, nil
			}
		case sig == unix.SIGWINCH && fg.master != nil:
			fg.resize()
		default:
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

// drain waits until the container's last output is out. A process that outlives init may hold the terminal open; the
// output of init itself is there already.
func (fg *foreground) drain() {
	if fg.master != nil {
		const grace = time.Second
		_ = fg.master.SetReadDeadline(time.Now().Add(grace))
		<-fg.drained
	}
}

// close gives the user's terminal back.
func (fg *foreground) close() {
	if fg.user != nil {
		_ = fg.user.Reset()
	}
}
