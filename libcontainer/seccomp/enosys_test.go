package seccomp

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// SEC-21: the highest call that the profile names is membarrier, 324 on x86-64.
func TestENOSYSForNewerCalls(t *testing.T) {
	const membarrier, newer = unix.SYS_MEMBARRIER, unix.SYS_MEMBARRIER + 1
	for _, tt := range []struct {
		name string
		def  specs.LinuxSeccompAction
		ret  *uint
		old  uint32 // verdict for an unnamed call below the highest one
		new  uint32 // and above it
	}{
		{"errno", specs.ActErrno, nil, eperm, enosys},
		{"errnoRet", specs.ActErrno, ref(12), unix.SECCOMP_RET_ERRNO | 12, enosys},
		{"errno ENOSYS", specs.ActErrno, ref(uint(unix.ENOSYS)), enosys, enosys},
		{"trace", specs.ActTrace, nil, unix.SECCOMP_RET_TRACE | 1, unix.SECCOMP_RET_TRACE | 1},
		{"log", specs.ActLog, nil, unix.SECCOMP_RET_LOG, unix.SECCOMP_RET_LOG},
		{"allow", specs.ActAllow, nil, allow, allow},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := profile(tt.def, rule(specs.ActKill, "membarrier", specs.LinuxSeccompArg{Index: 5, Value: 1, Op: specs.OpEqualTo}))
			p.DefaultErrnoRet = tt.ret
			checkVerdicts(t, p, []verdictCase{
				{nr: getppid, want: tt.old},
				{nr: membarrier, want: tt.old},
			})
			f := mustCompile(t, p)
			for _, nr := range []int{newer, 100000, x32Bit - 1} {
				if v := f.Verdict(NativeArch(), nr, [6]uint64{}); v != tt.new {
					t.Errorf("call %d: filter %s, want %s", nr, Action(v), Action(tt.new))
				}
			}
		})
	}
	for _, def := range []specs.LinuxSeccompAction{specs.ActKill, specs.ActKillProcess, specs.ActErrno} {
		checkVerdicts(t, profile(def, rule(specs.ActAllow, "membarrier")), []verdictCase{
			{nr: newer, want: enosys}, {nr: 100000, want: enosys}, {nr: x32Bit - 1, want: enosys},
		})
	}
}

// SEC-21: a rule that is dropped, because it says what happens anyway, still
// tells how new the profile is.
func TestENOSYSCountsDroppedRules(t *testing.T) {
	checkVerdicts(t, profile(specs.ActErrno, rule(specs.ActErrno, "membarrier")), []verdictCase{
		{nr: unix.SYS_MEMBARRIER, want: eperm}, {nr: unix.SYS_MEMBARRIER + 1, want: enosys},
	})
}

// SEC-21: each architecture has numbers of its own.
func TestENOSYSPerArch(t *testing.T) {
	p := profile(specs.ActErrno, rule(specs.ActAllow, "read"), rule(specs.ActAllow, "membarrier"), rule(specs.ActAllow, "execveat"))
	p.Architectures = []specs.Arch{specs.ArchX86, specs.ArchX32, specs.ArchARM, specs.ArchAARCH64, specs.ArchX86_64}
	p.Syscalls = append(p.Syscalls, rule(specs.ActAllow, "set_tls")) // private to ARM
	f := mustCompile(t, p)
	tests := []struct {
		arch uint32
		nr   int
		want uint32
	}{
		{unix.AUDIT_ARCH_X86_64, 0, allow},
		{unix.AUDIT_ARCH_X86_64, 1, eperm},
		{unix.AUDIT_ARCH_X86_64, 324, allow},
		{unix.AUDIT_ARCH_X86_64, 325, enosys},
		{unix.AUDIT_ARCH_X86_64, -1, unix.SECCOMP_RET_ERRNO | 1}, // what a tracer skips
		{unix.AUDIT_ARCH_X86_64, x32Bit, allow},
		{unix.AUDIT_ARCH_X86_64, x32Bit + 1, eperm},
		{unix.AUDIT_ARCH_X86_64, x32Bit + 324, allow},
		{unix.AUDIT_ARCH_X86_64, x32Bit + 325, enosys},
		{unix.AUDIT_ARCH_X86_64, x32Bit + 511, enosys},
		{unix.AUDIT_ARCH_X86_64, x32Bit + 512, eperm}, // rt_sigaction, not named
		{unix.AUDIT_ARCH_X86_64, x32Bit + 545, allow}, // execveat
		{unix.AUDIT_ARCH_I386, 3, allow},
		{unix.AUDIT_ARCH_I386, 375, allow},
		{unix.AUDIT_ARCH_I386, 376, enosys},
		{unix.AUDIT_ARCH_ARM, 3, allow},
		{unix.AUDIT_ARCH_ARM, 389, allow},
		{unix.AUDIT_ARCH_ARM, 390, enosys},
		{unix.AUDIT_ARCH_ARM, armPrivate, eperm},
		{unix.AUDIT_ARCH_ARM, armPrivate + 5, allow}, // set_tls
		{unix.AUDIT_ARCH_AARCH64, 283, allow},
		{unix.AUDIT_ARCH_AARCH64, 284, enosys},
		{unix.AUDIT_ARCH_RISCV64, 1000, unix.SECCOMP_RET_KILL_THREAD},
	}
	var refusals []verdictCase
	for _, tt := range tests {
		if v := f.Verdict(tt.arch, tt.nr, [6]uint64{}); v != tt.want {
			t.Errorf("arch %#x call %#x: filter %s, want %s", tt.arch, tt.nr, Action(v), Action(tt.want))
		}
		if tt.arch == NativeArch() && tt.want != allow {
			refusals = append(refusals, verdictCase{nr: tt.nr, want: tt.want})
		}
	}
	checkVerdicts(t, p, refusals) // Kernels without x32 run the filter for its calls as well.
}

