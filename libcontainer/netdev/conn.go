package netdev

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// conn is a route socket of a network namespace.
type conn struct {
	namespace int // its descriptor
	socket    map[int]*nl.SocketHandle
}

// dial opens a socket in the namespace of the calling thread, whose path is given.
func dial(path string) (*conn, error) {
	ns, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	c := &conn{namespace: ns}
	s, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		c.close()
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	c.socket = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: s}}
	err = s.SetExtAck(true) // the kernel's own words in errors
	if err == nil {         // only what is asked for, where a host has a million routes
		err = unix.SetsockoptInt(s.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	}
	if err != nil {
		c.close()
		return nil, os.NewSyscallError("setsockopt", err)
	}
	return c, nil
}

// dialIn opens a socket in another network namespace. A socket belongs for good to the namespace of the thread that
// makes it, and the library takes none that somebody else has made, the player say. So a thread enters the namespace;
// it never comes back to Go, but ends.
func dialIn(path string) (c *conn, err error) {
	onDyingThread(func() {
		fd, failed := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err = failed; err != nil {
			err = &os.PathError{Op: "open", Path: path, Err: err}
			return
		}
		defer unix.Close(fd)
		if err = unix.Setns(fd, unix.CLONE_NEWNET); err != nil { //nolint:forbidigo // the thread need not leave: it ends
			err = fmt.Errorf("setns %s: %w", path, err)
			return
		}
		c, err = dial(path)
	})
	return c, err
}

// onDyingThread runs f on a thread that ends with it: Go ends a locked thread with its goroutine. The main thread it
// parks instead, forever where f has led it, and what /proc/PID tells of a process is told of its main thread: it is
// not taken.
func onDyingThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			defer runtime.UnlockOSThread()
			onDyingThread(f) // this goroutine holds the main thread meanwhile
			return
		}
		f()
	}()
	<-done
}

func (c *conn) close() {
	if c == nil {
		return
	}
	unix.Close(c.namespace)
	for _, s := range c.socket {
		s.Close()
	}
}

// request sends a message, and returns the answers.
func (c *conn) request(kind, flags int, parts ...nl.NetlinkRequestData) ([][]byte, error) {
	r := nl.NewNetlinkRequest(kind, flags)
	r.Sockets = c.socket
	for _, p := range parts {
		r.AddData(p)
	}
	return r.Execute(unix.NETLINK_ROUTE, 0)
}

// change requests a change.
func (c *conn) change(kind, flags int, parts ...nl.NetlinkRequestData) error {
	_, err := c.request(kind, unix.NLM_F_ACK|flags, parts...)
	return err
}

// dump asks for a list, again where it changed while the kernel wrote it.
func (c *conn) dump(kind int, parts ...nl.NetlinkRequestData) (all [][]byte, err error) {
	for range 10 {
		all, err = c.request(kind, unix.NLM_F_DUMP, parts...)
		if !errors.Is(err, nl.ErrDumpInterrupted) {
			break
		}
	}
	return all, err
}
