package seccomp

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const (
	allow   = unix.SECCOMP_RET_ALLOW
	eperm   = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	enosys  = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	getpid  = unix.SYS_GETPID // takes no arguments, so that tests can pass any
	getppid = unix.SYS_GETPPID
)

func ref(n uint) *uint { return &n }

func mustCompile(t *testing.T, p *specs.LinuxSeccomp) *Filter {
	t.Helper()
	f, err := Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// rule returns a rule for one call.
func rule(act specs.LinuxSeccompAction, name string, args ...specs.LinuxSeccompArg) specs.LinuxSyscall {
	return specs.LinuxSyscall{Names: []string{name}, Action: act, Args: args}
}

func profile(def specs.LinuxSeccompAction, rules ...specs.LinuxSyscall) *specs.LinuxSeccomp {
	return &specs.LinuxSeccomp{DefaultAction: def, Syscalls: rules}
}

// SEC-02 SEC-15 SEC-16 SEC-20: what each action does to the call it names, and
// as the default to others.
func TestActions(t *testing.T) {
	withErrno := func(r specs.LinuxSyscall, errno uint) specs.LinuxSyscall {
		r.ErrnoRet = &errno
		return r
	}
	waitKillable := profile(specs.ActAllow, rule(specs.ActNotify, "getpid"))
	waitKillable.Flags = []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagWaitKillableRecv}

	tests := []struct {
		name string
		p    *specs.LinuxSeccomp
		want uint32 // of getpid; getppid stays allowed before it
	}{
		{"allow", profile(specs.ActAllow), allow},
		{"errno", profile(specs.ActAllow, rule(specs.ActErrno, "getpid")), eperm},
		{"errnoRet", profile(specs.ActAllow, withErrno(rule(specs.ActErrno, "getpid"), 12)), unix.SECCOMP_RET_ERRNO | 12},
		{"errnoRet 0", profile(specs.ActAllow, withErrno(rule(specs.ActErrno, "getpid"), 0)), unix.SECCOMP_RET_ERRNO},
		{"kill", profile(specs.ActAllow, rule(specs.ActKill, "getpid")), unix.SECCOMP_RET_KILL_THREAD},
		{"kill thread", profile(specs.ActAllow, rule(specs.ActKillThread, "getpid")), unix.SECCOMP_RET_KILL_THREAD},
		{"kill process", profile(specs.ActAllow, rule(specs.ActKillProcess, "getpid")), unix.SECCOMP_RET_KILL_PROCESS},
		{"trap", profile(specs.ActAllow, rule(specs.ActTrap, "getpid")), unix.SECCOMP_RET_TRAP},
		{"log", profile(specs.ActAllow, rule(specs.ActLog, "getpid")), unix.SECCOMP_RET_LOG},
		{"trace", profile(specs.ActAllow, rule(specs.ActTrace, "getpid")), unix.SECCOMP_RET_TRACE | uint32(unix.EPERM)},
		{"trace with message", profile(specs.ActAllow, withErrno(rule(specs.ActTrace, "getpid"), 7)), unix.SECCOMP_RET_TRACE | 7},
		{"notify", profile(specs.ActAllow, rule(specs.ActNotify, "getpid")), unix.SECCOMP_RET_USER_NOTIF},
		{"notify, wait killable", waitKillable, unix.SECCOMP_RET_USER_NOTIF},
		{"default errno", profile(specs.ActErrno, rule(specs.ActAllow, "getppid"), rule(specs.ActAllow, "clone3")), eperm},
		{"default errnoRet", &specs.LinuxSeccomp{
			DefaultAction: specs.ActErrno, DefaultErrnoRet: ref(4094),
			Syscalls: []specs.LinuxSyscall{rule(specs.ActAllow, "getppid"), rule(specs.ActAllow, "clone3")},
		}, unix.SECCOMP_RET_ERRNO | 4094},
		{"default kill process", profile(specs.ActKillProcess, rule(specs.ActAllow, "getppid"), rule(specs.ActAllow, "clone3")), unix.SECCOMP_RET_KILL_PROCESS},
		{"default log", profile(specs.ActLog), unix.SECCOMP_RET_LOG},
		{"same as default", profile(specs.ActErrno, rule(specs.ActAllow, "getppid"), rule(specs.ActErrno, "getpid"), rule(specs.ActAllow, "clone3")), eperm},
		{"default errno, errnoRet differs", profile(specs.ActErrno, rule(specs.ActAllow, "getppid"),
			withErrno(rule(specs.ActErrno, "getpid"), 12), rule(specs.ActAllow, "clone3")), unix.SECCOMP_RET_ERRNO | 12},
		{"first rule wins", profile(specs.ActAllow, rule(specs.ActErrno, "getpid"), rule(specs.ActKill, "getpid")), eperm},
		{"rule twice", profile(specs.ActAllow, rule(specs.ActErrno, "getpid"), rule(specs.ActErrno, "getpid")), eperm},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := uint32(allow)
			if tt.p.DefaultAction == specs.ActLog {
				before = unix.SECCOMP_RET_LOG
			}
			checkVerdicts(t, tt.p, []verdictCase{{nr: getppid, want: before}, {nr: getpid, want: tt.want}})
		})
	}
}

