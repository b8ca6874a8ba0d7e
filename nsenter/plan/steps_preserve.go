package plan

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// firstPreserved is the number of the first descriptor after the standard streams.
const firstPreserved = 3

// PreserveFDs puts descriptors at the numbers from 3 on, where the program expects them, to stay open in it.
type PreserveFDs struct {
	From []Slot // the descriptors, in their order
	Away []Slot // those still in use, which may be in the way
}

// Lower first moves everything above the numbers in question: a descriptor could stand where another one goes.
func (s PreserveFDs) Lower(l *Lowering) {
	end := Imm(firstPreserved + len(s.From))
	for _, slots := range [...][]Slot{s.Away, s.From} {
		for _, slot := range slots {
			l.Call(unix.SYS_FCNTL, Value(slot), Imm(unix.F_DUPFD_CLOEXEC), end).Into(scratchA)
			l.Call(unix.SYS_CLOSE, Value(slot))
			l.Redirect(slot, scratchA)
		}
	}
	for i, slot := range s.From {
		l.Call(unix.SYS_DUP3, Value(slot), Imm(firstPreserved+i), Imm(0))
		l.Call(unix.SYS_CLOSE, Value(slot))
	}
}

func (s PreserveFDs) String() string {
	t := "preserve"
	for i, slot := range s.From {
		t += " " + slot.String() + " as " + strconv.Itoa(firstPreserved+i)
	}
	return t
}
