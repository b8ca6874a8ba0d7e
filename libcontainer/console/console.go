// Package console hands the master side of a container's terminal to its user.
package console

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Send sends a terminal's master to an AF_UNIX stream socket, in the form that managers expect: one message, whose
// payload is the terminal's name, with one descriptor.
func Send(socket string, master *os.File) error {
	name, err := Name(master)
	if err != nil {
		return err
	}
	conn, err := dial(socket)
	if err != nil {
		return fmt.Errorf("console socket %s: %w", socket, err)
	}
	defer conn.Close()
	rights := unix.UnixRights(int(master.Fd()))
	if _, _, err := conn.WriteMsgUnix([]byte(name), rights, nil); err != nil {
		return fmt.Errorf("console socket %s: %w", socket, err)
	}
	return nil
}

// dial reaches sockets whose path is longer than a sockaddr_un by way of their directory.
func dial(socket string) (*net.UnixConn, error) {
	const longest = 107
	if len(socket) > longest {
		dir, err := os.OpenFile(filepath.Dir(socket), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		defer dir.Close()
		socket = "/proc/self/fd/" + strconv.Itoa(int(dir.Fd())) + "/" + filepath.Base(socket)
	}
	return net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
}

// Name returns the path of the terminal's slave inside the container.
func Name(master *os.File) (string, error) {
	n, err := unix.IoctlGetUint32(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		return "", fmt.Errorf("the container's terminal: %w", err)
	}
	return "/dev/pts/" + strconv.Itoa(int(n)), nil
}

// Resize sets the size of a terminal in characters.
func Resize(master *os.File, height, width uint) error {
	size := unix.Winsize{Row: uint16(height), Col: uint16(width)}
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &size); err != nil {
		return fmt.Errorf("resize the container's terminal: %w", err)
	}
	return nil
}
