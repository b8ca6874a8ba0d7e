package cli

/*
#include "signals.h"
*/
import "C"

import (
	"os"

	"golang.org/x/sys/unix"
)

// takeSignals returns the reading end of a pipe that receives the number of every signal that a foreground command
// passes on or, SIGCHLD, needs itself, as one byte. os/signal would do the same, but enabling a signal there takes two
// switches to a thread of its own: 4 ms for all of them, which is more than the container costs.
func takeSignals() (int, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return -1, os.NewSyscallError("pipe2", err)
	}
	// A full pipe must not block the handler: so many signals at once merge, as the kernel merges them.
	if err := unix.SetNonblock(p[1], true); err != nil {
		return -1, os.NewSyscallError("fcntl", err)
	}
	numbers := caughtSignals()
	C.take_signals(C.int(p[1]), (*C.uchar)(&numbers[0]), C.int(len(numbers)))
	return p[0], nil
}

// caughtSignals are all but those that cannot be caught, that mean skep itself (SIGPIPE), that faults of its own
// raise, and that its runtime uses (SIGURG, SIGPROF, and what libc reserves below SIGRTMIN).
func caughtSignals() []byte {
	const first, last, firstRealtime = 1, 64, 35
	numbers := make([]byte, 0, last)
	for n := first; n <= last; n++ {
		switch unix.Signal(n) {
		case unix.SIGKILL, unix.SIGSTOP, unix.SIGPIPE, unix.SIGURG, unix.SIGPROF,
			unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP, unix.SIGSYS:
			continue
		}
		if n < firstRealtime && n > int(unix.SIGSYS) {
			continue
		}
		numbers = append(numbers, byte(n))
	}
	return numbers
}

// leaveSignals gives signals their default meaning back.
func leaveSignals(signals ...unix.Signal) {
	for _, sig := range signals {
		C.leave_signal(C.int(sig))
	}
}
