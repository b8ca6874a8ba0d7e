package plan

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Joined phases keep their descriptors apart, and a failure names the phase that the step came from.
func TestJoin(t *testing.T) {
	a := &Phase{Name: "a"}
	a.Add(JoinCgroup{Tasks: a.Take(hostFile("one")), Name: "x"})
	b := &Phase{Name: "b"}
	b.Add(For{Item: "mounts[3] /x", Step: Keep{From: b.Take(hostFile("two")), As: Root}}, Probe{Name: "sh", Index: 0})
	joined, rest := Join([]*Phase{a, b})
	if len(rest) != 0 || len(joined.Inputs) != 2 || joined.Inputs[1].String() != hostFile("two").String() {
		t.Fatalf("%v, rest %v", joined, rest)
	}
	known := SlotSet(0)
	program, err := Lower(joined, &known)
	if err != nil {
		t.Fatal(err)
	}
	last := len(program.records) - 3 // Keep is one record, Probe two
	if keep := program.records[last]; keep.nr != poke || Slot(keep.args[1]) != Input(1) {
		t.Errorf("the second phase's descriptor is in %s", Slot(keep.args[1]))
	}
	if Slot(program.records[last+1].store) != Result(0) {
		t.Error("a result slot has moved")
	}
	fault, _, _ := program.Fault(last, unix.EBADF)
	if fault.Phase != "b" || fault.Item() != "mounts[3]" || !strings.HasPrefix(fault.Error(), "mounts[3] /x: keep ") {
		t.Errorf("%s: %v", fault.Phase, fault)
	}
	if !errors.Is(fault, unix.EBADF) {
		t.Error("the errno is lost")
	}
}

// A fork ends its phase, joined or not.
func TestJoinUpToFork(t *testing.T) {
	a, b, c := &Phase{Name: "a"}, &Phase{Name: "b", Steps: []Step{Fork{}}}, &Phase{Name: "c"}
	joined, rest := Join([]*Phase{a, b, c})
	if !joined.Forks() || len(rest) != 1 || rest[0] != c {
		t.Errorf("joined %v, rest %v", joined, rest)
	}
	marked := &Phase{Name: "marked", Steps: []Step{For{Item: "linux.namespaces[0].path", Step: Fork{}}}}
	if a.Forks() || !b.Forks() || !marked.Forks() {
		t.Error("a phase forks by its last step")
	}
}

// What does not fit is left for another message.
func TestJoinOverflow(t *testing.T) {
	full := &Phase{Name: "full"}
	for full.Room(1) {
		full.Take(hostFile("x"))
	}
	one := &Phase{Name: "one"}
	one.Take(hostFile("y"))
	joined, rest := Join([]*Phase{{Name: "none"}, full, one})
	if len(joined.Inputs) != MaxInputs || len(rest) != 1 || rest[0] != one {
		t.Errorf("%d descriptors, rest %v", len(joined.Inputs), rest)
	}
	if alone, rest := Join([]*Phase{full}); alone != full || len(rest) != 0 {
		t.Error("a phase alone is not itself")
	}
}

// What a refused namespace means is said with the errno.
func TestJoinExplained(t *testing.T) {
	pid := JoinNamespace{Namespace: Input(0), Flag: unix.CLONE_NEWPID, Name: "pid", Path: "/p"}
	net := JoinNamespace{Namespace: Input(0), Flag: unix.CLONE_NEWNET, Name: "network", Path: "/n"}
	for _, test := range []struct {
		step  Step
		errno unix.Errno
		want  string
	}{
		{pid, unix.EINVAL, "linux.namespaces[0].path: join the pid namespace /p by input0: setns: invalid argument (it is not below skep's own pid namespace)"},
		{net, unix.EPERM, "linux.namespaces[0].path: join the network namespace /n by input0: setns: operation not permitted (it belongs to a user namespace in which skep has no CAP_SYS_ADMIN)"},
		{net, unix.EINVAL, "linux.namespaces[0].path: join the network namespace /n by input0: setns: invalid argument"},
		{Unshare{unix.CLONE_NEWTIME, "time"}, unix.EINVAL, "linux.namespaces[0].path: new time namespace: unshare: invalid argument (the kernel was built without time namespaces)"},
		{Fork{}, unix.ENOMEM, "linux.namespaces[0].path: go on in a new process: clone: cannot allocate memory (has the first process of the pid namespace ended?)"},
		{Fork{}, unix.EAGAIN, "linux.namespaces[0].path: go on in a new process: clone: resource temporarily unavailable"},
	} {
		known := everySlot
		program, err := Lower(&Phase{Name: "join", Steps: []Step{For{"linux.namespaces[0].path", test.step}}}, &known)
		if err != nil {
			t.Fatal(err)
		}
		if fault, _, _ := program.Fault(0, test.errno); fault.Error() != test.want {
			t.Errorf("got  %s\nwant %s", fault, test.want)
		}
	}
}
