package seccomp

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"

	"skep/spec"
)

// dockerProfile returns the profile that Docker writes by default: 11 kinds of
// rules over x86-64, x86 and x32.
func dockerProfile(t testing.TB) *specs.LinuxSeccomp {
	t.Helper()
	b, err := os.ReadFile("testdata/docker.json")
	if err != nil {
		t.Fatal(err)
	}
	var p specs.LinuxSeccomp
	if err := json.Unmarshal(b, &p); err != nil {
		t.Fatal(err)
	}
	return &p
}

func TestNoFilter(t *testing.T) {
	for _, p := range []*specs.LinuxSeccomp{nil, {}, {Architectures: []specs.Arch{specs.ArchX86}}} {
		if f, err := Compile(p); f != nil || err != nil {
			t.Errorf("Compile(%+v) = %v, %v, want nil, nil", p, f, err)
		}
		if f, err := Cached(t.TempDir(), p); f != nil || err != nil {
			t.Errorf("Cached(%+v) = %v, %v, want nil, nil", p, f, err)
		}
	}
}

// SEC-01 SEC-02 SEC-03 SEC-05 SEC-14 SEC-15 SEC-16 SEC-17
func TestCompileErrors(t *testing.T) {
	arg := func(index uint, op specs.LinuxSeccompOperator) specs.LinuxSyscall {
		return rule(specs.ActErrno, "getpid", specs.LinuxSeccompArg{Op: specs.OpEqualTo}, specs.LinuxSeccompArg{Index: index, Op: op})
	}
	tests := []struct {
		p    specs.LinuxSeccomp
		want string
	}{
		{specs.LinuxSeccomp{Syscalls: []specs.LinuxSyscall{rule(specs.ActAllow, "getpid")}}, "linux.seccomp.defaultAction: missing"},
		{specs.LinuxSeccomp{DefaultAction: "SCMP_ACT_MAYBE"}, `linux.seccomp.defaultAction: unknown action "SCMP_ACT_MAYBE"`},
		{specs.LinuxSeccomp{DefaultAction: specs.ActAllow, DefaultErrnoRet: ref(1)}, "linux.seccomp.defaultErrnoRet: SCMP_ACT_ALLOW returns no errno"},
		{specs.LinuxSeccomp{DefaultAction: specs.ActErrno, DefaultErrnoRet: ref(4096)}, "linux.seccomp.defaultErrnoRet: 4096 is greater than 4094"},
		{specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86, "SCMP_ARCH_VAX"}}, `linux.seccomp.architectures[1]: unknown architecture "SCMP_ARCH_VAX"`},
		{specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{"SCMP_ARCH_AMD64"}}, `linux.seccomp.architectures[0]: unknown architecture "SCMP_ARCH_AMD64"`},
		{specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchS390X}}, "linux.seccomp.architectures[0]: SCMP_ARCH_S390X has another byte order than the host"},
		{specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{"LOG"}}, `linux.seccomp.flags[0]: unknown flag "LOG"`},
		{*profile(specs.ActAllow, specs.LinuxSyscall{Action: specs.ActErrno}), "linux.seccomp.syscalls[0].names: missing"},
		{*profile(specs.ActAllow, rule("", "getpid")), "linux.seccomp.syscalls[0].action: missing"},
		{*profile(specs.ActAllow, rule(specs.ActLog, "getpid"), rule("log", "getppid")), `linux.seccomp.syscalls[1].action: unknown action "log"`},
		{*profile(specs.ActErrno, specs.LinuxSyscall{Names: []string{"getpid"}, Action: specs.ActKill, ErrnoRet: ref(0)}), "linux.seccomp.syscalls[0].errnoRet: SCMP_ACT_KILL returns no errno"},
		{*profile(specs.ActAllow, specs.LinuxSyscall{Names: []string{"getpid"}, Action: specs.ActErrno, ErrnoRet: ref(4095)}), "linux.seccomp.syscalls[0].errnoRet: 4095 is greater than 4094"},
		{*profile(specs.ActAllow, arg(6, specs.OpEqualTo)), "linux.seccomp.syscalls[0].args[1].index: 6 is greater than 5"},
		{*profile(specs.ActAllow, arg(1, "")), "linux.seccomp.syscalls[0].args[1].op: missing"},
		{*profile(specs.ActAllow, arg(1, "SCMP_CMP_XOR")), `linux.seccomp.syscalls[0].args[1].op: unknown operator "SCMP_CMP_XOR"`},
		{*profile(specs.ActAllow, arg(1, specs.OpEqualTo), specs.LinuxSyscall{Names: []string{"read", "getpid"}, Action: specs.ActKill, Args: arg(1, specs.OpEqualTo).Args}),
			"linux.seccomp.syscalls[1].names[1]: getpid: an earlier rule has another action for the same condition"},
	}
	for _, tt := range tests {
		for _, compile := range []func(*specs.LinuxSeccomp) (*Filter, error){
			Compile,
			func(p *specs.LinuxSeccomp) (*Filter, error) { return Cached(t.TempDir(), p) },
		} {
			if f, err := compile(&tt.p); f != nil || err == nil || err.Error() != tt.want {
				t.Errorf("got %v, error %v\nwant error %s", f, err, tt.want)
			}
		}
	}
}

