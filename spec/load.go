package spec

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// ConfigFile is the name of the configuration in a bundle (bundle.md).
const ConfigFile = "config.json"

// MaxSize is the largest configuration in bytes that is read. The largest ones
// of managers are below 100 KiB.
const MaxSize = 16 << 20

// A Config is the configuration of a bundle as it was at one moment. Changes
// to the bundle's file after create have no effect on the container.
type Config struct {
	Spec     *specs.Spec
	Raw      []byte   // the file's bytes, to be kept in the state directory
	Warnings []string // each begins with its JSON path
}

// Load reads config.json of a bundle. It does not [Validate]. What is wrong
// with the file's content comes as [Problems].
func Load(bundle string) (*Config, error) {
	path := filepath.Join(bundle, ConfigFile)
	raw, err := ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		// Managers take "no such file or directory" for a missing program.
		return nil, fmt.Errorf("the bundle has no configuration: %s not found", path)
	}
	if err != nil {
		return nil, err
	}
	s, warnings, err := Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Config{Spec: s, Raw: raw, Warnings: warnings}, nil
}

// ReadFile reads a regular file of at most [MaxSize] bytes. It does not wait
// for the writer of a FIFO, and it refuses whatever else is not a regular file.
func ReadFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	// One byte more than the size lets ReadFull see the end in one call.
	buf := make([]byte, min(st.Size(), MaxSize)+1)
	n, err := io.ReadFull(f, buf)
	switch err {
	case io.EOF, io.ErrUnexpectedEOF:
		return buf[:n], nil
	case nil:
		if n > MaxSize {
			return nil, fmt.Errorf("%s is larger than %d MiB", path, MaxSize>>20)
		}
		return nil, fmt.Errorf("%s grew while it was read", path)
	}
	return nil, fmt.Errorf("reading %s: %w", path, err)
}
