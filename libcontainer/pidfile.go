package libcontainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// writePidFile replaces the file as a whole: who watches for it reads a complete pid. A device, such as the null device,
// or a fifo is written to; putting a file in its place would take it from all others.
func writePidFile(path string, pid int) error {
	content, write := []byte(strconv.Itoa(pid)), replaceFile
	if !replaceable(path) {
		write = writeSpecial
	}
	err := write(path, content)
	if of, ok := errors.AsType[*fs.PathError](err); ok { // it may name a temporary file
		err = of.Err
	}
	if err != nil {
		return fmt.Errorf("pid file %s: %w", path, err)
	}
	return nil
}

// removePidFile removes what writePidFile has written.
func removePidFile(path string) {
	if replaceable(path) {
		os.Remove(path)
	}
}

// replaceable tells whether there is a regular file at a path, or nothing.
func replaceable(path string) bool {
	st, err := os.Stat(path)
	return err != nil || st.Mode().IsRegular()
}

func replaceFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// writeSpecial waits for nobody: a fifo needs its reader.
func writeSpecial(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
