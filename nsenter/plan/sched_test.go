package plan

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSchedAttr reads the structure as the kernel does.
func TestSchedAttr(t *testing.T) {
	s := Scheduler{Policy: 6, Flags: 1 << 40, Nice: -3, Priority: 9, Runtime: 1 << 33, Deadline: 1 << 34, Period: 1 << 35}
	known := everySlot
	program, err := Lower(&Phase{Steps: []Step{s}}, &known)
	if err != nil {
		t.Fatal(err)
	}
	var got unix.SchedAttr
	if n, err := binary.Decode(decode(t, program.Encode(false)).data, binary.NativeEndian, &got); err != nil || n != unix.SizeofSchedAttr {
		t.Fatalf("%d bytes, %v", n, err)
	}
	want := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: 6, Flags: 1 << 40, Nice: -3, Priority: 9,
		Runtime: 1 << 33, Deadline: 1 << 34, Period: 1 << 35}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
