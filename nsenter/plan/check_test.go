package plan

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// records is a step made of what its function appends.
type records func(*Lowering)

func (r records) Lower(l *Lowering) { r(l) }
func (records) String() string      { return "records" }

func use(slots ...Slot) records {
	return func(l *Lowering) {
		for _, s := range slots {
			l.Call(unix.SYS_CLOSE, Value(s))
		}
	}
}

func store(s Slot) records {
	return func(l *Lowering) { l.Call(unix.SYS_SETSID).Into(s) }
}

// TestCheck holds what can be proven about a phase before it is sent.
func TestCheck(t *testing.T) {
	exec := Exec{Path: "/bin/true", Args: []string{"true"}}
	tests := []struct {
		name   string
		inputs int
		steps  []Step
		want   string // in the error; empty: the phase is sound
	}{
		{"nothing", 0, nil, ""},
		{"control socket is always there", 0, []Step{use(Control)}, ""},
		{"undefined slot", 0, []Step{use(Root)}, "slot root is used before it is defined"},
		{"undefined slot in a marked step", 0, []Step{For{"mounts[0] /x", use(Mount)}}, "slot mount is used before it is defined"},
		{"defined too late", 0, []Step{use(Mask), store(Mask)}, "slot mask is used before it is defined"},
		{"defined by a result", 0, []Step{store(Mask), use(Mask)}, ""},
		{"defined by a call that fills it", 0, []Step{AwaitStart{}}, "slot verdict is used before it is defined"},
		{"defined by its address", 0, []Step{records(func(l *Lowering) { l.Call(unix.SYS_PIPE2, Addr(Mask), Imm(0)) }), use(Mask)}, ""},
		{"inputs", 2, []Step{use(Input(0), Input(1))}, ""},
		{"input that did not come", 2, []Step{use(Input(2))}, "slot input2 is used before it is defined"},
		{"kept input", 1, []Step{Keep{From: Input(0), As: Gate}, use(Gate)}, ""},
		{"all inputs", MaxInputs, nil, ""},
		{"too many inputs", MaxInputs + 1, nil, "32 descriptors, 31 fit into one phase"},
		{"exec at the end", 0, []Step{Umask{}, exec}, ""},
		{"step after exec", 0, []Step{exec, Umask{}}, "a step follows exec"},
		{"step after marked exec", 0, []Step{For{"process", exec}, Umask{}}, "a step follows exec"},
		{"fork at the end", 0, []Step{Umask{}, Fork{}}, ""},
		{"step after fork", 0, []Step{Fork{}, Umask{}}, "a step follows the fork"},
		{"export before seccomp", 0, []Step{Export{Control}, Seccomp{Filter: make([]byte, 8)}}, ""},
		{"export after seccomp", 0, []Step{Seccomp{Filter: make([]byte, 8)}, Export{Control}}, "after the seccomp filter"},
		{"NUL in a string", 0, []Step{Hostname{"a\x00b"}}, "NUL byte in a string"},
		{"NUL in an argument", 0, []Step{Exec{Path: "/a", Args: []string{"a", "b\x00"}}}, "NUL byte in a string"},
		{"too many outcomes", 0, []Step{records(func(l *Lowering) {
			l.Call(unix.SYS_SETSID).Tolerate(unix.EPERM, unix.EINVAL, unix.ENOENT, unix.EBADF, unix.EIO)
		})}, "more than 4 outcomes"},
		{"result beyond the slots", 0, []Step{Probe{Name: "/bin/sh", Index: MaxResults - 1}}, "there is no slot 64"},
		{"result in the last slots", 0, []Step{Probe{Name: "/bin/sh", Index: MaxResults - 2}}, ""},
		{"address beyond the slots", 0, []Step{records(func(l *Lowering) { l.Call(unix.SYS_PIPE2, Addr(Slots)) })}, "there is no slot 64"},
		{"use beyond the slots", 0, []Step{use(Slots)}, "is used before it is defined"},
		{"skip to the end", 0, []Step{records(func(l *Lowering) {
			c := l.Call(unix.SYS_SETSID)
			l.Call(unix.SYS_SETSID)
			c.SkipHere(0)
		})}, ""},
		{"skip out of the phase", 0, []Step{records(func(l *Lowering) { l.Call(unix.SYS_SETSID).on(0, 1) })}, "skips out of the phase"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := &Phase{Name: "test", Steps: test.steps}
			for range test.inputs {
				p.Take(hostFile("/dev/null"))
			}
			known := SlotSet(0)
			_, err := Lower(p, &known)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want …%s…", err, test.want)
			case err != nil && !strings.HasPrefix(err.Error(), "phase test: "):
				t.Errorf("%q does not name its phase", err)
			}
		})
	}
}

