// Package socket hands descriptors to whoever listens at an AF_UNIX stream socket.
package socket

import (
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Send connects to the socket at a path, sends a payload together with one descriptor, and closes the connection.
// The descriptor travels with the first byte, also where the kernel takes a long payload in several parts.
func Send(path string, payload []byte, file *os.File) error {
	conn, err := dial(path)
	if err != nil {
		return err
	}
	defer conn.Close()
	n, _, err := conn.WriteMsgUnix(payload, unix.UnixRights(int(file.Fd())), nil)
	if err == nil && n < len(payload) {
		_, err = conn.Write(payload[n:])
	}
	return err
}

func dial(path string) (conn *net.UnixConn, err error) {
	err = WithShortPath(path, func(short string) error {
		conn, err = net.DialUnix("unix", nil, &net.UnixAddr{Name: short, Net: "unix"})
		return err
	})
	return conn, err
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
