package tests

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const showCaps = `grep -E '^Cap|^NoNewPrivs|^Seccomp:' /proc/self/status`

// Bits of the capabilities that these tests use.
const (
	noCaps      = "0000000000000000"
	capChown    = "0000000000000001"
	capKill     = "0000000000000020"
	defaultCaps = "0000000020000420" // AUDIT_WRITE, KILL, NET_BIND_SERVICE
)

// CAP-01 CAP-02 CAP-03 CAP-04 CAP-05 CAP-08 CAP-10
func TestCapabilities(t *testing.T) {
	r := newRuntime(t)
	sets := func(c *specs.LinuxCapabilities) edit { return proc(func(p *specs.Process) { p.Capabilities = c }) }
	kill := []string{"CAP_KILL"}
	for name, c := range map[string]struct {
		edits                   []edit
		inh, prm, eff, bnd, amb string
	}{
		"default, root": {nil, noCaps, defaultCaps, defaultCaps, defaultCaps, noCaps},
		// The kernel empties the sets of a program that is not root's.
		"default, user": {[]edit{user(1000, 1000)}, noCaps, noCaps, noCaps, defaultCaps, noCaps},
		"ambient, user": {[]edit{user(1000, 1000), sets(&specs.LinuxCapabilities{
			Bounding: kill, Effective: kill, Inheritable: kill, Permitted: kill, Ambient: kill,
		})}, capKill, capKill, capKill, capKill, capKill},
		"inheritable, root": {[]edit{sets(&specs.LinuxCapabilities{
			Bounding: kill, Effective: kill, Inheritable: kill, Permitted: kill,
		})}, capKill, capKill, capKill, capKill, noCaps},
		"absent, root": {[]edit{sets(nil)}, noCaps, noCaps, noCaps, noCaps, noCaps},
		"empty, user":  {[]edit{user(1000, 1000), sets(&specs.LinuxCapabilities{})}, noCaps, noCaps, noCaps, noCaps, noCaps},
	} {
		t.Log(name)
		wantStatus(t, r.sh(showCaps, c.edits...), map[string]string{
			"CapInh": c.inh, "CapPrm": c.prm, "CapEff": c.eff, "CapBnd": c.bnd, "CapAmb": c.amb,
		})
	}
}

// The caller's securebits, which would let programs keep capabilities beyond setuid(2), are not the container's. Locked
// ones cannot be taken away; that others are locked changes nothing.
func TestSecurebits(t *testing.T) {
	r := newRuntime(t)
	under := func(bits string) []string {
		return []string{"capsh", "--secbits=" + bits, "--", "-c", `exec "$@"`, "sh"}
	}
	show := []string{"/usr/bin/setpriv", "--dump"}
	const noFixup, locked, noFixupLocked = "0x4", "0x8", "0xc"
	for name, e := range map[string][]edit{"root": nil, "user": {user(1000, 1000)}, "user namespace": {userNamespace()}} {
		b := newBundle(t, append(e, hostPrograms(), args(show...))...)
		b.chown(100_000, 100_000) // for the mount points in a user namespace
		for bits, left := range map[string]string{noFixup: "[none]", locked: "no_setuid_fixup_locked", noFixupLocked: ""} {
			if name == "user namespace" {
				left = "[none]"
			}
			res := r.call(call{args: r.runLine(b), wrap: under(bits)})
			if left == "" {
				checkError(t, "run", res.stderr, "process.capabilities: clear the caller's securebits 0xc, unless they are locked: prctl: operation not permitted")
			} else if !strings.Contains(res.stdout, "Securebits: "+left+"\n") {
				t.Errorf("%s, %s: exit %d, %s%s", name, bits, res.code, res.stdout, res.stderr)
			}
		}
	}
	c := r.runDetached(newBundle(t, hostPrograms()))
	res := r.call(call{args: c.execLine(nil, show...), wrap: under(noFixup)})
	if !strings.Contains(res.stdout, "Securebits: [none]\n") {
		t.Errorf("exec: exit %d, %s%s", res.code, res.stdout, res.stderr)
	}
}

