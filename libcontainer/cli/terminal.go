package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/containerd/console"
	"golang.org/x/sys/unix"
)

// terminal connects the user's terminal, in raw mode, with the container's.
type terminal struct {
	user    console.Console
	master  *os.File
	drained chan struct{} // closed when all of the container's output is out; nil until begin
}

var errNoTerminal = errors.New("process.terminal is true, but skep itself has no terminal: run it from one, " +
	"give --console-socket, or set process.terminal to false")

// connect owns the master from now on.
func connect(master *os.File) (*terminal, error) {
	user, err := userTerminal()
	if err == nil {
		master, err = deadlined(master)
	}
	if err != nil {
		master.Close()
		return nil, err
	}
	t := &terminal{user: user, master: master}
	t.resize()
	return t, nil
}

// begin lets the bytes go both ways, once the program runs: until then keys interrupt what skep does.
func (t *terminal) begin() error {
	leaveSignals(unix.SIGTTIN, unix.SIGTTOU) // in the background skep stops, as these ask for, rather than ask again and again
	t.drained = make(chan struct{})
	if err := t.raw(); err != nil {
		return err
	}
	t.resize()
	// The reader of our output may go away: that ends the terminal and not skep, which has a container to remove.
	// A handler, because children would inherit that the signal is ignored.
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
	go func() { _, _ = io.Copy(t.master, os.Stdin) }()
	go t.output()
	return nil
}

// deadlined gives reads of a file deadlines, for which it has to be non-blocking before Go sees it.
func deadlined(f *os.File) (*os.File, error) {
	defer f.Close()
	if err := unix.SetNonblock(int(f.Fd()), true); err != nil {
		return f, os.NewSyscallError("fcntl", err)
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return f, os.NewSyscallError("dup", err)
	}
	return os.NewFile(uintptr(fd), "terminal"), nil
}

// userTerminal finds the terminal among the standard streams.
func userTerminal() (console.Console, error) {
	for _, f := range []*os.File{os.Stdin, os.Stdout, os.Stderr} {
		if c, err := console.ConsoleFromFile(f); err == nil {
			return c, nil
		}
	}
	return nil, errNoTerminal
}

// grace is how long a terminal may be silent after the end of init before nothing more is expected of it. Processes
// that outlive init may hold it open; what init has written the kernel hands over at once, but from a queue.
const grace = time.Second

// output copies the container's output until nobody has its terminal open any more, or until it is silent after the
// end of init. Nobody to read it is a terminal that has been hung up: the container's processes are told the same.
func (t *terminal) output() {
	defer close(t.drained)
	buffer := make([]byte, 32<<10)
	for {
		n, err := t.master.Read(buffer)
		if _, failed := os.Stdout.Write(buffer[:n]); failed != nil {
			t.master.Close()
			return
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && t.pending():
			_ = t.master.SetReadDeadline(time.Now().Add(grace))
		case err != nil:
			return
		}
	}
}

// pending reports whether there is output that has not been read.
func (t *terminal) pending() bool {
	n := 0
	t.control(func(fd int) { n, _ = unix.IoctlGetInt(fd, unix.TIOCINQ) })
	return n > 0
}

// control leaves the master non-blocking, which its method Fd would not.
func (t *terminal) control(do func(fd int)) {
	if raw, err := t.master.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { do(int(fd)) })
	}
}

// raw leaves every byte to the container's terminal. The library's raw mode goes on to write a carriage return before
// each newline, which the container's terminal has done where its program wants it.
func (t *terminal) raw() error {
	err := t.user.SetRaw()
	if err == nil {
		var mode *unix.Termios
		if mode, err = unix.IoctlGetTermios(int(t.user.Fd()), unix.TCGETS); err == nil {
			mode.Oflag &^= unix.OPOST
			err = unix.IoctlSetTermios(int(t.user.Fd()), unix.TCSETS, mode)
		}
	}
	if err != nil {
		return fmt.Errorf("set the terminal to raw mode: %w", err)
	}
	return nil
}

func (t *terminal) resize() {
	size, err := t.user.Size()
	if err != nil || size.Height == 0 {
		return
	}
	t.control(func(fd int) {
		_ = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: size.Height, Col: size.Width})
	})
}

// resume is for a skep that was stopped: the shell has had the terminal meanwhile.
func (t *terminal) resume() {
	_ = t.raw()
	t.resize()
}

// drain waits until the last output of an init that has ended is out. A signal ends the waiting for a reader that
// does not read.
func (t *terminal) drain(nextSignal func() (unix.Signal, error)) {
	_ = t.master.SetReadDeadline(time.Now().Add(grace))
	impatient := make(chan struct{})
	go func() {
		defer close(impatient)
		for {
			if sig, err := nextSignal(); err != nil || !harmless(sig) {
				return
			}
		}
	}()
	select {
	case <-t.drained:
	case <-impatient:
	}
}

// harmless reports whether nobody means to end a program by sending the signal.
func harmless(sig unix.Signal) bool {
	return sig == unix.SIGCHLD || sig == unix.SIGWINCH || sig == unix.SIGCONT
}

// close gives the user's terminal back.
func (t *terminal) close() {
	if t.drained != nil {
		_ = t.user.Reset()
	}
}