// SEC-17: no name of the specification is missing in the mapping.
func TestNames(t *testing.T) {
	for _, name := range spec.SeccompActions {
		if _, err := parseAction("", name, "", nil); err != nil {
			t.Error(err)
		}
	}
	for _, name := range spec.SeccompOperators {
		if _, err := parseOperator("", name); err != nil {
			t.Error(err)
		}
	}
}

// SEC-03 FTL-04: an architecture either works, or has another byte order, or
// the error names the version of libseccomp that lacks it.
func TestArchitectures(t *testing.T) {
	supported := Archs()
	for _, name := range spec.SeccompArchs {
		p := profile(specs.ActErrno, rule(specs.ActAllow, "getpid"))
		p.Architectures = []specs.Arch{name}
		f, err := Compile(p)
		switch {
		case !slices.Contains(supported, string(name)):
			if err == nil || !strings.HasSuffix(err.Error(), "libseccomp "+Version()+" does not know "+string(name)) {
				t.Errorf("%s: %v", name, err)
			}
		case err != nil:
			if !strings.HasSuffix(err.Error(), " has another byte order than the host") {
				t.Error(err)
			}
		default:
			arch, _ := linkedArch(name)
			nr, err := libseccomp.GetSyscallFromNameByArch("getpid", arch)
			if err != nil {
				t.Fatal(err)
			}
			if v := f.Verdict(auditArch(arch), int(nr), [6]uint64{}); v != allow {
				t.Errorf("%s: getpid, %d: filter %s", name, nr, Action(v))
			}
			if v := f.Verdict(NativeArch(), getpid, [6]uint64{}); v != allow {
				t.Errorf("%s: native getpid: filter %s", name, Action(v)) // The native one is always there.
			}
		}
	}
	if len(supported) < 10 || !slices.Contains(supported, "SCMP_ARCH_X86_64") || !slices.Contains(supported, "SCMP_ARCH_AARCH64") {
		t.Errorf("Archs() = %v", supported)
	}
	f := mustCompile(t, profile(specs.ActAllow))
	if v := f.Verdict(unix.AUDIT_ARCH_RISCV64, 1, [6]uint64{}); v != unix.SECCOMP_RET_KILL_THREAD {
		t.Errorf("architecture outside the filter: filter %s", Action(v))
	}
}

// SEC-19
func TestUnknownSyscall(t *testing.T) {
	f := mustCompile(t, profile(specs.ActAllow, specs.LinuxSyscall{Names: []string{"no_such\ncall", "getpid", ""}, Action: specs.ActErrno}))
	want := []string{
		`linux.seccomp.syscalls[0].names[0]: libseccomp ` + Version() + ` does not know "no_such\ncall"`,
		`linux.seccomp.syscalls[0].names[2]: libseccomp ` + Version() + ` does not know ""`,
	}
	if !slices.Equal(f.Warnings, want) {
		t.Errorf("warnings %q, want %q", f.Warnings, want)
	}
	if v := f.Verdict(NativeArch(), getpid, [6]uint64{}); v != eperm {
		t.Errorf("getpid: filter %s", Action(v))
	}
}

// SEC-04 SEC-05 SEC-06 SEC-07 SEC-08 SEC-12 FTL-05: the kernel of every host
// that the runtime supports knows all but WAIT_KILLABLE_RECV.
func TestFlags(t *testing.T) {
	const (
		log       = unix.SECCOMP_FILTER_FLAG_LOG
		specAllow = unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
		listener  = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
		killable  = unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	)
	tests := []struct {
		flags  []specs.LinuxSeccompFlag
		notify bool
		want   uint
	}{
		{nil, false, specAllow},
		{nil, true, specAllow | listener},
		{[]specs.LinuxSeccompFlag{}, false, 0},
		{[]specs.LinuxSeccompFlag{}, true, listener},
		{[]specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_TSYNC"}, false, 0},
		{[]specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow}, false, log | specAllow},
		{[]specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv}, true, killable | listener},
		{[]specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv}, false, 0},
	}
	for _, tt := range tests {
		p := profile(specs.ActAllow)
		if tt.notify {
			p = profile(specs.ActAllow, rule(specs.ActNotify, "getpid"))
		}
		p.Flags = tt.flags
		f := mustCompile(t, p)
		if f.Flags != tt.want || f.Notify != tt.notify {
			t.Errorf("flags %q: %#x, notify %v, want %#x, %v", tt.flags, f.Flags, f.Notify, tt.want, tt.notify)
		}
		if errnos, end := runProbe(t, f, []probeCall{{Nr: getppid}}); len(errnos) != 1 || errnos[0] != 0 {
			t.Errorf("flags %q: loaded filter: %v %s", tt.flags, errnos, end)
		}
	}
	if got := Flags(); !slices.Equal(got, spec.SeccompFlags.Names()) {
		t.Errorf("Flags() = %v, want %v", got, spec.SeccompFlags.Names())
	}
	if kernelTakes(1 << 30) {
		t.Error("the kernel seems to know any flag")
	}
}