// SEC-09: a filter that kills at the first call is legal.
func TestKillEverything(t *testing.T) {
	checkVerdicts(t, profile(specs.ActKill), []verdictCase{{nr: getpid, want: unix.SECCOMP_RET_KILL_THREAD}})
	checkVerdicts(t, profile(specs.ActKillProcess), []verdictCase{{nr: 100000, want: unix.SECCOMP_RET_KILL_PROCESS}})
}

// SEC-17: comparisons take all 64 bits of an argument.
func TestOperators(t *testing.T) {
	const value = 0x5_0000_0007
	operands := []uint64{0, 7, 0x5_0000_0000, value - 1, value, value + 1, 0x4_0000_0009, 0x6_0000_0001, 0xdead_0000_0007, 1<<64 - 1}
	tests := []struct {
		op    specs.LinuxSeccompOperator
		match func(arg uint64) bool
	}{
		{specs.OpNotEqual, func(arg uint64) bool { return arg != value }},
		{specs.OpLessThan, func(arg uint64) bool { return arg < value }},
		{specs.OpLessEqual, func(arg uint64) bool { return arg <= value }},
		{specs.OpEqualTo, func(arg uint64) bool { return arg == value }},
		{specs.OpGreaterEqual, func(arg uint64) bool { return arg >= value }},
		{specs.OpGreaterThan, func(arg uint64) bool { return arg > value }},
		{specs.OpMaskedEqual, func(arg uint64) bool { return arg&value == 0x1_0000_0005 }},
	}
	for _, tt := range tests {
		for _, index := range []uint{0, 5} {
			t.Run(string(tt.op), func(t *testing.T) {
				var cases []verdictCase
				for _, arg := range operands {
					c := verdictCase{nr: getpid, want: allow}
					c.args[index] = arg
					if tt.match(arg) {
						c.want = eperm
					}
					cases = append(cases, c)
				}
				checkVerdicts(t, profile(specs.ActAllow, rule(specs.ActErrno, "getpid",
					specs.LinuxSeccompArg{Index: index, Value: value, ValueTwo: 0x1_0000_0005, Op: tt.op})), cases)
			})
		}
	}
}

// SEC-17: value is the mask and valueTwo what remains under it.
func TestMaskedEqual(t *testing.T) {
	const namespaces = 0x7e02_0000 // the CLONE_NEW* that Docker refuses
	checkVerdicts(t, profile(specs.ActErrno,
		rule(specs.ActAllow, "getpid", specs.LinuxSeccompArg{Value: namespaces, Op: specs.OpMaskedEqual}),
		rule(specs.ActAllow, "getppid", specs.LinuxSeccompArg{Index: 1, Value: 0xff00_0000_00ff, ValueTwo: 0x1200_0000_0034, Op: specs.OpMaskedEqual}),
		rule(specs.ActAllow, "clone3"),
	), []verdictCase{
		{nr: getpid, args: [6]uint64{unix.CLONE_VM | unix.CLONE_FS}, want: allow},
		{nr: getpid, args: [6]uint64{unix.CLONE_VM | unix.CLONE_NEWUSER}, want: eperm},
		{nr: getpid, args: [6]uint64{1 << 40}, want: allow},
		{nr: getppid, args: [6]uint64{0, 0x1200_0000_0034}, want: allow},
		{nr: getppid, args: [6]uint64{0, 0xffff_12ff_ffff_ff34}, want: allow},
		{nr: getppid, args: [6]uint64{0, 0x1300_0000_0034}, want: eperm},
		{nr: getppid, args: [6]uint64{0, 0x34}, want: eperm},
	})
}

// SEC-18: conditions on different arguments must all hold; of those on one
// argument any suffices, and then each condition of the rule stands alone.
func TestRepeatedIndex(t *testing.T) {
	eq := func(index uint, value uint64) specs.LinuxSeccompArg {
		return specs.LinuxSeccompArg{Index: index, Value: value, Op: specs.OpEqualTo}
	}
	checkVerdicts(t, profile(specs.ActAllow,
		rule(specs.ActErrno, "getpid", eq(0, 1), eq(1, 2)),
		rule(specs.ActErrno, "getppid", eq(0, 1), eq(1, 2), eq(0, 3)),
	), []verdictCase{
		{nr: getpid, args: [6]uint64{1, 2}, want: eperm},
		{nr: getpid, args: [6]uint64{1, 3}, want: allow},
		{nr: getpid, args: [6]uint64{0, 2}, want: allow},
		{nr: getppid, args: [6]uint64{1, 0}, want: eperm},
		{nr: getppid, args: [6]uint64{3, 0}, want: eperm},
		{nr: getppid, args: [6]uint64{0, 2}, want: eperm},
		{nr: getppid, args: [6]uint64{2, 1}, want: allow},
	})
}
