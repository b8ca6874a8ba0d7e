package plan

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"golang.org/x/sys/unix"
)

// Scheduler sets the scheduling policy of the child (process.scheduler, config.md#linux-process).
type Scheduler struct {
	Policy                    uint32 // SCHED_*
	Name                      string // of the policy
	Flags                     uint64 // SCHED_FLAG_*
	Nice, Priority            int32
	Runtime, Deadline, Period uint64 // nanoseconds
}

// Lower is one sched_setattr. The structure includes the utilization clamps of Linux 5.3, without which the kernel
// refuses their flags.
func (s Scheduler) Lower(l *Lowering) {
	e := binary.NativeEndian
	const size = 56
	b := make([]byte, 0, size)
	b = e.AppendUint32(b, size)
	b = e.AppendUint32(b, s.Policy)
	b = e.AppendUint64(b, s.Flags)
	b = e.AppendUint32(b, uint32(s.Nice))
	b = e.AppendUint32(b, uint32(s.Priority))
	for _, t := range [...]uint64{s.Runtime, s.Deadline, s.Period} {
		b = e.AppendUint64(b, t)
	}
	l.Call(unix.SYS_SCHED_SETATTR, Imm(0), l.Bytes(b[:size]), Imm(0))
}

func (s Scheduler) String() string {
	t := "schedule as " + s.Name
	for _, f := range [...]struct {
		name  string
		value int64
	}{
		{"nice", int64(s.Nice)}, {"priority", int64(s.Priority)}, {"runtime", int64(s.Runtime)},
		{"deadline", int64(s.Deadline)}, {"period", int64(s.Period)},
	} {
		if f.value != 0 {
			t += fmt.Sprintf(" %s %d", f.name, f.value)
		}
	}
	if s.Flags != 0 {
		t += fmt.Sprintf(" flags %#x", s.Flags)
	}
	return t
}

// IOPriority sets the I/O priority of the child's process group (process.ioPriority, config.md#linux-process).
type IOPriority struct {
	Class, Priority int
	Name            string // of the class
}

// Lower is one ioprio_set. The child leads its group, and what it forks inherits the priority.
func (s IOPriority) Lower(l *Lowering) {
	const processGroup, classShift = 2, 13
	l.Call(unix.SYS_IOPRIO_SET, Imm(processGroup), Imm(0), Imm(s.Class<<classShift|s.Priority))
}
func (s IOPriority) String() string { return fmt.Sprintf("I/O priority %s %d", s.Name, s.Priority) }

// MemoryPolicy sets from which NUMA nodes the child's memory comes (linux.memoryPolicy,
// config-linux.md#memory-policy).
type MemoryPolicy struct {
	Mode  int      // MPOL_*, with its MPOL_F_* flags
	Nodes []uint64 // bit n of word i is node 64i+n; none for a mode without nodes
	Name  string   // of the mode
}

// Lower is one set_mempolicy. The kernel looks at one bit fewer than it is told.
func (s MemoryPolicy) Lower(l *Lowering) {
	if len(s.Nodes) == 0 {
		l.Call(unix.SYS_SET_MEMPOLICY, Imm(s.Mode), Imm(0), Imm(0))
		return
	}
	b := make([]byte, 0, 8*len(s.Nodes))
	for _, word := range s.Nodes {
		b = binary.NativeEndian.AppendUint64(b, word)
	}
	l.Call(unix.SYS_SET_MEMPOLICY, Imm(s.Mode), l.Bytes(b), Imm(8*len(b)+1))
}

func (s MemoryPolicy) String() string {
	t := "take memory by " + s.Name
	separator := " from nodes "
	for i, word := range s.Nodes {
		for ; word != 0; word &= word - 1 {
			t += fmt.Sprintf("%s%d", separator, 64*i+bits.TrailingZeros64(word))
			separator = ","
		}
	}
	return t
}