// CAP-06 CAP-07 ERR-02: a name that means nothing, or a capability that the
// runtime lacks itself, is a warning.
func TestUngrantableCapabilities(t *testing.T) {
	r := newRuntime(t)
	names := []string{"CAP_CHOWN", "CAP_NO_SUCH", "CAP_SYS_TTY_CONFIG", "CAP_NOR_THIS"}
	b := newBundle(t, args("/bin/sh", "-c", showCaps), capabilities(names...))
	// The runtime may not have all capabilities itself.
	poor := []string{"capsh", "--drop=cap_sys_tty_config", "--", "-c", `exec "$@"`, "sh"}
	res := r.call(call{args: r.runLine(b), wrap: poor})
	if res.code != 0 {
		t.Fatalf("exit %d: %s", res.code, res.stderr)
	}
	wantStatus(t, res.stdout, map[string]string{"CapEff": capChown, "CapBnd": capChown, "CapPrm": capChown, "CapInh": noCaps})
	wantLines(t, res.stderr, `skep: warning: process.capabilities: ignoring unknown capabilities: ["CAP_NO_SUCH" "CAP_NOR_THIS"]`,
		"skep: warning: process.capabilities: cannot be granted here: CAP_SYS_TTY_CONFIG")
}

// PROC-17
func TestNoNewPrivileges(t *testing.T) {
	r := newRuntime(t)
	for on, want := range map[bool]string{true: "1", false: "0"} {
		out := r.sh(showCaps, proc(func(p *specs.Process) { p.NoNewPrivileges = on }))
		wantStatus(t, out, map[string]string{"NoNewPrivs": want, "Seccomp": "0"})
	}
}

// PROC-18 PROC-19
func TestOOMScoreAdj(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/cat", "/proc/self/oom_score_adj"))
	raised := []string{"/bin/sh", "-c", `echo 300 >/proc/self/oom_score_adj; exec "$@"`, "sh"}
	wantLines(t, r.succeed(call{args: r.runLine(b), wrap: raised}).stdout, "300")
	for _, score := range []int{400, 1000, 0} {
		b.spec.Process.OOMScoreAdj = &score
		b.save()
		wantLines(t, r.succeed(call{args: r.runLine(b), wrap: raised}).stdout, itoa(score))
	}
}

// RLIM-01 RLIM-02 RLIM-03 RLIM-05 RLIM-07
func TestRlimits(t *testing.T) {
	r := newRuntime(t)
	rows := map[string]string{
		"RLIMIT_CPU": "Max cpu time", "RLIMIT_FSIZE": "Max file size", "RLIMIT_DATA": "Max data size",
		"RLIMIT_STACK": "Max stack size", "RLIMIT_CORE": "Max core file size", "RLIMIT_RSS": "Max resident set",
		"RLIMIT_NPROC": "Max processes", "RLIMIT_NOFILE": "Max open files", "RLIMIT_MEMLOCK": "Max locked memory",
		"RLIMIT_AS": "Max address space", "RLIMIT_LOCKS": "Max file locks", "RLIMIT_SIGPENDING": "Max pending signals",
		"RLIMIT_MSGQUEUE": "Max msgqueue size", "RLIMIT_NICE": "Max nice priority", "RLIMIT_RTPRIO": "Max realtime priority",
		"RLIMIT_RTTIME": "Max realtime timeout",
	}
	// Hard limits can only be lowered everywhere; these fit any machine.
	limits := map[string]specs.POSIXRlimit{
		"RLIMIT_NICE": {Soft: 0, Hard: 0}, "RLIMIT_RTPRIO": {Soft: 0, Hard: 0}, "RLIMIT_NOFILE": {Soft: 100, Hard: 200},
		"RLIMIT_STACK": {Soft: 4 << 20, Hard: 1<<64 - 1},
	}
	b := newBundle(t, args("/bin/cat", "/proc/self/limits"), proc(func(p *specs.Process) {
		p.Rlimits = nil
		for name := range rows {
			limit, ok := limits[name]
			if !ok {
				limit = specs.POSIXRlimit{Soft: 500_000, Hard: 600_000}
				if name == "RLIMIT_NPROC" || name == "RLIMIT_SIGPENDING" {
					limit = specs.POSIXRlimit{Soft: 5000, Hard: 6000}
				}
				if name == "RLIMIT_AS" || name == "RLIMIT_DATA" || name == "RLIMIT_FSIZE" {
					limit = specs.POSIXRlimit{Soft: 1 << 33, Hard: 1 << 34}
				}
			}
			limit.Type = name
			limits[name] = limit
			p.Rlimits = append(p.Rlimits, limit)
		}
	}))
	table := r.output(b)
	for name, row := range rows {
		_, rest, _ := strings.Cut(table, "\n"+row+" ")
		fields := append(strings.Fields(rest), "", "")
		if got, want := fields[:2], []string{rlimit(limits[name].Soft), rlimit(limits[name].Hard)}; !slices.Equal(got, want) {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func rlimit(n uint64) string {
	if n == 1<<64-1 {
		return "unlimited"
	}
	return itoa(n)
}

// RLIM-03: the kernel refuses to raise a hard limit without privilege.
func TestRlimitRaise(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, proc(func(p *specs.Process) {
		p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 10, Hard: 1 << 40}} // above fs.nr_open
	}))
	r.fails("process.rlimits: raise the hard limit RLIMIT_NOFILE to 1099511627776: operation not permitted", "create", "--bundle", b.dir, r.id())
	// RLIM-06: above the caller's own it takes CAP_SYS_RESOURCE on the host, in a user namespace too.
	low := []string{"/bin/sh", "-c", `ulimit -n 400; exec "$@"`, "sh"}
	for _, more := range []edit{func(*specs.Spec) {}, userNamespace()} {
		b = newBundle(t, more, args("/bin/sh", "-c", "ulimit -n; ulimit -Hn"), proc(func(p *specs.Process) {
			p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 500, Hard: 600}}
		}))
		b.chown(100_000, 100_000)
		raises := call{args: r.runLine(b), wrap: low}
		if may(t, unix.CAP_SYS_RESOURCE) {
			wantLines(t, r.succeed(raises).stdout, "500", "600")
		} else {
			r.refuse(raises, "process.rlimits: raise the hard limit RLIMIT_NOFILE to 600: operation not permitted")
		}
	}
}

