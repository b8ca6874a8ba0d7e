package libcontainer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"skep/libcontainer/process"
	"skep/nsenter/plan"
)

// verdict is how a process that was let go at the gate tells of its execve.
type verdict struct {
	fifo    int // or a pipe; does not block
	pidfd   int
	pid     int
	name    string    // of the process until execve
	release plan.Tail // what it plays
	program string
}

// await waits until execve has happened, or has not: then the process writes an answer. End-of-file means that execve
// closed the fifo, or that the process died in it.
func (v verdict) await(ctx context.Context) error {
	answer := make([]byte, 512)
	fds := []unix.PollFd{{Fd: int32(v.fifo), Events: unix.POLLIN}, {Fd: int32(v.pidfd), Events: unix.POLLIN}}
	for {
		switch n, err := unix.Poll(fds, milliseconds(stallTime)); {
		case err != nil && err != unix.EINTR:
			return os.NewSyscallError("poll", err)
		case err == nil && n == 0:
			if err := awaitInput(ctx, v.fifo, v.pidfd); err != nil {
				return err
			}
			continue
		}
		n, err := unix.Read(v.fifo, answer)
		switch {
		case n >= 8:
			return v.refused(answer)
		case (err == unix.EAGAIN || err == unix.EINTR) && fds[1].Revents == 0:
			continue
		case err == unix.EAGAIN:
			return errDiedInExec
		case err != nil:
			return os.NewSyscallError("read", err)
		}
		// A program that has run and ended leaves its name behind, one that died in execve its former. Where a
		// parent has reaped it already nothing can be told, and a program that ended at once is the likely story.
		if st, err := readStat(v.pid); err == nil && st.exiting && st.comm == v.name {
			return errDiedInExec
		}
		return nil
	}
}

var errDiedInExec = errors.New("the container's process died in execve: killed by its own seccomp filter, for lack of memory, or by somebody's SIGKILL")

// refused explains the answer of the phase that was let go.
func (v verdict) refused(answer []byte) error {
	index := int(binary.NativeEndian.Uint32(answer[0:]))
	errno := unix.Errno(binary.NativeEndian.Uint32(answer[4:]))
	step, last := v.release.At(index)
	if last {
		return process.ExecError(v.program, errno)
	}
	return fmt.Errorf("%s: %w", step, errno)
}
