package libcontainer

import (
	"os"

	"golang.org/x/sys/unix"
)

// pipe holds both ends of a pipe; -1 is one that has been closed.
type pipe struct{ read, write int }

func newPipe() (*pipe, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	return &pipe{fds[0], fds[1]}, nil
}

func (p *pipe) closeRead()  { closeEnd(&p.read) }
func (p *pipe) closeWrite() { closeEnd(&p.write) }
func (p *pipe) close()      { p.closeRead(); p.closeWrite() }

func closeEnd(fd *int) {
	if *fd >= 0 {
		unix.Close(*fd)
		*fd = -1
	}
}