// may says whether who runs the tests has a capability.
func may(t *testing.T, capability uint) bool {
	t.Helper()
	mask, err := strconv.ParseUint(statusFields(readFile(t, "/proc/self/status"))["CapEff"], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return mask&(1<<capability) != 0
}

func seccomp(profile specs.LinuxSeccomp) edit {
	return linux(func(l *specs.Linux) { l.Seccomp = &profile })
}

// SEC-01 SEC-02 SEC-15 SEC-16 SEC-23 PROC-17
func TestSeccomp(t *testing.T) {
	r := newRuntime(t)
	deny := seccomp(specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow,
		Syscalls: []specs.LinuxSyscall{
			{Names: []string{"mkdir", "mkdirat"}, Action: specs.ActErrno, ErrnoRet: ptr(uint(28))}, // ENOSPC
			{Names: []string{"sync", "no_such_syscall"}, Action: specs.ActErrno},
		},
	})
	for _, nnp := range []bool{true, false} {
		script := `grep -c '^Seccomp:.2$' /proc/self/status; mkdir /x || echo refused; ls -d /x || echo absent`
		b := newBundle(t, deny, args("/bin/sh", "-c", script), proc(func(p *specs.Process) { p.NoNewPrivileges = nnp }))
		res := r.run(b)
		wantLines(t, res.stdout, "1", "refused", "absent")
		if !strings.Contains(res.stderr, "No space left on device") {
			t.Errorf("no_new_privs %v: mkdir said %q", nnp, res.stderr)
		}
	}
}

// SEC-17
func TestSeccompArguments(t *testing.T) {
	r := newRuntime(t)
	out := r.sh("mknod /tmp/fifo p && echo fifo; mknod /tmp/char c 1 3 2>/dev/null || echo refused", capabilities("CAP_MKNOD"),
		seccomp(specs.LinuxSeccomp{
			DefaultAction: specs.ActAllow,
			Syscalls: []specs.LinuxSyscall{
				{Names: []string{"mknod"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{Index: 1, Value: 0o170000, ValueTwo: 0o20000, Op: specs.OpMaskedEqual}}},
				{Names: []string{"mknodat"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{Index: 2, Value: 0o170000, ValueTwo: 0o20000, Op: specs.OpMaskedEqual}}},
			},
		}))
	wantLines(t, out, "fifo", "refused")
}

