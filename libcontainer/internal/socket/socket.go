// Package socket hands descriptors to whoever listens at an AF_UNIX stream socket.
package socket

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Patience is how long Send waits for somebody who listens but does not accept, or accepts but does not read.
const Patience = 10 * time.Second

// Send connects to the socket at a path, sends a payload together with one descriptor, and closes the connection.
// The descriptor travels with the first byte, also where the kernel takes a long payload in several parts.
func Send(path string, payload []byte, file *os.File) error {
	return send(path, payload, file, Patience)
}

func send(path string, payload []byte, file *os.File, patience time.Duration) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	s := sender{fd: fd, patience: patience, deadline: time.Now().Add(patience)}
	if err := s.connect(path); err != nil {
		return err
	}
	rights := unix.UnixRights(int(file.Fd()))
	for len(payload) > 0 {
		err := s.do("sendmsg", func() error {
			n, err := unix.SendmsgN(fd, payload, rights, nil, unix.MSG_NOSIGNAL)
			payload = payload[max(n, 0):]
			return err
		})
		if err != nil {
			return err
		}
		rights = nil
	}
	return nil
}

// sender is a socket with a deadline. The kernel waits, for a place in the listener's backlog too, which a socket
// that does not block would not be told about.
type sender struct {
	fd       int
	patience time.Duration
	deadline time.Time
}

// do makes a call that may wait, for as long as there is time left.
func (s *sender) do(name string, call func() error) error {
	for {
		left := unix.NsecToTimeval(int64(max(time.Until(s.deadline), time.Millisecond))) // 0 would be forever
		if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &left); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
		switch err := call(); err {
		case unix.EINTR: // with a timeout no call is restarted
		case unix.EAGAIN:
			return fmt.Errorf("%s: whoever listens there has not taken it for %s", name, s.patience)
		default:
			return os.NewSyscallError(name, err)
		}
	}
}

func (s *sender) connect(path string) error {
	return WithShortPath(path, func(short string) error {
		return s.do("connect", func() error { return unix.Connect(s.fd, &unix.SockaddrUnix{Name: short}) })
	})
}

// WithShortPath calls do with a path of the same socket that fits into a sockaddr_un, which ends at 108 bytes: longer
// ones are reached by way of their directory.
func WithShortPath(path string, do func(short string) error) error {
	const longest = 107
	if len(path) <= longest {
		return do(path)
	}
	dir, err := os.OpenFile(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	return do("/proc/self/fd/" + strconv.Itoa(int(dir.Fd())) + "/" + filepath.Base(path))
}
