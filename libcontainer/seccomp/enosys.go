package seccomp

import (
	"cmp"
	"iter"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

const (
	// x32Bit marks the calls of the x32 ABI, which shares AUDIT_ARCH_X86_64.
	x32Bit = 0x40000000
	// x32Private is the first of the calls that only x32 has (512 to 547);
	// new calls get lower numbers, the same as on x86-64.
	x32Private = x32Bit + 512
	// armPrivate is the first of the private calls of 32-bit ARM (cacheflush,
	// set_tls …), far above the numbers that new calls get.
	armPrivate = 0x0f0000
)

// A numberRange is a range of call numbers, both ends included, under one
// AUDIT_ARCH_*.
type numberRange struct {
	arch, first, last uint32
}

// enosysPrologue returns instructions that answer ENOSYS for calls with higher
// numbers than any that the profile names, and fall through to the program
// behind them otherwise. A refusal of another kind (EPERM, above all) keeps C
// libraries from falling back to an older call, so programs that are newer
// than the profile would break. It is empty if the default action permits
// calls, leaves them to somebody else, or is ENOSYS itself.
//
// Rules cannot be overridden by it: what they name lies below the ranges.
func enosysPrologue(def libseccomp.ScmpAction, archs []libseccomp.ScmpArch, calls []specs.LinuxSyscall) []byte {
	switch {
	case def == libseccomp.ActErrno.SetReturnCode(int16(unix.ENOSYS)):
		return nil
	case def&0xffff == libseccomp.ActErrno, def == libseccomp.ActKillThread, def == libseccomp.ActKillProcess:
		return assembleEnosys(newerCalls(archs, calls))
	}
	return nil
}

// newerCalls returns the numbers above the highest one that the rules name, for
// each architecture; those of one AUDIT_ARCH_* stand side by side in ascending
// order. Architectures for which the rules name none get no range: there, the
// profile does not tell its age.
func newerCalls(archs []libseccomp.ScmpArch, calls []specs.LinuxSyscall) []numberRange {
	var ranges []numberRange
	for _, arch := range archs {
		r := numberRange{arch: auditArch(arch), last: x32Bit - 1}
		switch arch {
		case libseccomp.ArchX32:
			r.last = x32Private - 1
		case libseccomp.ArchARM:
			r.last = armPrivate - 1
		}
		highest := highestCall(arch, calls, r.last)
		if highest < 0 {
			continue
		}
		r.first = uint32(highest) + 1
		ranges = append(ranges, r)
		// The kernel of s390 shows calls that it does not know as number 0,
		// which is no call there.
		if arch == libseccomp.ArchS390 || arch == libseccomp.ArchS390X {
			ranges = append(ranges, numberRange{arch: r.arch})
		}
	}
	// Descending, because AUDIT_ARCH_* of 64-bit architectures are higher.
	slices.SortFunc(ranges, func(a, b numberRange) int {
		return cmp.Or(cmp.Compare(b.arch, a.arch), cmp.Compare(a.first, b.first))
	})
	return ranges
}

// highestCall returns the highest number that the rules name on an architecture,
// not counting numbers above limit; -1 if they name none.
func highestCall(arch libseccomp.ScmpArch, calls []specs.LinuxSyscall, limit uint32) int64 {
	highest := int64(-1)
	for _, call := range calls {
		for _, name := range call.Names {
			// Negative numbers stand for calls that the architecture lacks.
			nr, err := libseccomp.GetSyscallFromNameByArch(name, arch)
			if err == nil && int64(nr) <= int64(limit) {
				highest = max(highest, int64(nr))
			}
		}
	}
	return highest
}

// assembleEnosys returns the instructions for ranges sorted by newerCalls:
//
//	        ld   [arch]
//	arch A: jeq  A, next, arch B
//	        ld   [nr]
//	        jge  first, next, end
//	        jgt  last, next range or end, next
//	        ret  ERRNO|ENOSYS
//	arch B: …
//	end:
//
// Offsets of jumps count from the following instruction, so the program behind
// needs no change; it loads what it looks at itself. All 23 architectures take
// about 120 instructions: eight bits hold each offset.
func assembleEnosys(ranges []numberRange) []byte {
	if len(ranges) == 0 {
		return nil
	}
	groups := slices.Collect(chunkByArch(ranges))
	end := 1 + 2*len(groups) + 3*len(ranges)
	prog := make([]insn, 0, end)
	toEnd := func() uint8 { return uint8(end - len(prog) - 1) }

	prog = append(prog, insn{code: opLoad, k: offsetArch})
	for _, group := range groups {
		prog = append(prog,
			insn{code: opJumpEqual, jf: uint8(1 + 3*len(group)), k: group[0].arch},
			insn{code: opLoad, k: offsetNr})
		for i, r := range group {
			prog = append(prog, insn{code: opJumpGreaterEqual, jf: toEnd(), k: r.first})
			above := uint8(1)
			if i == len(group)-1 {
				above = toEnd()
			}
			prog = append(prog,
				insn{code: opJumpGreater, jt: above, k: r.last},
				insn{code: opReturn, k: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)})
		}
	}
	return encode(prog)
}

// chunkByArch yields the ranges of one AUDIT_ARCH_* after the other.
func chunkByArch(ranges []numberRange) iter.Seq[[]numberRange] {
	return func(yield func([]numberRange) bool) {
		for len(ranges) > 0 {
			n := 1
			for n < len(ranges) && ranges[n].arch == ranges[0].arch {
				n++
			}
			if !yield(ranges[:n]) {
				return
			}
			ranges = ranges[n:]
		}
	}
}