// A notifying rule that did not make it into the program needs no listener.
func TestNotifyOfUnknownSyscall(t *testing.T) {
	if f := mustCompile(t, profile(specs.ActAllow, rule(specs.ActNotify, "no_such_call"))); f.Notify {
		t.Error("Notify is set")
	}
}

// The binary tree answers as the linear program does, for every call and for
// the arguments that occur in the rules.
func TestTreeEqualsLinear(t *testing.T) {
	p := dockerProfile(t)
	tree := mustCompile(t, p)
	linear := &Filter{BPF: linearProgram(t, p)}
	if bytes, limit := len(tree.BPF), maxInsns*insnSize; bytes > limit || bytes < 1000*insnSize {
		t.Errorf("program of %d bytes", bytes)
	}
	for _, arch := range []uint32{unix.AUDIT_ARCH_X86_64, unix.AUDIT_ARCH_I386} {
		for _, base := range []int{0, x32Bit} {
			for nr := base; nr <= base+0x1c1; nr++ {
				for _, arg := range []uint64{0, 1, 8, 0x20000, 0x20008, 0xffffffff, 1 << 32, unix.CLONE_NEWUSER, unix.CLONE_VM} {
					got, want := tree.Verdict(arch, nr, [6]uint64{arg}), linear.Verdict(arch, nr, [6]uint64{arg})
					if got != want {
						t.Fatalf("arch %#x nr %#x arg %#x: filter %s, want %s", arch, nr, arg, Action(got), Action(want))
					}
				}
			}
		}
	}
}

// linearProgram builds the filter of p anew, without the binary tree and the
// prologue, by way of a file.
func linearProgram(t *testing.T, p *specs.LinuxSeccomp) []byte {
	t.Helper()
	def := libseccomp.ActErrno.SetReturnCode(int16(unix.EPERM))
	filter, err := libseccomp.NewFilter(def)
	if err != nil {
		t.Fatal(err)
	}
	defer filter.Release()
	c := compiler{filter: filter, defaultAction: def}
	if err := c.addArchs(p.Architectures); err != nil {
		t.Fatal(err)
	}
	for _, call := range p.Syscalls {
		if err := c.addSyscall("", call); err != nil {
			t.Fatal(err)
		}
	}
	bpf, err := exportFile(filter)
	if err != nil {
		t.Fatal(err)
	}
	return bpf
}

// Both ways out of libseccomp give the same program. Which one export takes is
// for libseccomp to say: before 2.6 it cannot write to memory.
func TestExport(t *testing.T) {
	filter, err := emptyFilter(libseccomp.ActAllow)
	if err != nil {
		t.Fatal(err)
	}
	defer filter.Release()
	file, err := exportFile(filter)
	if err != nil || checkProgram(file) != nil {
		t.Fatalf("exportFile: %v, %d bytes", err, len(file))
	}
	mem, err := filter.ExportBPFMem()
	major, minor, _ := libseccomp.GetLibraryVersion()
	if major == 2 && minor < 6 {
		if err != unix.EOPNOTSUPP {
			t.Errorf("ExportBPFMem with libseccomp %s: %v", Version(), err)
		}
		mem, err = file, nil
	}
	if err != nil || !slices.Equal(mem, file) {
		t.Errorf("ExportBPFMem: %v, %d bytes, exportFile %d bytes", err, len(mem), len(file))
	}
	if got, err := export(filter); err != nil || !slices.Equal(got, file) {
		t.Errorf("export: %v, %d bytes, exportFile %d bytes", err, len(got), len(file))
	}
}

func TestCheckProgram(t *testing.T) {
	for _, tt := range []struct {
		size int
		ok   bool
	}{{0, false}, {7, false}, {8, true}, {12, false}, {8 * 4096, true}, {8 * 4097, false}} {
		if err := checkProgram(make([]byte, tt.size)); (err == nil) != tt.ok {
			t.Errorf("checkProgram of %d bytes: %v", tt.size, err)
		}
	}
}
