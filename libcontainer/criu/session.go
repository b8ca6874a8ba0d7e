// Package criu talks to criu(8), which checkpoints and restores processes: one message each way and notifications
// in between, over a socket that a `criu swrk` has inherited.
package criu

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"golang.org/x/sys/unix"
)

// Session is the conversation with one criu process.
type Session struct {
	socket int // -1 once closed
}

// NewSession returns a session and the end of its socket that criu inherits; the caller closes that one.
func NewSession() (s *Session, theirs *os.File, err error) {
	// Messages are read whole, whatever their length is.
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return &Session{pair[0]}, os.NewFile(uintptr(pair[1]), "criu's socket"), nil
}

// Close ends the conversation. It may be called again.
func (s *Session) Close() {
	if s.socket >= 0 {
		unix.Close(s.socket)
		s.socket = -1
	}
}

// Event is what criu has to say on the way. File is the terminal's master, where that is the event; the handler
// owns it.
type Event struct {
	Script string
	Pid    int // of the container's init, where it is restored
	File   *os.File
}

// Dump has the process with its children written to images. A dump of their memory only, before, leaves them
// running.
func (s *Session) Dump(o *Options, memoryOnly bool, handle func(Event) error) error {
	kind := dump
	if memoryOnly {
		kind = preDump
	}
	_, err := s.ask(&request{Type: kind, Options: o}, handle)
	return err
}

// Restore has processes made of images, and returns the pid of the first.
func (s *Session) Restore(o *Options, handle func(Event) error) (int, error) {
	r, err := s.ask(&request{Type: restore, Options: o}, handle)
	if err != nil {
		return 0, err
	}
	return int(r.Restored.Pid), nil
}

// ErrFailed means that criu could not do it: its log says why.
var ErrFailed = errors.New("criu failed")

func (s *Session) ask(r *request, handle func(Event) error) (*response, error) {
	if err := s.send(r); err != nil {
		return nil, err
	}
	for {
		answer, file, err := s.receive()
		if err != nil {
			return nil, err
		}
		if answer.Type != notify {
			if file != nil {
				file.Close()
			}
			return answer, answer.failure()
		}
		event := Event{Script: answer.Notification.Script, Pid: int(answer.Notification.Pid), File: file}
		if err := handle(event); err != nil {
			_ = s.send(&request{Type: notify}) // it gives up; why, the caller knows
			return nil, err
		}
		if err := s.send(&request{Type: notify, Success: true}); err != nil {
			return nil, err
		}
	}
}

func (r *response) failure() error {
	switch {
	case r.Success:
		return nil
	case r.Message != "":
		return fmt.Errorf("%w: %s", ErrFailed, r.Message)
	case r.Errno != 0:
		return fmt.Errorf("%w: %w", ErrFailed, unix.Errno(r.Errno))
	}
	return ErrFailed
}

func (s *Session) send(r *request) error {
	err := unix.Sendmsg(s.socket, encode(nil, reflect.ValueOf(r).Elem()), nil, nil, unix.MSG_NOSIGNAL)
	return os.NewSyscallError("send to criu", err)
}

func (s *Session) receive() (*response, *os.File, error) {
	const longest = 64 << 10 // answers are short
	message, rights := make([]byte, longest), make([]byte, unix.CmsgSpace(4))
	var n, rn int
	err := error(unix.EINTR)
	for err == unix.EINTR {
		n, rn, _, _, err = unix.Recvmsg(s.socket, message, rights, unix.MSG_CMSG_CLOEXEC)
	}
	switch {
	case err != nil:
		return nil, nil, os.NewSyscallError("receive from criu", err)
	case n == 0:
		return nil, nil, fmt.Errorf("%w: it ended without an answer", ErrFailed)
	}
	var file *os.File
	if messages, err := unix.ParseSocketControlMessage(rights[:rn]); err == nil && len(messages) == 1 {
		if fds, err := unix.ParseUnixRights(&messages[0]); err == nil && len(fds) == 1 {
			file = os.NewFile(uintptr(fds[0]), "terminal")
		}
	}
	r := &response{}
	if err := decode(message[:n], reflect.ValueOf(r).Elem()); err != nil {
		if file != nil {
			file.Close()
		}
		return nil, nil, fmt.Errorf("criu's answer: %w", err)
	}
	return r, file, nil
}

// Explain adds to a failure what criu's log says about it: its first errors, which are the causes of the others.
func Explain(err error, workDir, logFile string) error {
	if !errors.Is(err, ErrFailed) {
		return err
	}
	path := filepath.Join(workDir, logFile)
	log, readErr := os.ReadFile(path)
	if readErr != nil {
		return err
	}
	const enough = 3
	var said []string
	for line := range bytes.Lines(log) {
		if _, text, found := bytes.Cut(line, []byte("Error (")); found && len(said) < enough {
			_, text, _ = bytes.Cut(text, []byte("): "))
			said = append(said, strings.TrimSpace(string(text)))
		}
	}
	if said == nil {
		return fmt.Errorf("%w (log: %s)", err, path)
	}
	return fmt.Errorf("%w: %s (log: %s)", err, strings.Join(said, "; "), path)
}
