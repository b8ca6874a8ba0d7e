package plan

import (
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStepError pins the one sentence that a failed step becomes.
func TestStepError(t *testing.T) {
	shm := Filesystem{Type: "tmpfs", Params: []string{"size=zork"}, Into: Mount}
	tests := []struct {
		err  StepError
		want string
	}{
		{StepError{Step: For{"mounts[4] /dev/shm", shm}, Call: "fsconfig", Errno: unix.EINVAL, Detail: "tmpfs: Bad value for 'size'"},
			"mounts[4] /dev/shm: new tmpfs size=zork → mount: fsconfig: invalid argument (tmpfs: Bad value for 'size')"},
		{StepError{Step: Pivot{}, Call: "pivot_root", Errno: unix.EINVAL}, "pivot to root: pivot_root: invalid argument"},
		{StepError{Step: Setsid{}, Errno: unix.EPERM}, "start a session: operation not permitted"},
	}
	for _, test := range tests {
		if got := test.err.Error(); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
		if !errors.Is(&test.err, test.err.Errno) {
			t.Errorf("%v hides its errno", &test.err)
		}
	}
}

// TestFault finds the step that a record belongs to.
func TestFault(t *testing.T) {
	known := everySlot
	p := &Phase{Name: "rootfs", Steps: []Step{
		Umask{},
		For{"mounts[0] /tmp", Filesystem{Type: "tmpfs", Params: []string{"size=1"}, Into: Mount}},
		Mknod{At: In("/dev/null"), Mode: unix.S_IFCHR, Major: 1, Minor: 3},
	}}
	program, err := Lower(p, &known)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		index      int
		step       int
		want       string
		hasContext bool
	}{
		{0, 0, "umask 0000: umask: input/output error", false},
		{1, 1, "mounts[0] /tmp: new tmpfs size=1 → mount: fsopen: input/output error", false},
		{2, 1, "mounts[0] /tmp: new tmpfs size=1 → mount: fsconfig: input/output error", true},
		{4, 1, "mounts[0] /tmp: new tmpfs size=1 → mount: fsmount: input/output error", true},
		{12, 2, "make node /dev/null c 1:3: check: input/output error", false},
		{-1, 0, "receive the phase rootfs: input/output error", false},
		{1000, 0, "receive the phase rootfs: input/output error", false},
	}
	for _, test := range tests {
		e, context, ok := program.Fault(test.index, unix.EIO)
		if e.Error() != test.want || e.Index != test.step || e.Phase != "rootfs" {
			t.Errorf("record %d: step %d of %s: %v; want %s", test.index, e.Index, e.Phase, e, test.want)
		}
		if ok != test.hasContext || ok && context != scratchA {
			t.Errorf("record %d: context %s, %v", test.index, context, ok)
		}
	}
}

func TestSlotNames(t *testing.T) {
	names := map[string]Slot{}
	for s := range Slot(Slots) {
		if other, taken := names[s.String()]; taken {
			t.Errorf("slots %d and %d are both called %s", other, s, s)
		}
		names[s.String()] = s
	}
	for name, want := range map[string]Slot{
		"control": Control, "root": Root, "pty": PtyMaster, "tty": PtySlave, "listener": Listener, "mount": Mount,
		"input0": Input(0), "input30": Input(30), "result0": Result(0), "result15": Result(15),
	} {
		if got, ok := names[name]; !ok || got != want {
			t.Errorf("%s is slot %d, want %d", name, got, want)
		}
	}
}

func TestPathString(t *testing.T) {
	for want, p := range map[string]Path{"/a": In("/a"), "/b": Real("/b"), "procfs:sys": {Root: Procfs, Name: "sys"}} {
		if got := p.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestLogText(t *testing.T) {
	for _, test := range []struct{ message, want string }{
		{"e tmpfs: Bad value for 'size'\n", "tmpfs: Bad value for 'size'"},
		{"w odd", "odd"},
		{"", ""},
		{"e", "e"},
		{"no severity", "no severity"},
	} {
		slots := make([]int32, Slots)
		bytes := append([]byte(test.message), make([]byte, 4*logSlots)...)
		for i := range logSlots {
			slots[int(input0)+i] = int32(binary.NativeEndian.Uint32(bytes[4*i:]))
		}
		if got := LogText(slots); got != test.want {
			t.Errorf("%q becomes %q, want %q", test.message, got, test.want)
		}
	}
}

// TestTail finds the step of a record behind the gate.
func TestTail(t *testing.T) {
	p := &Phase{Name: "release", Steps: []Step{
		Umask{}, AwaitStart{}, NoNewPrivs{}, For{"process", Exec{Path: "/bin/true"}},
	}}
	known := everySlot
	program, err := Lower(p, &known)
	if err != nil {
		t.Fatal(err)
	}
	tail := TailOf(p)
	last := len(program.records) - 1
	for _, test := range []struct {
		index int
		step  string
		last  bool
	}{
		{last, "exec /bin/true []", true}, {last - 1, "set no_new_privs", false},
		{last - 2, "wait for start", false}, {0, "wait for start", false}, {last + 1, "wait for start", false},
	} {
		if step, isLast := tail.At(test.index); step != test.step || isLast != test.last {
			t.Errorf("record %d: %q, last %v; want %q, %v", test.index, step, isLast, test.step, test.last)
		}
	}
}
