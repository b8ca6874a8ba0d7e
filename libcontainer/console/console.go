// Package console hands the master side of a container's terminal to its user.
package console

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"skep/libcontainer/internal/socket"
)

// Send sends a terminal's master to an AF_UNIX stream socket, in the form that managers expect: one message, whose
// payload is the terminal's name, with one descriptor.
func Send(path string, master *os.File) error {
	name, err := Name(master)
	if err != nil {
		return err
	}
	if err := socket.Send(path, []byte(name), master); err != nil {
		return fmt.Errorf("console socket %s: %w", path, err)
	}
	return nil
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
