package plan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// The wire format, shared with player.c: a header, the records, the relocations (offsets into the data of
// pointers to be made absolute), padding to 8 bytes, and the data. All in host order: both ends are one binary.
const (
	headerSize = 16
	recordSize = 72
	outcomes   = 4

	noStore   = 0xff   // the result goes nowhere
	noOutcome = 0x7fff // an unused outcome; no call that names outcomes can return it
	poke      = -1     // pseudo-call: *(int *)a0 = a1
	expect    = -2     // pseudo-call: -a3 unless (*(unsigned *)a0 & a1) == a2
	load      = -3     // pseudo-call: *(unsigned *)a0 & a1
)

// An Arg is one argument of a record.
type Arg struct {
	kind  uint16
	value uint64
}

const (
	immediate uint16 = iota // the value itself
	data                    // an offset into the phase's data
	slotValue               // what the slot holds
	slotAddr                // where the slot is
)

// Imm passes a number. Negative ones are sign-extended, as AT_FDCWD has to be.
func Imm(v int) Arg { return Arg{immediate, uint64(v)} }

// Flags passes an unsigned number.
func Flags(v uint64) Arg { return Arg{immediate, v} }

// Value passes what a slot holds.
func Value(s Slot) Arg { return Arg{slotValue, uint64(s)} }

// Addr passes the address of a slot, for calls that fill in descriptors.
func Addr(s Slot) Arg { return Arg{slotAddr, uint64(s)} }

func offset(o int) Arg { return Arg{data, uint64(o)} }

type outcome struct {
	result int16
	skip   uint16
}

type record struct {
	nr    int32
	kinds uint16 // two bits for each argument
	store uint8
	any   bool // every errno is a result, none a failure
	on    [outcomes]outcome
	args  [6]uint64
	step  int
}

// kind returns what argument i is.
func (r *record) kind(i int) uint16 { return r.kinds >> (2 * i) & 3 }

// Lowering collects the records of one phase.
type Lowering struct {
	records []record
	relocs  []uint32
	data    []byte
	hows    []how
	step    int
	err     error

	buffer, bufferSize int
}

// A call is a record under construction; it is completed by its methods.
type call struct {
	l     *Lowering
	index int
}

// Call appends a system call.
func (l *Lowering) Call(nr int, args ...Arg) call {
	r := record{nr: int32(nr), store: noStore, step: l.step}
	for i, a := range args {
		r.kinds |= a.kind << (2 * i)
		r.args[i] = a.value
	}
	for i := range r.on {
		r.on[i].result = noOutcome
	}
	l.records = append(l.records, r)
	return call{l, len(l.records) - 1}
}

// Into stores the result in a slot, failures that are tolerated included.
func (c call) Into(s Slot) call {
	c.l.records[c.index].store = uint8(s)
	return c
}

// Tolerate makes errnos count as success.
func (c call) Tolerate(errnos ...unix.Errno) call {
	for _, e := range errnos {
		c.on(-int(e), 0)
	}
	return c
}

// Anyway makes every errno count as success; the conductor reads the result from the slot.
func (c call) Anyway() call {
	c.l.records[c.index].any = true
	return c
}

// SkipHere continues here, right after the records appended so far, when the call ends with one of these
// results: 0 for success, or an errno.
func (c call) SkipHere(results ...unix.Errno) call {
	for _, e := range results {
		c.on(-int(e), len(c.l.records)-c.index-1)
	}
	return c
}

func (c call) on(result, skip int) {
	r := &c.l.records[c.index]
	for i := range r.on {
		if r.on[i].result == noOutcome {
			r.on[i] = outcome{int16(result), uint16(skip)}
			return
		}
	}
	c.l.fail(fmt.Errorf("more than %d outcomes named", outcomes))
}

// Poke copies a slot's value into the phase's data, as an int at the given offset.
func (l *Lowering) Poke(at int, s Slot) { l.Call(poke, offset(at), Value(s)) }

// Redirect makes one slot hold another slot's value.
func (l *Lowering) Redirect(to, from Slot) { l.Call(poke, Addr(to), Value(from)) }

// Bytes puts b into the phase's data, aligned to 8, and passes its address.
func (l *Lowering) Bytes(b []byte) Arg { return offset(l.put(b)) }

func (l *Lowering) put(b []byte) int {
	for len(l.data)%8 != 0 {
		l.data = append(l.data, 0)
	}
	at := len(l.data)
	l.data = append(l.data, b...)
	return at
}

// String puts a NUL-terminated string into the data and passes its address.
func (l *Lowering) String(s string) Arg {
	if strings.IndexByte(s, 0) >= 0 {
		l.fail(errors.New("NUL byte in a string"))
	}
	at := len(l.data)
	l.data = append(append(l.data, s...), 0)
	return offset(at)
}

