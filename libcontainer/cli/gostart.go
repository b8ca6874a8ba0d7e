package cli

/*
#include "gostart.h"
*/
import "C"

import "runtime"

// callersTimerSlack is the timer slack, in nanoseconds, that skep was started with and the container is to have.
func callersTimerSlack() uint64 { return uint64(C.timer_slack_of_caller()) }

// returnToCallersCPUs lets this thread, and whom it starts, run where skep's caller may; the constructor has kept Go's
// start to one CPU. It has to be the thread on which everything happens.
func returnToCallersCPUs() {
	runtime.LockOSThread()
	C.return_to_callers_cpus()
}
