// Package plan is the language between skep's policy and its player: typed steps, grouped into phases, that
// lower themselves to system call records. Everything here is pure: no cgo, no system calls, no host state.
//
// A step says what it is for (its String is a line of `skep plan`) and how it is done (Lower). Program is the
// lowered phase, checked before it is sent: slots are defined before they are used, skips stay inside the phase,
// an exec is the last step, and no descriptor but the seccomp listener leaves the child once a filter is on.
package plan

import (
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Slot names a numbered result inside the player: a descriptor, a pid, or the raw result of a call. Slots keep
// their values from phase to phase, so that what one phase opened another can use.
type Slot uint8

// Slots is the number of slots that the player has.
const Slots = 64

// The slots with a fixed meaning. Scratch slots belong to the step that runs; inputs are overwritten by each
// phase that brings descriptors; results are read by the conductor after a phase.
const (
	Control   Slot = iota // where answers go: the player's socket, later the verdict fifo
	Root                  // the container's root mount
	Procfs                // a procfs of the container that nothing is mounted over
	Mask                  // the empty, read-only tmpfs that hides directories
	Null                  // a /dev/null proven to be one; hides files
	PtyMaster             // the terminal's master side, on its way to the conductor
	PtySlave              // the terminal's slave side
	Gate                  // the fifo that `start` writes to
	Verdict               // the fifo that tells `start` how execve went
	Listener              // the seccomp notification descriptor
	scratchA
	scratchB
	scratchC
	Mount   // the mount that is being prepared
	Keyring // the serial number of the session keyring, or the errno why there is none
	Covered // the directory that a new tmpfs is to be filled from
	input0
)

const (
	// MaxInputs is the number of descriptors that one phase can bring.
	MaxInputs = 31
	// MaxResults is the number of result slots.
	MaxResults = 16

	result0 = Slots - MaxResults
)

// Input returns the slot in which the i-th descriptor of a phase's Inputs lands.
func Input(i int) Slot { return input0 + Slot(i) }

// Result returns the i-th slot reserved for results that the conductor reads.
func Result(i int) Slot { return result0 + Slot(i) }

var slotNames = [...]string{"control", "root", "procfs", "mask", "null", "pty", "tty", "gate", "verdict", "listener",
	"scratch-a", "scratch-b", "scratch-c", "mount", "keyring", "covered"}

func (s Slot) String() string {
	switch {
	case int(s) < len(slotNames):
		return slotNames[s]
	case s >= result0:
		return "result" + strconv.Itoa(int(s-result0))
	default:
		return "input" + strconv.Itoa(int(s)-int(input0))
	}
}

// A Step is one thing done inside the child.
type Step interface {
	// Lower appends the step's system calls.
	Lower(*Lowering)
	// String is one line for `skep plan` and for errors: the operation with its operands.
	String() string
}

// A Source is a descriptor that the parent opens and hands to the child with a phase. It is opened right before
// the phase is sent and closed right after: hundreds of bind mounts fit under a small RLIMIT_NOFILE.
type Source interface {
	// Open returns a descriptor that its caller closes.
	Open() (fd int, err error)
	String() string
}

// Phase is a list of steps performed in one go. Descriptor i of Inputs lands in slot Input(i).
type Phase struct {
	Name   string
	Inputs []Source
	Steps  []Step
}

// Add appends steps.
func (p *Phase) Add(steps ...Step) { p.Steps = append(p.Steps, steps...) }

// Take adds a descriptor to the phase and returns its slot. Phases with more than MaxInputs fail to lower; see
// Room.
func (p *Phase) Take(s Source) Slot {
	p.Inputs = append(p.Inputs, s)
	return Input(len(p.Inputs) - 1)
}

// Room reports whether n more descriptors fit into the phase.
func (p *Phase) Room(n int) bool { return len(p.Inputs)+n <= MaxInputs }

// String prints the phase as `skep plan` shows it.
func (p *Phase) String() string {
	var b strings.Builder
	b.WriteString("phase " + p.Name + "\n")
	for i, s := range p.Inputs {
		b.WriteString("  open  " + s.String() + " → " + Input(i).String() + "\n")
	}
	for _, s := range p.Steps {
		b.WriteString("  " + s.String() + "\n")
	}
	return b.String()
}

// Path is a name inside the directory that a slot holds. It cannot leave it: absolute names, `..` and symlinks
// all resolve below Root (openat2 with RESOLVE_IN_ROOT).
type Path struct {
	Root   Slot
	Name   string
	Strict bool // no component may be a symlink
	// Instead is made where Name ends in a symlink that leads nowhere: what it leads to, as far as it is known.
	Instead string
	// NoProcfs refuses a place on a procfs, where mounts could redirect what runtimes and security modules write
	// (CVE-2019-16884).
	NoProcfs bool
}

// In returns the path name below the container's root.
func In(name string) Path { return Path{Root: Root, Name: name} }

// Real returns the path name below the container's root, none of whose components may be a symlink: where /proc,
// /sys and /dev go, an image's symlink must not choose (CVE-2019-19921).
func Real(name string) Path { return Path{Root: Root, Name: name, Strict: true} }

// Below returns the path of a name in the directory p, which exists.
func (p Path) Below(name string) Path {
	p.Name, p.Instead = path.Join(p.Name, name), ""
	return p
}

func (p Path) String() string {
	if p.Root == Root {
		return p.Name
	}
	return p.Root.String() + ":" + p.Name
}

// For marks the steps of one item of the configuration, so that an error can begin with its JSON path.
type For struct {
	Item string // JSON path with the object, such as `mounts[4] /dev/shm`
	Step Step
}

// Lower appends the inner step.
func (f For) Lower(l *Lowering) { f.Step.Lower(l) }
func (f For) String() string    { return f.Step.String() }
func unwrap(s Step) (Step, string) {
	if m, ok := s.(moved); ok {
		s = m.Step
	}
	if f, ok := s.(For); ok {
		return f.Step, f.Item
	}
	return s, ""
}

// StepError is the failure of one step.
type StepError struct {
	Phase  string
	Index  int    // of the step in its phase
	Step   Step   // what was to be done
	Call   string // the system call that failed
	Errno  unix.Errno
	Detail string // what the kernel's filesystem context logged, if anything
}

// Item is the JSON path of what the step was for, or empty.
func (e *StepError) Item() string {
	_, item := unwrap(e.Step)
	path, _, _ := strings.Cut(item, " ")
	return path
}

func (e *StepError) Error() string {
	step, item := unwrap(e.Step)
	var b strings.Builder
	if item != "" {
		b.WriteString(item + ": ")
	}
	b.WriteString(step.String() + ": ")
	if e.Call != "" {
		b.WriteString(e.Call + ": ")
	}
	b.WriteString(e.Errno.Error())
	if e.Detail != "" {
		b.WriteString(" (" + e.Detail + ")")
	}
	return b.String()
}

// Unwrap makes errors.Is(err, unix.ENOENT) work.
func (e *StepError) Unwrap() error { return e.Errno }
