package seccomp

import (
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"

	"skep/spec"
)

// maxErrno is the highest errno that libseccomp accepts, one below the kernel's
// MAX_ERRNO, to which seccomp(2) silently lowers larger values.
const maxErrno = 4094

// parseAction returns libseccomp's action for name. errnoRet, at errnoPath, is
// the errno of ERRNO and the message of TRACE, EPERM if absent; with any other
// action it is an error, because it would have no effect.
func parseAction(path string, name specs.LinuxSeccompAction, errnoPath string, errnoRet *uint) (libseccomp.ScmpAction, error) {
	act := libseccomp.ActInvalid
	switch name {
	case specs.ActKill, specs.ActKillThread:
		act = libseccomp.ActKillThread
	case specs.ActKillProcess:
		act = libseccomp.ActKillProcess
	case specs.ActTrap:
		act = libseccomp.ActTrap
	case specs.ActErrno:
		act = libseccomp.ActErrno.SetReturnCode(int16(unix.EPERM))
	case specs.ActTrace:
		act = libseccomp.ActTrace.SetReturnCode(int16(unix.EPERM))
	case specs.ActAllow:
		act = libseccomp.ActAllow
	case specs.ActLog:
		act = libseccomp.ActLog
	case specs.ActNotify:
		act = libseccomp.ActNotify
	case "":
		return act, fmt.Errorf("%s: missing", path)
	default:
		return act, fmt.Errorf("%s: unknown action %q", path, name)
	}
	switch {
	case errnoRet == nil:
		return act, nil
	case !spec.SeccompTakesErrno(name):
		return act, fmt.Errorf("%s: %s returns no errno", errnoPath, name)
	case *errnoRet > maxErrno:
		return act, fmt.Errorf("%s: %d is greater than %d", errnoPath, *errnoRet, maxErrno)
	}
	return act.SetReturnCode(int16(*errnoRet)), nil
}

// parseOperator returns libseccomp's comparison for name.
func parseOperator(path string, name specs.LinuxSeccompOperator) (libseccomp.ScmpCompareOp, error) {
	switch name {
	case specs.OpNotEqual:
		return libseccomp.CompareNotEqual, nil
	case specs.OpLessThan:
		return libseccomp.CompareLess, nil
	case specs.OpLessEqual:
		return libseccomp.CompareLessOrEqual, nil
	case specs.OpEqualTo:
		return libseccomp.CompareEqual, nil
	case specs.OpGreaterEqual:
		return libseccomp.CompareGreaterEqual, nil
	case specs.OpGreaterThan:
		return libseccomp.CompareGreater, nil
	case specs.OpMaskedEqual:
		return libseccomp.CompareMaskedEqual, nil
	case "":
		return libseccomp.CompareInvalid, fmt.Errorf("%s: missing", path)
	}
	return libseccomp.CompareInvalid, fmt.Errorf("%s: unknown operator %q", path, name)
}

// parseArch returns libseccomp's architecture for name.
func parseArch(path string, name specs.Arch) (libseccomp.ScmpArch, error) {
	if !spec.SeccompArchs.Has(name) {
		return libseccomp.ArchInvalid, fmt.Errorf("%s: unknown architecture %q", path, name)
	}
	arch, ok := linkedArch(name)
	if !ok {
		return arch, fmt.Errorf("%s: libseccomp %s does not know %s", path, Version(), name)
	}
	return arch, nil
}

// linkedArch returns the architecture for a name of the specification, if the
// linked libseccomp has it. The binding calls them alike, without the prefix
// and in lower case, and knows those of newer releases than the linked one.
func linkedArch(name specs.Arch) (libseccomp.ScmpArch, bool) {
	arch, err := libseccomp.GetArchFromString(strings.TrimPrefix(string(name), "SCMP_ARCH_"))
	if err != nil {
		return libseccomp.ArchInvalid, false
	}
	// Asking for the number of a call tells an unknown architecture from a
	// known one without building a filter.
	_, err = libseccomp.GetSyscallFromNameByArch("exit", arch)
	return arch, err == nil
}

