package spec

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// SeccompActions lists the actions of a filter (config-linux.md#seccomp).
var SeccompActions = List[specs.LinuxSeccompAction]{
	specs.ActAllow,
	specs.ActErrno,
	specs.ActKill,
	specs.ActKillProcess,
	specs.ActKillThread,
	specs.ActLog,
	specs.ActNotify,
	specs.ActTrace,
	specs.ActTrap,
}

// SeccompTakesErrno reports whether an errnoRet goes with the action.
func SeccompTakesErrno(a specs.LinuxSeccompAction) bool {
	return a == specs.ActErrno || a == specs.ActTrace
}

// SeccompOperators lists the comparisons of a syscall argument.
var SeccompOperators = List[specs.LinuxSeccompOperator]{
	specs.OpEqualTo,
	specs.OpGreaterEqual,
	specs.OpGreaterThan,
	specs.OpLessEqual,
	specs.OpLessThan,
	specs.OpMaskedEqual,
	specs.OpNotEqual,
}

// SeccompArchs lists the architectures of the specification. Which of them a
// filter can be built for depends on the version of libseccomp.
var SeccompArchs = List[specs.Arch]{
	specs.ArchAARCH64,
	specs.ArchARM,
	specs.ArchLOONGARCH64,
	specs.ArchM68K,
	specs.ArchMIPS,
	specs.ArchMIPS64,
	specs.ArchMIPS64N32,
	specs.ArchMIPSEL,
	specs.ArchMIPSEL64,
	specs.ArchMIPSEL64N32,
	specs.ArchPARISC,
	specs.ArchPARISC64,
	specs.ArchPPC,
	specs.ArchPPC64,
	specs.ArchPPC64LE,
	specs.ArchRISCV64,
	specs.ArchS390,
	specs.ArchS390X,
	specs.ArchSH,
	specs.ArchSHEB,
	specs.ArchX32,
	specs.ArchX86,
	specs.ArchX86_64,
}

// SeccompFlags lists the filter flags with their bits for seccomp(2).
// TSYNC is known to the specification but not to its Go package.
var SeccompFlags = Table[specs.LinuxSeccompFlag, uint]{
	{"SECCOMP_FILTER_FLAG_TSYNC", unix.SECCOMP_FILTER_FLAG_TSYNC},
	{specs.LinuxSeccompFlagLog, unix.SECCOMP_FILTER_FLAG_LOG},
	{specs.LinuxSeccompFlagSpecAllow, unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW},
	{specs.LinuxSeccompFlagWaitKillableRecv, unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
}
