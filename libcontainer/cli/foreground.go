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
	signals *os.File // one byte for each signal that arrives
	pid     int
	pidfd   int
	user    console.Console // the user's own terminal, in raw mode
	master  *os.File        // the container's terminal
	drained chan struct{}   // closed when all of the container's output is out
}

// newForeground takes the signals over before there is a container, so that none is lost in between.
func newForeground() (*foreground, error) {
	signals, err := takeSignals()
	return &foreground{signals: signals, pidfd: -1}, err
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

// follow begins to forward signals to the container's init.
func (fg *foreground) follow(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	fg.pid, fg.pidfd = pid, fd
	go fg.forward()
	return nil
}

func (fg *foreground) forward() {
	number := make([]byte, 1)
	for {
		if _, err := fg.signals.Read(number); err != nil {
			return
		}
		sig := unix.Signal(number[0])
		if sig == unix.SIGWINCH && fg.master != nil {
			fg.resize()
			continue
		}
		_ = unix.PidfdSendSignal(fg.pidfd, sig, nil, 0)
	}
}

// wait reaps until init has ended, and returns its exit status: 128+n for one that signal n ended. Orphans of the
// container come to us as their subreaper.
func (fg *foreground) wait() int {
	status := reap(fg.pid)
	if fg.master != nil {
		// A process that outlives init may hold the terminal open: the output of init itself is there already.
		const grace = time.Second
		_ = fg.master.SetReadDeadline(time.Now().Add(grace))
		<-fg.drained
	}
	return status
}

func reap(pid int) int {
	for {
		var status unix.WaitStatus
		switch got, err := unix.Wait4(-1, &status, 0, nil); {
		case err == unix.EINTR:
		case err != nil:
			return failure // somebody else reaped it
		case got != pid:
		case status.Signaled():
			return 128 + int(status.Signal())
		case status.Exited():
			return status.ExitStatus()
		}
	}
}

// close gives the user's terminal back.
func (fg *foreground) close() {
	if fg.user != nil {
		_ = fg.user.Reset()
	}
	if fg.pidfd >= 0 {
		unix.Close(fg.pidfd)
	}
}
