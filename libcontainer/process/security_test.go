package process

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

func labels(appArmor, selinux string) func(*specs.Process) {
	return func(p *specs.Process) { p.ApparmorProfile, p.SelinuxLabel = appArmor, selinux }
}

// LSM-01 LSM-05 USR-05: what the host does not have is refused where it is asked for, and only there.
func TestCheck(t *testing.T) {
	groups := func(p *specs.Process) { p.User.AdditionalGids = []uint32{7} }
	for _, c := range []struct {
		edit func(*specs.Process)
		host Host
		want string
	}{
		{labels("", ""), Host{}, ""},
		{labels("web", ""), Host{AppArmor: true}, ""},
		{labels("", "u:r:t"), Host{SELinux: true}, ""},
		{groups, Host{}, ""},
		{labels("web", ""), Host{SELinux: true}, "process.apparmorProfile: AppArmor is not enabled on this host"},
		{labels("", "u:r:t"), Host{AppArmor: true}, "process.selinuxLabel: SELinux is not enabled on this host"},
		{groups, Host{KeepGroups: true}, "process.user.additionalGids: the user namespace denies setgroups"},
	} {
		err := Check(example(c.edit), c.host)
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
		if c.want == "" {
			continue
		}
		c.host.Grantable = fullHost.Grantable
		if _, _, err := Settle(example(c.edit), c.host, false); err == nil || err.Error() != c.want {
			t.Errorf("Settle: %v, want %q", err, c.want)
		}
	}
}

// LSM-01 LSM-05 LSM-07 LSM-08: what is said before the user changes.
func TestSecuritySteps(t *testing.T) {
	for name, c := range map[string]struct {
		edit    func(*specs.Process)
		keyring string
		want    string
	}{
		"nothing": {labels("", ""), "", ""},
		"keyring": {labels("", ""), "_ses.web", "  join the session keyring _ses.web\n"},
		"AppArmor": {labels("web", ""), "_ses.web", "  write exec web to `/proc/thread-self/attr/apparmor/exec`\n" +
			"  join the session keyring _ses.web\n  close procfs\n"},
		"SELinux": {labels("", "u:r:t:s0"), "_ses.web", "  write u:r:t:s0 to `/proc/thread-self/attr/exec`\n" +
			"  write u:r:t:s0 to `/proc/thread-self/attr/keycreate`\n  join the session keyring _ses.web\n  close procfs\n"},
		"SELinux, no keyring": {labels("", "u:r:t:s0"), "", "  write u:r:t:s0 to `/proc/thread-self/attr/exec`\n  close procfs\n"},
	} {
		h := Host{Grantable: fullHost.Grantable, LastCap: 40, AppArmor: true, SELinux: true, Keyring: c.keyring}
		phase, _, err := Settle(example(c.edit), h, false)
		if err != nil {
			t.Fatal(err)
		}
		known := plan.SlotSet(1<<plan.Root | 1<<plan.Procfs)
		if _, err := plan.Lower(phase, &known); err != nil {
			t.Error(err)
		}
		before, _, _ := strings.Cut(phase.String(), "  umask")
		if got := strings.TrimPrefix(before, "phase process\n"); got != c.want {
			t.Errorf("%s:\n%swant:\n%s", name, got, c.want)
		}
	}
}

// LSM-01: the error of a machine without AppArmor keeps the path that podman looks for.
func TestPlayLabelRefused(t *testing.T) {
	c := launch(t, unix.CLONE_NEWNS)
	c.host.AppArmor = true
	c.play(&plan.Phase{Name: "procfs", Steps: []plan.Step{plan.Filesystem{Type: "proc", Into: plan.Procfs}}})
	phase, _, err := Settle(example(labels("no-such-profile", "")), c.host, false)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Run(phase)
	const want = "process.apparmorProfile: write exec no-such-profile to `/proc/thread-self/attr/apparmor/exec`: "
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %s…", err, want)
	}
}

