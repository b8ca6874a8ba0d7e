package cli

/*
#include "timerslack.h"
*/
import "C"

// callersTimerSlack is the timer slack, in nanoseconds, that skep was started with and the container is to have.
func callersTimerSlack() uint64 { return uint64(C.timer_slack_of_caller()) }
