package libcontainer

import (
	"context"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"skep/nsenter"
)

// milliseconds is a time as poll(2) takes it, an int in C: rounded up, so that what is waited for is due afterwards,
// and a long time as the longest that there is. Who waits looks at the clock again.
func milliseconds(d time.Duration) int {
	if d <= 0 {
		return 0
	}
	return int(min((d-1)/time.Millisecond+1, math.MaxInt32))
}

// stallTime is how long nobody asks whether a context has ended: most are never asked, which saves the thread that
// asking takes where signals end them.
const stallTime = nsenter.StallTime

// deletePatience is how long a delete waits for what should take no time: the end of what has been killed, or of a hook.
const deletePatience = 10 * time.Second

// awaitInput waits until a descriptor can be read, or hangs up, or ctx has ended, which is an error.
func awaitInput(ctx context.Context, fds ...int) error {
	end, done, err := endOf(ctx)
	if err != nil {
		return err
	}
	defer done()
	polled := []unix.PollFd{{Fd: int32(end), Events: unix.POLLIN}}
	for _, fd := range fds {
		polled = append(polled, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	for err = unix.EINTR; err == unix.EINTR; {
		_, err = unix.Poll(polled, -1)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return os.NewSyscallError("poll", err)
}

// endOf returns a descriptor that can be read once ctx has ended, -1 where it never does.
func endOf(ctx context.Context) (fd int, done func(), err error) {
	if ctx.Done() == nil {
		return -1, func() {}, nil
	}
	fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return -1, nil, os.NewSyscallError("eventfd", err)
	}
	written := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(written)
		_, _ = unix.Write(fd, []byte{0, 0, 0, 0, 0, 0, 0, 1}) // any number but 0, in either byte order
	})
	return fd, func() {
		if !stop() {
			<-written // into this descriptor, and no later one of its number
		}
		unix.Close(fd)
	}, nil
}