// SEC-15: a killed program ends by SIGSYS.
func TestSeccompKill(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/mkdir", "/x"), seccomp(specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow,
		Syscalls:      []specs.LinuxSyscall{{Names: []string{"mkdir", "mkdirat"}, Action: specs.ActKillProcess}},
	}))
	if res := r.run(b); res.code != 128+31 {
		t.Errorf("exit %d, want 159", res.code)
	}
}

// SEC-09: a filter that lets nothing through is legal, and ends the container, whatever it does to its calls. With
// privileges still to be dropped below it, init cannot do without some.
func TestSeccompNothing(t *testing.T) {
	r := newRuntime(t)
	keepZombies(t) // of one that is reaped at once start cannot tell how it has ended
	for _, action := range []specs.LinuxSeccompAction{specs.ActKill, specs.ActKillProcess, specs.ActTrap, specs.ActErrno} {
		nothing := seccomp(specs.LinuxSeccomp{DefaultAction: action})
		b := newBundle(t, nothing)
		const died = "died in execve: killed by its own seccomp filter"
		r.fails(died, r.runLine(b)...)
		c := r.create(b)
		r.fails(died, "start", c.id)
		c.awaitStatus("stopped")
		c.delete()
		r.fails("linux.seccomp: init needs prctl below the filter", r.runLine(newBundle(t, nothing, noNewPrivileges(false)))...)
	}
}

// UTS-01 UTS-02
func TestHostname(t *testing.T) {
	r := newRuntime(t)
	before := readFile(t, "/proc/sys/kernel/hostname") + readFile(t, "/proc/sys/kernel/domainname")
	out := r.sh("hostname; cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname", func(s *specs.Spec) {
		s.Hostname, s.Domainname = "inner-host", "inner.domain"
	})
	wantLines(t, out, "inner-host", "inner-host", "inner.domain")
	if after := readFile(t, "/proc/sys/kernel/hostname") + readFile(t, "/proc/sys/kernel/domainname"); after != before {
		t.Errorf("the host's names changed from %q to %q", before, after)
	}
}

// SYS-01 SYS-07
func TestSysctl(t *testing.T) {
	r := newRuntime(t)
	before := readFile(t, "/proc/sys/net/ipv4/ip_forward")
	out := r.sh("cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ip_default_ttl /proc/sys/kernel/msgmax", linux(func(l *specs.Linux) {
		l.Sysctl = map[string]string{"net.ipv4.ip_forward": "1", "net/ipv4/ip_default_ttl": "77", "kernel.msgmax": "9000"}
	}))
	wantLines(t, out, "1", "77", "9000")
	if after := readFile(t, "/proc/sys/net/ipv4/ip_forward"); after != before {
		t.Errorf("the host's ip_forward changed to %s", after)
	}
	b := newBundle(t, linux(func(l *specs.Linux) { l.Sysctl = map[string]string{"net.ipv4.ip_default_ttl": "999"} }))
	r.fails(`linux.sysctl["net.ipv4.ip_default_ttl"]: write 999 to /proc/sys/net/ipv4/ip_default_ttl: write: invalid argument`, r.runLine(b)...)
}

// PRP-14 PRP-16: it is set before the filter forbids it.
func TestPersonality(t *testing.T) {
	r := newRuntime(t)
	arch := strings.TrimSpace(readFile(t, "/proc/sys/kernel/arch"))
	narrow := map[string]string{"x86_64": "i686", "aarch64": "armv8l"}[arch]
	for domain, want := range map[specs.LinuxPersonalityDomain][]string{specs.PerLinux: {arch, "00000000"}, specs.PerLinux32: {narrow, "00000008"}} {
		for _, nnp := range []bool{true, false} {
			out := r.sh("uname -m; cat /proc/self/personality", noNewPrivileges(nnp), seccomp(specs.LinuxSeccomp{
				DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"personality"}, Action: specs.ActKillProcess}},
			}), linux(func(l *specs.Linux) { l.Personality = &specs.LinuxPersonality{Domain: domain} }))
			wantLines(t, out, want...)
		}
	}
}