// auditArch returns the AUDIT_ARCH_* that the kernel shows to filters for calls
// of an architecture.
func auditArch(arch libseccomp.ScmpArch) uint32 {
	switch arch {
	case libseccomp.ArchX86:
		return unix.AUDIT_ARCH_I386
	case libseccomp.ArchAMD64, libseccomp.ArchX32:
		return unix.AUDIT_ARCH_X86_64
	case libseccomp.ArchARM:
		return unix.AUDIT_ARCH_ARM
	case libseccomp.ArchARM64:
		return unix.AUDIT_ARCH_AARCH64
	case libseccomp.ArchMIPS:
		return unix.AUDIT_ARCH_MIPS
	case libseccomp.ArchMIPS64:
		return unix.AUDIT_ARCH_MIPS64
	case libseccomp.ArchMIPS64N32:
		return unix.AUDIT_ARCH_MIPS64N32
	case libseccomp.ArchMIPSEL:
		return unix.AUDIT_ARCH_MIPSEL
	case libseccomp.ArchMIPSEL64:
		return unix.AUDIT_ARCH_MIPSEL64
	case libseccomp.ArchMIPSEL64N32:
		return unix.AUDIT_ARCH_MIPSEL64N32
	case libseccomp.ArchPPC:
		return unix.AUDIT_ARCH_PPC
	case libseccomp.ArchPPC64:
		return unix.AUDIT_ARCH_PPC64
	case libseccomp.ArchPPC64LE:
		return unix.AUDIT_ARCH_PPC64LE
	case libseccomp.ArchS390:
		return unix.AUDIT_ARCH_S390
	case libseccomp.ArchS390X:
		return unix.AUDIT_ARCH_S390X
	case libseccomp.ArchPARISC:
		return unix.AUDIT_ARCH_PARISC
	case libseccomp.ArchPARISC64:
		return unix.AUDIT_ARCH_PARISC64
	case libseccomp.ArchRISCV64:
		return unix.AUDIT_ARCH_RISCV64
	case libseccomp.ArchLOONGARCH64:
		return unix.AUDIT_ARCH_LOONGARCH64
	case libseccomp.ArchM68K:
		return unix.AUDIT_ARCH_M68K
	case libseccomp.ArchSH:
		return unix.AUDIT_ARCH_SHEL
	case libseccomp.ArchSHEB:
		return unix.AUDIT_ARCH_SH
	}
	return 0
}

// NativeArch returns the AUDIT_ARCH_* of the host's own system calls, for
// Filter.Verdict.
func NativeArch() uint32 {
	arch, _ := libseccomp.GetNativeArch()
	return auditArch(arch)
}

// Archs lists the architectures of the specification that the linked
// libseccomp can build filters for.
func Archs() []string {
	var names []string
	for _, name := range spec.SeccompArchs {
		if _, ok := linkedArch(name); ok {
			names = append(names, string(name))
		}
	}
	return names
}

// Flags lists the flags of the specification that the running kernel takes.
func Flags() []string {
	var names []string
	for _, f := range spec.SeccompFlags {
		if kernelTakes(f.Value) {
			names = append(names, string(f.Name))
		}
	}
	return names
}

// filterFlags returns the SECCOMP_FILTER_FLAG_* bits for linux.seccomp.flags.
// An absent list asks for SPEC_ALLOW, as in runc and crun: the mitigation
// against speculative store bypass slows programs down, and since Linux 5.16
// the kernel does not impose it by default either. An empty list asks for none.
func filterFlags(names []specs.LinuxSeccompFlag, notify bool) (uint, error) {
	var flags uint
	if names == nil && kernelTakes(unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW) {
		flags = unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
	}
	for i, name := range names {
		flag, ok := spec.SeccompFlags.Lookup(name)
		if !ok {
			return 0, fmt.Errorf("linux.seccomp.flags[%d]: unknown flag %q", i, name)
		}
		if !kernelTakes(flag) {
			return 0, fmt.Errorf("linux.seccomp.flags[%d]: the kernel does not know %s", i, name)
		}
		flags |= flag
	}
	flags &^= unix.SECCOMP_FILTER_FLAG_TSYNC // see Filter.Flags
	if notify {
		return flags | unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, nil
	}
	// Without a listener this flag means nothing, and the kernel refuses it.
	return flags &^ unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, nil
}

// kernelTakes tells whether seccomp(2) knows a flag: with no program it fails
// with EFAULT then, and with EINVAL before that otherwise.
func kernelTakes(flag uint) bool {
	if flag == unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV {
		flag |= unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	}
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(flag), 0)
	return errno == unix.EFAULT
}
