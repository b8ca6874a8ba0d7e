package seccomp

import (
	"encoding/binary"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	// insnSize is the size of struct sock_filter in bytes.
	insnSize = 8
	// maxInsns is the kernel's BPF_MAXINSNS: seccomp(2) refuses longer programs.
	maxInsns = 4096

	// Offsets in struct seccomp_data, which is what programs look at.
	offsetNr   = 0
	offsetArch = 4
	offsetArgs = 16
	dataSize   = offsetArgs + 8*maxArgs
)

// Instructions that both the evaluator and enosysPrologue know by name.
const (
	opLoad             = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	opJumpEqual        = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	opJumpGreater      = unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K
	opJumpGreaterEqual = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	opReturn           = unix.BPF_RET | unix.BPF_K
)

// An insn is a struct sock_filter.
type insn struct {
	code   uint16
	jt, jf uint8
	k      uint32
}

func decode(b []byte) insn {
	return insn{
		code: binary.NativeEndian.Uint16(b),
		jt:   b[2],
		jf:   b[3],
		k:    binary.NativeEndian.Uint32(b[4:]),
	}
}

func encode(prog []insn) []byte {
	b := make([]byte, 0, insnSize*len(prog))
	for _, in := range prog {
		b = binary.NativeEndian.AppendUint16(b, in.code)
		b = append(b, in.jt, in.jf)
		b = binary.NativeEndian.AppendUint32(b, in.k)
	}
	return b
}

// returns tells whether an instruction of the program returns the given
// SECCOMP_RET_* action.
func (f *Filter) returns(action uint32) bool {
	for i := 0; i+insnSize <= len(f.BPF); i += insnSize {
		if in := decode(f.BPF[i:]); in.code == opReturn && in.k&unix.SECCOMP_RET_ACTION_FULL == action {
			return true
		}
	}
	return false
}

// Verdict runs the program for one system call, as the kernel would, and
// returns its SECCOMP_RET_* value: an action in the upper half, and its data,
// such as an errno, in the lower one. arch is an AUDIT_ARCH_*, for calls of the
// host's own architecture NativeArch(). The instruction pointer is taken as 0;
// libseccomp does not look at it.
//
// A program that the kernel would not load answers SECCOMP_RET_KILL_PROCESS.
func (f *Filter) Verdict(arch uint32, nr int, args [6]uint64) uint32 {
	var data [dataSize]byte
	binary.NativeEndian.PutUint32(data[offsetNr:], uint32(nr))
	binary.NativeEndian.PutUint32(data[offsetArch:], arch)
	for i, arg := range args {
		binary.NativeEndian.PutUint64(data[offsetArgs+8*i:], arg)
	}
	m := machine{data: &data}
	// Jumps only lead forward, so that this ends.
	for pc := 0; insnSize*(pc+1) <= len(f.BPF); pc++ {
		in := decode(f.BPF[insnSize*pc:])
		switch in.code & 0x07 {
		case unix.BPF_RET:
			return m.ret(in)
		case unix.BPF_JMP:
			skip, ok := m.jump(in)
			if !ok {
				return unix.SECCOMP_RET_KILL_PROCESS
			}
			pc += skip
		default:
			if !m.step(in) {
				return unix.SECCOMP_RET_KILL_PROCESS
			}
		}
	}
	return unix.SECCOMP_RET_KILL_PROCESS
}

// A machine holds the registers of a classic BPF program.
type machine struct {
	a, x uint32
	mem  [16]uint32
	data *[dataSize]byte
}

func (m *machine) ret(in insn) uint32 {
	if in.code == unix.BPF_RET|unix.BPF_A {
		return m.a
	}
	return in.k
}

// jump returns how many instructions to skip, and whether there is such a jump.
func (m *machine) jump(in insn) (skip int, ok bool) {
	operand := in.k
	if in.code&unix.BPF_X != 0 {
		operand = m.x
	}
	var taken bool
	switch in.code & 0xf0 {
	case unix.BPF_JA:
		return int(min(in.k, maxInsns)), true
	case unix.BPF_JEQ:
		taken = m.a == operand
	case unix.BPF_JGT:
		taken = m.a > operand
	case unix.BPF_JGE:
		taken = m.a >= operand
	case unix.BPF_JSET:
		taken = m.a&operand != 0
	default:
		return 0, false
	}
	if taken {
		return int(in.jt), true
	}
	return int(in.jf), true
}

// step performs an instruction of the subset that libseccomp emits, and tells
// whether it belongs to it.
func (m *machine) step(in insn) bool {
	switch in.code {
	case opLoad:
		if in.k%4 != 0 || in.k >= dataSize {
			return false
		}
		m.a = binary.NativeEndian.Uint32(m.data[in.k:])
	case unix.BPF_LD | unix.BPF_IMM:
		m.a = in.k
	case unix.BPF_LDX | unix.BPF_IMM:
		m.x = in.k
	case unix.BPF_LD | unix.BPF_MEM, unix.BPF_LDX | unix.BPF_MEM, unix.BPF_ST, unix.BPF_STX:
		return m.memory(in)
	case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
		m.a &= in.k
	case unix.BPF_ALU | unix.BPF_AND | unix.BPF_X:
		m.a &= m.x
	case unix.BPF_MISC | unix.BPF_TAX:
		m.x = m.a
	case unix.BPF_MISC | unix.BPF_TXA:
		m.a = m.x
	default:
		return false
	}
	return true
}

// memory performs an instruction on the scratch memory.
func (m *machine) memory(in insn) bool {
	if in.k >= uint32(len(m.mem)) {
		return false
	}
	switch in.code {
	case unix.BPF_LD | unix.BPF_MEM:
		m.a = m.mem[in.k]
	case unix.BPF_LDX | unix.BPF_MEM:
		m.x = m.mem[in.k]
	case unix.BPF_ST:
		m.mem[in.k] = m.a
	case unix.BPF_STX:
		m.mem[in.k] = m.x
	}
	return true
}

// Action says in words what the kernel does with a call that got the given
// verdict: "fails the call with EPERM". It fits behind "the filter".
func Action(v uint32) string {
	switch v & unix.SECCOMP_RET_ACTION_FULL {
	case unix.SECCOMP_RET_ALLOW:
		return "allows the call"
	case unix.SECCOMP_RET_LOG:
		return "allows and logs the call"
	case unix.SECCOMP_RET_ERRNO:
		return "fails the call with " + errnoName(v&unix.SECCOMP_RET_DATA)
	case unix.SECCOMP_RET_TRACE:
		return "leaves the call to a tracer"
	case unix.SECCOMP_RET_USER_NOTIF:
		return "leaves the call to the seccomp agent"
	case unix.SECCOMP_RET_TRAP:
		return "sends SIGSYS to the thread"
	case unix.SECCOMP_RET_KILL_THREAD:
		return "kills the thread"
	}
	// The kernel takes actions that it does not know for this one as well.
	return "kills the process"
}

func errnoName(errno uint32) string {
	if name := unix.ErrnoName(unix.Errno(errno)); name != "" {
		return name
	}
	return "errno " + strconv.Itoa(int(errno))
}
