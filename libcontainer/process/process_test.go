package process

import (
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"skep/nsenter/plan"
)

// fullHost grants the 41 capabilities of Linux 5.9 and later.
var fullHost = Host{Grantable: 1<<41 - 1, LastCap: 40}

const (
	chown = 1 << 0
	kill  = 1 << 5
)

func ptr[T any](v T) *T { return &v }

func allSets(names ...string) *specs.LinuxCapabilities {
	return &specs.LinuxCapabilities{Bounding: names, Effective: names, Inheritable: names, Permitted: names, Ambient: names}
}

// example is a plain process; edits change it.
func example(edits ...func(*specs.Process)) *specs.Process {
	caps := []string{"CAP_KILL", "CAP_NET_BIND_SERVICE"}
	p := &specs.Process{
		Args: []string{"sh"}, Env: []string{"PATH=/usr/bin:/bin"}, Cwd: "/work", NoNewPrivileges: true,
		Capabilities: &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
	}
	for _, edit := range edits {
		edit(p)
	}
	return p
}

// PROC-03 PROC-06 PROC-13 USR-01 USR-02 USR-03 USR-04 USR-05 USR-08 CAP-10
func TestSettle(t *testing.T) {
	for name, c := range map[string]struct {
		process *specs.Process
		host    Host
		want    string
	}{
		"root": {example(), fullHost, `phase process
  umask 0022
  drop 0x1fffffffbdf from the bounding set
  become uid 0 gid 0 groups []
  enter /work
  look for /usr/bin/sh
  look for /bin/sh
`},
		"user with own streams": {
			example(func(p *specs.Process) {
				p.User = specs.User{UID: 1000, GID: 100, AdditionalGids: []uint32{7, 9}, Umask: ptr(uint32(0o27))}
			}),
			Host{Grantable: fullHost.Grantable, LastCap: 40, OwnStreams: [3]bool{1: true, 2: true}}, `phase process
  give stream 1 to uid 1000
  give stream 2 to uid 1000
  umask 0027
  drop 0x1fffffffbdf from the bounding set
  become uid 1000 gid 100 groups [7 9]
  keep capabilities for the next steps
  enter /work
  look for /usr/bin/sh
  look for /bin/sh
`},
		"terminal": {
			example(func(p *specs.Process) { p.Terminal, p.User.UID, p.Args = true, 5, []string{"./x"} }),
			Host{Grantable: fullHost.Grantable, LastCap: 40, KeepGroups: true, OwnStreams: [3]bool{true, true, true}}, `phase process
  use the terminal for the standard streams
  give stream 0 to uid 5
  close tty
  umask 0022
  drop 0x1fffffffbdf from the bounding set
  become uid 5 gid 0
  keep capabilities for the next steps
  enter /work
  look for ./x
`},
		"every capability": {
			example(func(p *specs.Process) { p.Capabilities, p.Args = allSets("CAP_CHOWN"), []string{"/x"} }),
			Host{Grantable: 1}, `phase process
  umask 0022
  become uid 0 gid 0 groups []
  enter /work
  look for /x
`},
	} {
		phase, warnings, err := Settle(c.process, c.host, false)
		if err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v, warnings %q", name, err, warnings)
		} else if got := phase.String(); got != c.want {
			t.Errorf("%s:\n%swant:\n%s", name, got, c.want)
		}
	}
}