// LSM-07: the keyring is another one than the test's, and its user can find it.
func TestPlayKeyring(t *testing.T) {
	own, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
	if err != nil {
		t.Fatal(err)
	}
	c := launch(t, 0)
	c.host.Keyring = "_ses.skep-test"
	phase, _, err := Settle(example(at("/"), user(1000, 1000)), c.host, false)
	if err != nil {
		t.Fatal(err)
	}
	serial := c.play(phase).Slot(plan.Keyring)
	if serial <= 0 || serial == own {
		t.Fatalf("keyring %d, the test's is %d", serial, own)
	}
	const want = "keyring;0;0;3f1b0000;_ses.skep-test"
	if got, err := unix.KeyctlString(unix.KEYCTL_DESCRIBE, serial); err != nil || got != want {
		t.Errorf("%q (%v), want %q", got, err, want)
	}
}

// SCHED-06 IOP-01 MPOL-04 LSM-01 LSM-07: a bare errno of these says too little.
func TestHint(t *testing.T) {
	scheduler := func(policy uint32) plan.Step { return plan.Scheduler{Policy: policy} }
	for _, c := range []struct {
		step  plan.Step
		errno unix.Errno
		want  string
	}{
		{scheduler(unix.SCHED_DEADLINE), unix.EPERM, "cpuset"},
		{scheduler(unix.SCHED_DEADLINE), unix.EBUSY, "bandwidth"},
		{scheduler(unix.SCHED_FIFO), unix.EPERM, "realtimeRuntime"},
		{scheduler(unix.SCHED_RR), unix.EPERM, "CAP_SYS_NICE"},
		{scheduler(unix.SCHED_BATCH), unix.EPERM, "nice"},
		{scheduler(unix.SCHED_BATCH), unix.EINVAL, ""},
		{plan.IOPriority{}, unix.EPERM, "CAP_SYS_NICE"},
		{plan.MemoryPolicy{}, unix.ENOSYS, "CONFIG_NUMA"},
		{plan.MemoryPolicy{}, unix.EINVAL, "nodes"},
		{plan.SetLabel{Module: "apparmor"}, unix.ENOENT, "loaded"},
		{plan.SetLabel{}, unix.EINVAL, "policy"},
		{plan.SetLabel{}, unix.ENOENT, ""},
		{plan.SessionKeyring{}, unix.EDQUOT, "maxkeys"},
		{plan.Umask{}, unix.EPERM, ""},
	} {
		for _, step := range []plan.Step{c.step, plan.For{Item: "x", Step: c.step}} {
			got := Hint(&plan.StepError{Step: step, Errno: c.errno})
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("%T %v: %q, want %q in it", c.step, c.errno, got, c.want)
			}
		}
	}
}

// FD-04: the descriptors stand where the program expects them, in their order, and nothing else does.
func TestPlayPreserve(t *testing.T) {
	c := launch(t, 0)
	for _, name := range []string{"first", "second", "third"} {
		write(t, c.dir+"/"+name, name+"\n", 0o644)
		c.host.Preserve = append(c.host.Preserve, path{c.dir + "/" + name, os.O_RDONLY})
	}
	out := c.dir + "/out"
	p := example(at("/"), user(1000, 1000), func(p *specs.Process) {
		p.Args = []string{"/bin/sh", "-c", "cat <&3; cat <&4; cat <&5; (ls /proc/self/fd)"}
		p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 12, Hard: 12}}
	})
	write(t, out, "", 0o666)
	c.play(c.inputs(map[plan.Slot]path{plan.Mount: {out, os.O_WRONLY}}))
	c.play(&plan.Phase{Name: "stdout", Steps: []plan.Step{dup{plan.Mount, 1}}})
	c.atGate(p, nil)
	if errno, status := c.open(); errno != 0 || status.ExitStatus() != 0 {
		t.Errorf("%v, exit %d", errno, status.ExitStatus())
	}
	got, err := os.ReadFile(out)
	const want = "first\nsecond\nthird\n0\n1\n2\n3\n4\n5\n6\n" // ls has its directory open
	if err != nil || string(got) != want {
		t.Errorf("%q (%v), want %q", got, err, want)
	}
}

// dup is a step that makes a descriptor a standard stream.
type dup struct {
	from plan.Slot
	to   int
}

func (d dup) Lower(l *plan.Lowering) {
	l.Call(unix.SYS_DUP3, plan.Value(d.from), plan.Imm(d.to), plan.Imm(0))
	l.Call(unix.SYS_CLOSE, plan.Value(d.from))
}
func (d dup) String() string { return "dup" }
