package spec

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The C libraries keep the first real-time signals to themselves; users count
// from the libraries' SIGRTMIN, not from the kernel's 32.
const (
	sigRTMin = 34
	sigRTMax = 64
)

// Signals lists the standard signals without their SIG prefix. Aliases follow
// the name that is printed. The numbers are those of amd64 and arm64.
var Signals = Table[string, unix.Signal]{
	{"HUP", unix.SIGHUP},
	{"INT", unix.SIGINT},
	{"QUIT", unix.SIGQUIT},
	{"ILL", unix.SIGILL},
	{"TRAP", unix.SIGTRAP},
	{"ABRT", unix.SIGABRT},
	{"IOT", unix.SIGIOT},
	{"BUS", unix.SIGBUS},
	{"FPE", unix.SIGFPE},
	{"KILL", unix.SIGKILL},
	{"USR1", unix.SIGUSR1},
	{"SEGV", unix.SIGSEGV},
	{"USR2", unix.SIGUSR2},
	{"PIPE", unix.SIGPIPE},
	{"ALRM", unix.SIGALRM},
	{"TERM", unix.SIGTERM},
	{"STKFLT", unix.SIGSTKFLT},
	{"CHLD", unix.SIGCHLD},
	{"CLD", unix.SIGCLD},
	{"CONT", unix.SIGCONT},
	{"STOP", unix.SIGSTOP},
	{"TSTP", unix.SIGTSTP},
	{"TTIN", unix.SIGTTIN},
	{"TTOU", unix.SIGTTOU},
	{"URG", unix.SIGURG},
	{"XCPU", unix.SIGXCPU},
	{"XFSZ", unix.SIGXFSZ},
	{"VTALRM", unix.SIGVTALRM},
	{"PROF", unix.SIGPROF},
	{"WINCH", unix.SIGWINCH},
	{"IO", unix.SIGIO},
	{"POLL", unix.SIGPOLL},
	{"PWR", unix.SIGPWR},
	{"SYS", unix.SIGSYS},
}

// ParseSignal reads a signal as people write it: a number from 0 to 64, a name
// with or without SIG in any case, RTMIN, RTMIN+n, RTMAX or RTMAX-n.
// Number 0 only asks the kernel whether the process exists.
func ParseSignal(s string) (unix.Signal, error) {
	if n, err := strconv.ParseUint(s, 10, 8); err == nil && n <= sigRTMax {
		return unix.Signal(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if sig, ok := Signals.Lookup(name); ok {
		return sig, nil
	}
	if sig, ok := parseRealTime(name); ok {
		return sig, nil
	}
	return 0, fmt.Errorf("unknown signal %q", s)
}

// parseRealTime reads RTMIN, RTMIN+n, RTMAX and RTMAX-n.
func parseRealTime(name string) (unix.Signal, bool) {
	base, sign := sigRTMin, byte('+')
	offset, ok := strings.CutPrefix(name, "RTMIN")
	if !ok {
		base, sign = sigRTMax, '-'
		if offset, ok = strings.CutPrefix(name, "RTMAX"); !ok {
			return 0, false
		}
	}
	if offset == "" {
		return unix.Signal(base), true
	}
	n, err := strconv.ParseUint(offset[1:], 10, 8)
	if err != nil || offset[0] != sign || n > sigRTMax-sigRTMin {
		return 0, false
	}
	if sign == '-' {
		return unix.Signal(base - int(n)), true
	}
	return unix.Signal(base + int(n)), true
}
