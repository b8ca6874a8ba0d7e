package libcontainer

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// designStreams finds out which of the program's standard streams are pipes, sockets or terminals, its own, and which
// are the host's /dev/null.
func (b *blueprint) designStreams(o *options) error {
	for i, f := range o.streams {
		fd := i
		if f != nil {
			fd = int(f.Fd())
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			if f != nil {
				return fmt.Errorf("stream %d of the program: %w", i, &os.PathError{Op: "stat", Path: f.Name(), Err: err})
			}
			continue // this process may have closed its own
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFIFO, unix.S_IFSOCK:
			b.process.OwnStreams[i] = true
		case unix.S_IFCHR:
			_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
			b.process.OwnStreams[i], b.process.NullStreams[i] = err == nil, st.Rdev == unix.Mkdev(1, 3)
		}
	}
	return nil
}
