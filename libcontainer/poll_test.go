package libcontainer

import (
	"math"
	"testing"
	"time"
)

// poll(2) takes an int: a time beyond 24 days must become neither a short one nor, below 0, one without an end.
func TestMilliseconds(t *testing.T) {
	for d, want := range map[time.Duration]int{
		-time.Hour: 0, 0: 0, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, time.Hour: 3600_000,
		600 * time.Hour: math.MaxInt32, 1200 * time.Hour: math.MaxInt32, math.MaxInt64: math.MaxInt32,
	} {
		if got := milliseconds(d); got != want {
			t.Errorf("%s: %d, want %d", d, got, want)
		}
	}
}