// Strings passes a NULL-terminated vector of strings, as execve takes it.
func (l *Lowering) Strings(ss []string) Arg {
	v := l.put(make([]byte, 8*(len(ss)+1)))
	for i, s := range ss {
		l.pointer(v+8*i, int(l.String(s).value))
	}
	return offset(v)
}

// pointer makes the 8 bytes at offset at point to offset to.
func (l *Lowering) pointer(at, to int) {
	binary.NativeEndian.PutUint64(l.data[at:], uint64(to))
	l.relocs = append(l.relocs, uint32(at))
}

func (l *Lowering) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

type how struct {
	flags, resolve uint64
	at             int
}

// how passes a struct open_how; a phase has few different ones.
func (l *Lowering) how(flags, resolve uint64) Arg {
	for _, h := range l.hows {
		if h.flags == flags && h.resolve == resolve {
			return offset(h.at)
		}
	}
	var b [24]byte
	binary.NativeEndian.PutUint64(b[0:], flags)
	binary.NativeEndian.PutUint64(b[16:], resolve)
	h := how{flags, resolve, l.put(b[:])}
	l.hows = append(l.hows, h)
	return offset(h.at)
}

// Program is a lowered and checked phase.
type Program struct {
	phase   *Phase
	records []record
	relocs  []uint32
	data    []byte
}

// Lower turns the phase into a program and checks it. known holds the slots that earlier phases defined; the
// phase's own are added to it.
func Lower(p *Phase, known *SlotSet) (*Program, error) {
	l := &Lowering{records: make([]record, 0, 10*len(p.Steps)), data: make([]byte, 0, 4096)}
	for i, s := range p.Steps {
		l.step = i
		s.Lower(l)
		if l.err != nil {
			return nil, fmt.Errorf("phase %s: %s: %w", p.Name, s, l.err)
		}
	}
	if err := check(p, l, known); err != nil {
		return nil, fmt.Errorf("phase %s: %w", p.Name, err)
	}
	return &Program{p, l.records, l.relocs, l.data}, nil
}

// Size is the length of the encoded program in bytes.
func (g *Program) Size() int {
	return headerSize + len(g.records)*recordSize + (len(g.relocs)+1)&^1*4 + len(g.data)
}

// Encode returns the header, and the whole program that starts with it. inMemfd says that the program will be
// read from a memfd that follows as the last descriptor.
func (g *Program) Encode(inMemfd bool) []byte {
	e := binary.NativeEndian
	b := make([]byte, 0, g.Size())
	b = e.AppendUint32(b, uint32(len(g.records)))
	b = e.AppendUint32(b, uint32(len(g.relocs)))
	b = e.AppendUint32(b, uint32(g.Size()))
	b = append(b, uint8(input0), 0, 0, 0)
	if inMemfd {
		b[13] = 1
	}
	for i := range g.records {
		b = g.records[i].encode(b)
	}
	for _, r := range g.relocs {
		b = e.AppendUint32(b, r)
	}
	if len(g.relocs)%2 != 0 {
		b = e.AppendUint32(b, 0)
	}
	return append(b, g.data...)
}

func (r *record) encode(b []byte) []byte {
	e := binary.NativeEndian
	var any uint8
	if r.any {
		any = 1
	}
	b = e.AppendUint32(b, uint32(r.nr))
	b = e.AppendUint16(b, r.kinds)
	b = append(b, r.store, any)
	for _, o := range r.on {
		b = e.AppendUint16(b, uint16(o.result))
		b = e.AppendUint16(b, o.skip)
	}
	for _, a := range r.args {
		b = e.AppendUint64(b, a)
	}
	return b
}

// HeaderSize is the length of the header with which an encoded program starts.
const HeaderSize = headerSize

// Fault describes the failure of record index, and returns the slot of the filesystem context that may know
// more about it, if there is one. An index of -1 says that the player could not receive the phase.
func (g *Program) Fault(index int, errno unix.Errno) (*StepError, Slot, bool) {
	if index < 0 || index >= len(g.records) {
		return &StepError{Phase: g.phase.Name, Step: note("receive the phase " + g.phase.Name), Errno: errno}, 0, false
	}
	r := &g.records[index]
	e := &StepError{Phase: g.phase.Name, Index: r.step, Step: g.phase.Steps[r.step], Call: callName(r.nr), Errno: errno}
	if m, ok := e.Step.(moved); ok {
		e.Step, e.Phase = m.Step, m.Phase
	}
	step, _ := unwrap(e.Step)
	if x, ok := step.(explainer); ok {
		e.Detail = x.explain(e.Call, errno)
	}
	context := r.nr == unix.SYS_FSCONFIG || r.nr == unix.SYS_FSMOUNT
	return e, Slot(r.args[0]), context && r.kind(0) == slotValue
}

// An explainer is a step that knows what an errno means for it, where the errno alone would not say.
type explainer interface {
	explain(call string, errno unix.Errno) string
}

type note string

func (n note) Lower(*Lowering) {}
func (n note) String() string  { return string(n) }
