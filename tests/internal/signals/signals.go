// Package signals gives a test driver the signal dispositions that a runtime
// under test should inherit.
package signals

import (
	"os"
	"os/signal"
	"syscall"
	"unsafe"
)

// Default sees to it that programs started from now on ignore no signal: a
// driver that was started by nohup or a shell's "&" hides signal bugs.
func Default() {
	// Whatever the caller of the tests ignores gets a handler: exec resets it.
	unused := make(chan os.Signal, 1)
	for sig := syscall.Signal(1); sig <= 64; sig++ {
		if signal.Ignored(sig) {
			signal.Notify(unused, sig)
		}
	}
	// glibc's posix_spawn, which make uses, has its children ignore the two that
	// it keeps for itself. Go does not know them, so that the kernel is asked.
	for sig := uintptr(32); sig <= 33; sig++ {
		var byDefault [4]uintptr // struct kernel_sigaction: SIG_DFL
		_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&byDefault)), 0, 8, 0, 0)
	}
}
