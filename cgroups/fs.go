package cgroups

import (
	"bytes"
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// readFile reads a cgroup file. Unlike os.ReadFile it does not register the
// descriptor with the poller, which cgroup files would accept.
func readFile(path string) (string, error) {
	fd, err := openFile(path, unix.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	return readFrom(fd, path)
}

// readFrom reads fd from its beginning; path is for the error.
func readFrom(fd int, path string) (string, error) {
	var content bytes.Buffer
	buf := make([]byte, 4096)
	for {
		n, err := unix.Pread(fd, buf, int64(content.Len()))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return "", &os.PathError{Op: "read", Path: path, Err: err}
		case n == 0:
			return content.String(), nil
		default:
			content.Write(buf[:n])
		}
	}
}

// writeFile writes value to an existing file at once, as cgroup files want it.
func writeFile(path, value string) error {
	fd, err := openFile(path, unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for {
		// A signal ends a memory limit's reclaim, and Go's scheduler sends some.
		_, err := unix.Write(fd, []byte(value))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "write " + strings.TrimSpace(value) + " to", Path: path, Err: err}
		}
		return nil
	}
}

func openFile(path string, flags int) (int, error) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// isGone tells whether err is about a cgroup that does not exist any more: it
// cannot be found, or was removed after its file was opened.
func isGone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV)
}

// isRefused tells whether err is about the lack of a right to write.
func isRefused(err error) bool {
	return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EROFS)
}

// isBusy tells whether a cgroup could not be removed because it is in use.
func isBusy(err error) bool {
	return errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENOTEMPTY)
}
