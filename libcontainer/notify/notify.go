// Package notify carries the messages of sd_notify(3) from a container's program to the service manager that runs
// the container: the program cannot reach the manager's socket, and the manager would not know its pid.
package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"skep/libcontainer/internal/socket"
)

// SocketName is the name of the socket in its directory, which the container sees.
const SocketName = "notify.sock"

// Listener receives a container's messages.
type Listener struct {
	fd     int
	buffer []byte
}

// Listen makes the socket in a directory. Every user of the container may send to it.
func Listen(dir string) (*Listener, error) {
	l, err := listen(dir)
	if err != nil {
		return nil, fmt.Errorf("notify socket in %s: %w", dir, err)
	}
	return l, nil
}

func listen(dir string) (*Listener, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	const largest = 64 << 10 // more than any manager reads
	l := &Listener{fd, make([]byte, largest)}
	path := filepath.Join(dir, SocketName)
	_ = unix.Unlink(path) // of a start that failed
	err = socket.WithShortPath(path, func(short string) error {
		return os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrUnix{Name: short}))
	})
	if err == nil {
		err = os.Chmod(path, 0o777) // whatever the umask
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Close ends the listening. The socket stays in its directory.
func (l *Listener) Close() { unix.Close(l.fd) }

// AwaitReady waits until the program says READY=1, and tells the manager at the socket of that path: READY=1, and
// that the service's main process is pid from now on. It returns once the manager has read that, so that the caller
// may exit. A program that ends before it is ready, seen by its pidfd, is no error: the manager learns it as such.
func (l *Listener) AwaitReady(ctx context.Context, manager string, pid, pidfd int) error {
	for {
		message, err := l.receive(ctx, pidfd)
		if err != nil || message == nil {
			return err
		}
		if bytes.Contains(append(append([]byte("\n"), message...), '\n'), []byte("\nREADY=1\n")) {
			break
		}
	}
	conn, err := dial(manager)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, message := range [...]string{"READY=1", "MAINPID=" + strconv.Itoa(pid)} {
		if _, err := conn.Write([]byte(message)); err != nil {
			return fmt.Errorf("NOTIFY_SOCKET: %w", err)
		}
	}
	return barrier(conn)
}

// Pass passes messages on to the manager at the socket of that path until the program has ended: for a caller that
// stays the service's main process.
func (l *Listener) Pass(ctx context.Context, manager string, pidfd int) error {
	conn, err := dial(manager)
	if err != nil {
		return err
	}
	defer conn.Close()
	for {
		message, err := l.receive(ctx, pidfd)
		if err != nil || message == nil {
			return err
		}
		if message = about(message); len(message) == 0 {
			continue
		}
		if _, err := conn.Write(message); err != nil {
			return fmt.Errorf("NOTIFY_SOCKET: %w", err)
		}
	}
}

// passed are the assignments that a program makes about itself. Others name pids, which mean something else outside
// the container, or go with descriptors.
var passed = [...]string{
	"READY", "STATUS", "RELOADING", "STOPPING", "MONOTONIC_USEC", "ERRNO", "BUSERROR", "VARLINKERROR", "EXIT_STATUS",
	"WATCHDOG", "WATCHDOG_USEC", "EXTEND_TIMEOUT_USEC",
}

// about leaves of a message what is to be passed on.
func about(message []byte) []byte {
	var kept [][]byte
	for line := range bytes.Lines(message) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		name, _, _ := bytes.Cut(line, []byte("="))
		for _, p := range passed {
			if string(name) == p {
				kept = append(kept, line)
			}
		}
	}
	return bytes.Join(kept, []byte("\n"))
}

// receive waits for the next message; nil means that the program has ended and none is left.
func (l *Listener) receive(ctx context.Context, pidfd int) ([]byte, error) {
	fds := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}, {Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		ended := fds[1].Revents != 0
		// Descriptors that come along are closed by the kernel, as nobody asks for them: who waits at a barrier goes on.
		n, _, err := unix.Recvfrom(l.fd, l.buffer, 0)
		switch {
		case err == nil:
			return l.buffer[:n], nil
		case err != unix.EAGAIN && err != unix.EINTR:
			return nil, os.NewSyscallError("recvfrom", err)
		case ended:
			return nil, nil
		}
		tick := -1
		if ctx.Done() != nil {
			tick = 1000 // ms; to notice that it has ended
		}
		if _, err := unix.Poll(fds, tick); err != nil && err != unix.EINTR {
			return nil, os.NewSyscallError("poll", err)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

func dial(manager string) (*net.UnixConn, error) {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: manager, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	return conn, nil
}

// barrier waits until the manager has read what was sent before: it closes the descriptor that it gets here. One that
// does not know the barrier drops it, which closes the descriptor as well.
func barrier(conn *net.UnixConn) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	raw, err := conn.SyscallConn() // WriteMsgUnix takes no connected datagram socket
	if err == nil {
		sendErr := raw.Control(func(fd uintptr) {
			err = unix.Sendmsg(int(fd), []byte("BARRIER=1"), unix.UnixRights(int(w.Fd())), nil, unix.MSG_NOSIGNAL)
		})
		err = errors.Join(err, sendErr)
	}
	w.Close()
	if err != nil {
		return fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	const patience = 30 * time.Second // a manager that is slower than that has other worries
	_ = r.SetReadDeadline(time.Now().Add(patience))
	_, _ = r.Read(make([]byte, 1))
	return nil
}