// SEC-21: x32 calls are refused as before where x32 is not part of the filter,
// and architectures without any rule of their own keep the default action.
func TestENOSYSLeavesOthersAlone(t *testing.T) {
	f := mustCompile(t, profile(specs.ActErrno, rule(specs.ActAllow, "membarrier")))
	if v := f.Verdict(unix.AUDIT_ARCH_X86_64, x32Bit+1000, [6]uint64{}); v != unix.SECCOMP_RET_KILL_THREAD {
		t.Errorf("x32 call: filter %s", Action(v))
	}
	p := profile(specs.ActErrno, rule(specs.ActAllow, "waitpid")) // x86 only
	p.Architectures = []specs.Arch{specs.ArchX86}
	f = mustCompile(t, p)
	if v := f.Verdict(NativeArch(), 1000, [6]uint64{}); v != eperm {
		t.Errorf("no rule for the native architecture: filter %s", Action(v))
	}
	if v := f.Verdict(unix.AUDIT_ARCH_I386, 8, [6]uint64{}); v != enosys {
		t.Errorf("call above waitpid: filter %s", Action(v))
	}
}

// SEC-21: on s390 a call that the kernel does not know has the number 0.
func TestENOSYSOnS390(t *testing.T) {
	calls := []specs.LinuxSyscall{rule(specs.ActAllow, "membarrier")}
	prologue := enosysPrologue(libseccomp.ActKillProcess, []libseccomp.ScmpArch{libseccomp.ArchS390X, libseccomp.ArchS390}, calls)
	f := Filter{BPF: append(prologue, encode([]insn{{code: opReturn, k: allow}})...)}
	for _, arch := range []uint32{unix.AUDIT_ARCH_S390, unix.AUDIT_ARCH_S390X} {
		for nr, want := range map[int]uint32{0: enosys, 1: allow, 356: allow, 357: enosys} {
			if v := f.Verdict(arch, nr, [6]uint64{}); v != want {
				t.Errorf("arch %#x call %d: filter %s, want %s", arch, nr, Action(v), Action(want))
			}
		}
	}
}

// SEC-21: jumps reach the end of the longest prologue.
func TestENOSYSAllArchs(t *testing.T) {
	var archs []libseccomp.ScmpArch
	for arch := libseccomp.ArchX86; arch <= libseccomp.ArchSHEB; arch++ {
		if _, err := libseccomp.GetSyscallFromNameByArch("exit", arch); err == nil {
			archs = append(archs, arch)
		}
	}
	calls := []specs.LinuxSyscall{rule(specs.ActAllow, "membarrier")}
	prologue := enosysPrologue(libseccomp.ActKillProcess, archs, calls)
	if insns := len(prologue) / insnSize; insns > 255 || insns < 5*len(archs) {
		t.Fatalf("%d instructions for %d architectures", insns, len(archs))
	}
	f := Filter{BPF: append(prologue, encode([]insn{{code: opReturn, k: allow}})...)}
	for _, arch := range archs {
		nr, err := libseccomp.GetSyscallFromNameByArch("membarrier", arch)
		if err != nil {
			t.Fatal(err)
		}
		if v := f.Verdict(auditArch(arch), int(nr), [6]uint64{}); v != allow {
			t.Errorf("%v: membarrier: filter %s", arch, Action(v))
		}
		if v := f.Verdict(auditArch(arch), int(nr)+1, [6]uint64{}); v != enosys {
			t.Errorf("%v: the call behind membarrier: filter %s", arch, Action(v))
		}
	}
	if v := f.Verdict(0x1234, 100000, [6]uint64{}); v != allow {
		t.Errorf("architecture outside the filter: filter %s", Action(v))
	}
}