// CAP-10 PROC-17 RLIM-02 RLIM-03 RLIM-05 SEC-23 FD-04
func TestRelease(t *testing.T) {
	filter := &Filter{BPF: make([]byte, 24), Flags: 4}
	limited := func(p *specs.Process) {
		p.Rlimits = []specs.POSIXRlimit{
			{Type: "RLIMIT_NOFILE", Soft: 10, Hard: 20}, {Type: "RLIMIT_CORE", Soft: 0, Hard: 18446744073709551615},
		}
	}
	for name, c := range map[string]struct {
		process *specs.Process
		host    Host
		filter  *Filter
		want    string
	}{
		"plain": {example(), fullHost, nil, `phase release
  close descriptors from 3 on at exec
  set capabilities effective 0x420 permitted 0x420 inheritable 0x0 ambient 0x0
  set no_new_privs
  wait for start
  exec /bin/sh ["sh"]
`},
		"late filter, limits": {example(limited), fullHost, filter, `phase release
  close descriptors from 3 on at exec
  set capabilities effective 0x420 permitted 0x420 inheritable 0x0 ambient 0x0
  set no_new_privs
  limit RLIMIT_NOFILE 10 20
  limit RLIMIT_CORE 0 unlimited
  wait for start
  load the seccomp filter of 3 instructions
  exec /bin/sh ["sh"]
`},
		"listener": {example(), fullHost, &Filter{BPF: make([]byte, 8), Flags: 8, Notify: true}, `phase release
  close descriptors from 3 on at exec
  set capabilities effective 0x420 permitted 0x420 inheritable 0x0 ambient 0x0
  set no_new_privs
  load the seccomp filter of 1 instructions, announce its listener
  wait for start
  exec /bin/sh ["sh"]
`},
		"early filter, preserved descriptors": {
			example(func(p *specs.Process) { p.NoNewPrivileges, p.Capabilities = false, nil }),
			Host{Grantable: fullHost.Grantable, LastCap: 40, Preserve: []plan.Source{path{"a", 0}, path{"b", 0}}}, filter, `phase release
  open  a → input0
  open  b → input1
  preserve input0 as 3 input1 as 4
  close descriptors from 5 on at exec
  load the seccomp filter of 3 instructions
  set capabilities effective 0x0 permitted 0x0 inheritable 0x0 ambient 0x0
  wait for start
  exec /bin/sh ["sh"]
`},
	} {
		phase := Release(c.process, "/bin/sh", []string{"A=1"}, c.host, c.filter)
		if got := phase.String(); got != c.want {
			t.Errorf("%s:\n%swant:\n%s", name, got, c.want)
		}
		for _, s := range phase.Steps {
			if f, ok := s.(plan.For); ok && f.Item == "linux.seccomp" && f.Step.(plan.Seccomp).Flags != c.filter.Flags {
				t.Errorf("%s: the flags of the filter are lost", name)
			}
		}
		if exec := phase.Steps[len(phase.Steps)-1].(plan.Exec); !slices.Equal(exec.Env, []string{"A=1"}) {
			t.Errorf("%s: environment %q", name, exec.Env)
		}
	}
}

// Phases have to pass the checks that precede their sending.
func TestPhasesLower(t *testing.T) {
	p := example(func(p *specs.Process) {
		p.User.UID, p.Terminal, p.Env = 1000, true, []string{"PATH=" + strings.Repeat("/x:", 20)}
	})
	settle, _, err := Settle(p, fullHost, true)
	if err != nil {
		t.Fatal(err)
	}
	phases := append([]*plan.Phase{settle}, MoreProbes(p)...)
	phases = append(phases, Release(p, "/bin/sh", nil, fullHost, &Filter{BPF: make([]byte, 8)}))
	for _, phase := range phases {
		var known plan.SlotSet
		for _, s := range [...]plan.Slot{plan.Root, plan.PtySlave, plan.Gate, plan.Verdict} {
			known.Add(s)
		}
		if _, err := plan.Lower(phase, &known); err != nil {
			t.Error(err)
		}
	}
}

// SEC-23: without no_new_privs a filter takes CAP_SYS_ADMIN.
func TestFilterNeedsAdmin(t *testing.T) {
	poor := Host{Grantable: chown, LastCap: 40}
	early := example(func(p *specs.Process) { p.NoNewPrivileges, p.Capabilities = false, nil })
	if _, _, err := Settle(early, poor, true); err == nil || !strings.Contains(err.Error(), "CAP_SYS_ADMIN") {
		t.Errorf("early filter without CAP_SYS_ADMIN: %v", err)
	}
	if _, _, err := Settle(early, poor, false); err != nil {
		t.Errorf("no filter: %v", err)
	}
	if _, _, err := Settle(example(), poor, true); err != nil {
		t.Errorf("late filter: %v", err)
	}
}

// RLIM-06: a hard limit at or below the present one needs no help of the parent's.
func TestRaiseLimits(t *testing.T) {
	limit := func(soft, hard uint64) []plan.Rlimit {
		return RaiseLimits(example(func(p *specs.Process) {
			p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: soft, Hard: hard}}
		}))
	}
	if got := limit(1, 2); len(got) > 0 {
		t.Errorf("lowering: %v", got)
	}
	got := limit(1, 1<<63) // above any fs.nr_open
	if len(got) != 1 || got[0].Hard != 1<<63 || got[0].Name != "RLIMIT_NOFILE" || got[0].Soft == 1 || got[0].Resource != 7 {
		t.Errorf("raising: %+v", got)
	}
}

// USR-05: groups that cannot be set are refused where asked for, and left alone otherwise.
func TestGroupsDenied(t *testing.T) {
	h := fullHost
	h.KeepGroups = true
	if _, _, err := Settle(example(user(5, 5, 7)), h, false); err == nil || !strings.HasPrefix(err.Error(), "process.user.additionalGids: ") {
		t.Errorf("groups asked for: %v", err)
	}
	if _, _, err := Settle(example(user(5, 5)), h, false); err != nil {
		t.Errorf("no groups: %v", err)
	}
}