// TestKnownSlots follows slots from phase to phase.
func TestKnownSlots(t *testing.T) {
	known := SlotSet(0)
	first := &Phase{Name: "first", Steps: []Step{store(Root)}}
	first.Take(hostFile("/dev/null"))
	if _, err := Lower(first, &known); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		slot Slot
		has  bool
	}{{Control, true}, {Root, true}, {Input(0), true}, {Input(1), false}, {Mask, false}} {
		if known.Has(test.slot) != test.has {
			t.Errorf("after the first phase %s is known: %v", test.slot, !test.has)
		}
	}
	if _, err := Lower(&Phase{Name: "second", Steps: []Step{use(Root)}}, &known); err != nil {
		t.Error(err)
	}
}

func TestRoom(t *testing.T) {
	p := &Phase{}
	for i := range MaxInputs {
		if !p.Room(1) {
			t.Fatalf("no room for descriptor %d", i)
		}
		if got := p.Take(hostFile("/dev/null")); got != Input(i) {
			t.Errorf("descriptor %d lands in %s", i, got)
		}
	}
	if p.Room(1) || !p.Room(0) {
		t.Error("a full phase has room")
	}
}

// TestSlotsApart makes sure that a memfd that follows the last input overwrites no result.
func TestSlotsApart(t *testing.T) {
	if last := Input(MaxInputs); last >= Result(0) || Result(MaxResults-1) != Slots-1 {
		t.Errorf("inputs end with %d, results are %d to %d of %d", last, Result(0), Result(MaxResults-1), Slots)
	}
}

// TestRelocations reads pointers back as the player makes them absolute. Their number is odd in one case: padding
// keeps the data aligned.
func TestRelocations(t *testing.T) {
	for _, test := range []struct {
		env    []string
		relocs int
	}{{[]string{"K=V"}, 6}, {[]string{"K=V", "L=W"}, 7}} {
		known := everySlot
		exec := Exec{Path: "/p", Args: []string{"a0", ""}, Env: test.env}
		program, err := Lower(&Phase{Name: "exec", Steps: []Step{Export{PtyMaster}, exec}}, &known)
		if err != nil {
			t.Fatal(err)
		}
		d := decode(t, program.Encode(true))
		if d.inMemfd != 1 || Slot(d.input) != Input(0) {
			t.Errorf("the header says memfd %d, first input %d", d.inMemfd, d.input)
		}
		if len(d.relocs) != test.relocs {
			t.Errorf("%d relocations, want %d", len(d.relocs), test.relocs)
		}
		last := &d.records[len(d.records)-1]
		got := []string{d.arg(last, 0, 's'), d.arg(last, 1, 'v'), d.arg(last, 2, 'v')}
		want := []string{`"/p"`, `["a0" ""]`, `["` + strings.Join(test.env, `" "`) + `"]`}
		if !slices.Equal(got, want) {
			t.Errorf("execve(%s), want %s", got, want)
		}
		for _, at := range d.relocs {
			if at%8 != 0 || d.word(uint64(at)) >= uint64(len(d.data)) {
				t.Errorf("relocation at %d to %d of %d", at, d.word(uint64(at)), len(d.data))
			}
		}
	}
}
