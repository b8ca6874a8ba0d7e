package seccomp

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Each instruction of the subset, with registers that tell them apart.
func TestEvaluator(t *testing.T) {
	const (
		ld  = unix.BPF_LD
		ldx = unix.BPF_LDX
		alu = unix.BPF_ALU | unix.BPF_AND
		jmp = unix.BPF_JMP
		k   = unix.BPF_K
		x   = unix.BPF_X
	)
	retA := insn{code: unix.BPF_RET | unix.BPF_A}
	ret := func(v uint32) insn { return insn{code: opReturn, k: v} }
	branch := func(code uint16, a, operand uint32) []insn {
		return []insn{
			{code: ldx | unix.BPF_IMM, k: operand}, {code: ld | unix.BPF_IMM, k: a},
			{code: jmp | code, jt: 1, jf: 0, k: operand}, ret(0), ret(1),
		}
	}
	const refused = unix.SECCOMP_RET_KILL_PROCESS
	tests := []struct {
		name string
		prog []insn
		want uint32
	}{
		{"ret k", []insn{ret(7)}, 7},
		{"nr", []insn{{code: opLoad, k: 0}, retA}, 59},
		{"arch", []insn{{code: opLoad, k: 4}, retA}, 0xc000003e},
		{"instruction pointer", []insn{{code: opLoad, k: 8}, retA}, 0},
		{"args[0] low", []insn{{code: opLoad, k: 16}, retA}, 0x55667788},
		{"args[0] high", []insn{{code: opLoad, k: 20}, retA}, 0x11223344},
		{"args[5] high", []insn{{code: opLoad, k: 60}, retA}, 0x66000000},
		{"load beyond the data", []insn{{code: opLoad, k: 64}, retA}, refused},
		{"load unaligned", []insn{{code: opLoad, k: 2}, retA}, refused},
		{"load far beyond", []insn{{code: opLoad, k: 1<<32 - 4}, retA}, refused},
		{"and k", []insn{{code: ld, k: 0xff0}, {code: alu | k, k: 0x3c}, retA}, 0x30},
		{"and x", []insn{{code: ld, k: 0xff0}, {code: ldx, k: 0x3c}, {code: alu | x}, retA}, 0x30},
		{"memory from a", []insn{{code: ld, k: 5}, {code: unix.BPF_ST, k: 15}, {code: ld, k: 6}, {code: ld | unix.BPF_MEM, k: 15}, retA}, 5},
		{"memory from x", []insn{{code: ldx, k: 5}, {code: unix.BPF_STX, k: 1}, {code: ld | unix.BPF_MEM, k: 1}, retA}, 5},
		{"memory to x", []insn{{code: ld, k: 5}, {code: unix.BPF_ST, k: 1}, {code: ldx | unix.BPF_MEM, k: 1}, {code: unix.BPF_MISC | unix.BPF_TXA}, retA}, 5},
		{"memory beyond", []insn{{code: ld | unix.BPF_MEM, k: 16}, retA}, refused},
		{"tax", []insn{{code: ld, k: 5}, {code: unix.BPF_MISC | unix.BPF_TAX}, {code: ld, k: 6}, {code: unix.BPF_MISC | unix.BPF_TXA}, retA}, 5},
		{"ja", []insn{{code: jmp | unix.BPF_JA, k: 1}, ret(1), ret(2)}, 2},
		{"jeq taken", branch(unix.BPF_JEQ, 5, 5), 1},
		{"jeq not taken", branch(unix.BPF_JEQ, 5, 6), 0},
		{"jgt taken", branch(unix.BPF_JGT, 1<<31, 5), 1},
		{"jgt not taken", branch(unix.BPF_JGT, 5, 5), 0},
		{"jge taken", branch(unix.BPF_JGE, 5, 5), 1},
		{"jge not taken", branch(unix.BPF_JGE, 4, 5), 0},
		{"jset taken", branch(unix.BPF_JSET, 6, 2), 1},
		{"jset not taken", branch(unix.BPF_JSET, 5, 2), 0},
		{"jeq x", []insn{{code: ldx, k: 5}, {code: ld, k: 5}, {code: jmp | unix.BPF_JEQ | x, jf: 1, k: 9}, ret(1), ret(2)}, 1},
		{"jump beyond the end", []insn{{code: jmp | unix.BPF_JA, k: 1<<32 - 1}, ret(1)}, refused},
		{"no return", []insn{{code: ld, k: 5}}, refused},
		{"unknown jump", []insn{{code: jmp | 0xf0}, ret(1)}, refused},
		{"unknown instruction", []insn{{code: unix.BPF_ALU | unix.BPF_MUL}, ret(1)}, refused},
		{"empty", nil, refused},
	}
	args := [6]uint64{0x1122334455667788, 5: 0x6600000000000000}
	for _, tt := range tests {
		f := &Filter{BPF: encode(tt.prog)}
		if got := f.Verdict(0xc000003e, 59, args); got != tt.want {
			t.Errorf("%s: %#x, want %#x", tt.name, got, tt.want)
		}
	}
	if got := (&Filter{BPF: []byte{1, 2, 3}}).Verdict(0, 0, args); got != refused {
		t.Errorf("half an instruction: %#x", got)
	}
}

func TestAction(t *testing.T) {
	tests := []struct {
		verdict uint32
		want    string
	}{
		{unix.SECCOMP_RET_ALLOW, "allows the call"},
		{unix.SECCOMP_RET_LOG, "allows and logs the call"},
		{eperm, "fails the call with EPERM"},
		{unix.SECCOMP_RET_ERRNO | 4000, "fails the call with errno 4000"},
		{unix.SECCOMP_RET_TRACE | 1, "leaves the call to a tracer"},
		{unix.SECCOMP_RET_USER_NOTIF, "leaves the call to the seccomp agent"},
		{unix.SECCOMP_RET_TRAP, "sends SIGSYS to the thread"},
		{unix.SECCOMP_RET_KILL_THREAD, "kills the thread"},
		{unix.SECCOMP_RET_KILL_PROCESS, "kills the process"},
		{0x12340000, "kills the process"},
	}
	for _, tt := range tests {
		if got := Action(tt.verdict); got != tt.want {
			t.Errorf("Action(%#x) = %q, want %q", tt.verdict, got, tt.want)
		}
	}
}
