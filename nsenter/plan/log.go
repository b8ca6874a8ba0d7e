package plan

import (
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"
)

// logSlots is how many slots serve as the buffer that a filesystem context's message is read into.
const logSlots = Slots - int(input0)

// ReadLog is the phase that reads one message from a filesystem context into the slots from the first input on.
// It fails with ENODATA when there is none.
func ReadLog(context Slot) *Phase {
	return &Phase{Name: "log", Steps: []Step{readLog{context}}}
}

type readLog struct{ context Slot }

func (s readLog) Lower(l *Lowering) {
	for i := range logSlots {
		l.Call(poke, Addr(input0+Slot(i)), Imm(0))
	}
	l.Call(unix.SYS_READ, Value(s.context), Addr(input0), Imm(4*logSlots-1))
}
func (s readLog) String() string { return "read the log of " + s.context.String() }

// LogText returns the message that ReadLog left in the slots, without its severity and newline.
func LogText(slots []int32) string {
	var b []byte
	for _, v := range slots[input0:] {
		b = binary.NativeEndian.AppendUint32(b, uint32(v))
	}
	text, _, _ := strings.Cut(string(b), "\x00")
	text = strings.TrimRight(text, "\n")
	if len(text) > 2 && text[1] == ' ' { // "e tmpfs: Bad value": e, w or i
		text = text[2:]
	}
	return text
}
