package cli

import (
	"fmt"
	"math"
	"os"
	"strconv"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"skep/libcontainer"
)

// takeDescriptors counts the descriptors from 3 on that the caller has handed over, and keeps all of them from the
// programs that this process starts: what the caller leaked is not to be found in a container, not even in its
// waiting init (CVE-2024-21626). Go's own descriptors, which may be there already, are marked close-on-exec; the
// caller's cannot be, they have come through an exec.
func takeDescriptors() int {
	n := 0
	for {
		flags, err := unix.FcntlInt(uintptr(3+n), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			break
		}
		n++
	}
	// The error is that of a kernel below 5.11, which cannot run containers here anyway.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	return n
}

// preserveOptions are for the descriptors that the container's program is to have: first those of socket activation
// (sd_listen_fds(3)), then --preserve-fds more.
func (a *app) preserveOptions(c *cli.Context) ([]libcontainer.Option, error) {
	listen, err := listenFDs()
	if err != nil {
		return nil, err
	}
	preserve := c.Int("preserve-fds")
	if preserve < 0 {
		return nil, fmt.Errorf("--preserve-fds %d: want a number of descriptors", preserve)
	}
	if listen+preserve > a.descriptors {
		return nil, fmt.Errorf("preserve %d descriptors: descriptor %d is not open", listen+preserve, 3+a.descriptors)
	}
	return []libcontainer.Option{
		libcontainer.ListenFDs(listen, os.Getenv("LISTEN_FDNAMES")), libcontainer.PreserveFDs(preserve),
	}, nil
}

// listenFDs is how many descriptors were passed to this very process.
func listenFDs() (int, error) {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return 0, nil
	}
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n < 0 {
		return 0, fmt.Errorf("LISTEN_FDS=%s: want a number of descriptors", os.Getenv("LISTEN_FDS"))
	}
	return n, nil
}
