package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, v := range want {
		if got[name] != v {
			t.Errorf("%s is %q, want %q", name, got[name], v)
		}
	}
}

func four(id int) string { return strings.TrimSuffix(strings.Repeat(strconv.Itoa(id)+" ", 4), " ") }

func user(uid, gid uint32, more ...uint32) func(*specs.Process) {
	return func(p *specs.Process) { p.User = specs.User{UID: uid, GID: gid, AdditionalGids: more} }
}

func at(dir string) func(*specs.Process) { return func(p *specs.Process) { p.Cwd = dir } }

// allow is a filter that allows everything: BPF_RET|BPF_K, SECCOMP_RET_ALLOW.
var allow = &Filter{BPF: []byte{6, 0, 0, 0, 0, 0, 0xff, 0x7f}}

// USR-01 USR-02 USR-03 USR-04 USR-05 PROC-17 SEC-23
func TestPlayIdentity(t *testing.T) {
	strict := func(p *specs.Process) { p.User.Umask = ptr(uint32(0o77)) }
	free := func(p *specs.Process) { p.NoNewPrivileges = false }
	for name, c := range map[string]struct {
		edits  []func(*specs.Process)
		filter *Filter
		want   map[string]string
	}{
		"root": {nil, nil, map[string]string{
			"Uid": four(0), "Gid": four(0), "Groups": "", "Umask": "0022", "NoNewPrivs": "1", "Seccomp": "0",
		}},
		"user": {[]func(*specs.Process){user(1000, 100, 7, 99), strict}, nil, map[string]string{
			"Uid": four(1000), "Gid": four(100), "Groups": "7 99", "Umask": "0077", "NoNewPrivs": "1",
		}},
		"early filter": {[]func(*specs.Process){user(1000, 100), free}, allow, map[string]string{
			"Uid": four(1000), "NoNewPrivs": "0", "Seccomp": "2", "CapEff": "0000000000000420",
		}},
		"late filter": {[]func(*specs.Process){user(1000, 100)}, allow, map[string]string{"NoNewPrivs": "1", "Seccomp": "0"}},
	} {
		t.Run(name, func(t *testing.T) {
			init := launch(t, 0)
			same(t, init.atGate(example(append(c.edits, at("/"))...), c.filter), c.want)
		})
	}
}

// capsOf are a status's capability sets.
func capsOf(t *testing.T, status map[string]string) capSets {
	t.Helper()
	return capSets{
		bounding: hex(t, status["CapBnd"]), effective: hex(t, status["CapEff"]), inheritable: hex(t, status["CapInh"]),
		permitted: hex(t, status["CapPrm"]), ambient: hex(t, status["CapAmb"]),
	}
}

// CAP-01 CAP-02 CAP-03 CAP-04 CAP-05 CAP-08 CAP-10
func TestPlayCapabilities(t *testing.T) {
	host := hostOf(t)
	everything := host.Grantable
	for name, c := range map[string]struct {
		caps *specs.LinuxCapabilities
		want capSets
	}{
		"absent":  {nil, capSets{}},
		"default": {example().Capabilities, capSets{bounding: 0x420, effective: 0x420, permitted: 0x420}},
		"ambient": {allSets("CAP_KILL"), capSets{kill, kill, kill, kill, kill}},
		"different": {&specs.LinuxCapabilities{
			Bounding: []string{"CAP_KILL", "CAP_CHOWN"}, Permitted: []string{"CAP_KILL", "CAP_CHOWN"},
			Effective: []string{"CAP_CHOWN"}, Inheritable: []string{"CAP_KILL"},
		}, capSets{bounding: kill | chown, permitted: kill | chown, effective: chown, inheritable: kill}},
		"everything": {allSets(grantable(host)...), capSets{everything, everything, everything, everything, everything}},
	} {
		for _, uid := range []uint32{0, 1000} {
			for mode, flags := range map[string]uintptr{"": 0, " in a user namespace": unix.CLONE_NEWUSER} {
				t.Run(fmt.Sprintf("%s uid %d%s", name, uid, mode), func(t *testing.T) {
					init := launchMapped(t, flags)
					status := init.atGate(example(at("/"), user(uid, uid), func(p *specs.Process) { p.Capabilities = c.caps }), nil)
					if got := capsOf(t, status); got != c.want {
						t.Errorf("%+v, want %+v", got, c.want)
					}
				})
			}
		}
	}
}

// launchMapped is launch; in a new user namespace the child has become its root.
func launchMapped(t *testing.T, flags uintptr) *container {
	t.Helper()
	c := launch(t, flags)
	if flags&unix.CLONE_NEWUSER == 0 {
		return c
	}
	for _, name := range []string{"uid_map", "gid_map"} {
		if err := os.WriteFile("/proc/"+strconv.Itoa(c.Pid)+"/"+name, []byte("0 100000 65536"), 0); err != nil {
			t.Fatal(err)
		}
	}
	c.host.Grantable = c.host.known()
	c.play(&plan.Phase{Name: "root", Steps: []plan.Step{plan.SetIDs{}}})
	return c
}

// SEC-23: an early filter needs privilege over the namespace, which a user has only by RaiseCaps.
func TestPlayEarlyFilterInUserNamespace(t *testing.T) {
	c := launchMapped(t, unix.CLONE_NEWUSER)
	status := c.atGate(example(at("/"), user(5, 5), func(p *specs.Process) { p.NoNewPrivileges, p.Capabilities = false, nil }), allow)
	same(t, status, map[string]string{"Seccomp": "2", "NoNewPrivs": "0", "Uid": four(100005), "CapPrm": "0000000000000000"})
}

// PROC-08: the working directory may be closed to the user, or to everybody but the user.
func TestPlayCwd(t *testing.T) {
	for _, c := range []struct{ owner, uid int }{{0, 0}, {0, 1000}, {1000, 1000}, {1000, 0}} {
		init := launch(t, 0)
		dir := init.dir + "/closed"
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, c.owner, c.owner); err != nil {
			t.Fatal(err)
		}
		init.atGate(example(at(dir), user(uint32(c.uid), 0)), nil)
		if got, err := os.Readlink("/proc/" + strconv.Itoa(init.Pid) + "/cwd"); err != nil || got != dir {
			t.Errorf("uid %d is in %s (%v)", c.uid, got, err)
		}
	}
}

// PROC-08: a descriptor is no working directory (CVE-2024-21626), and errors begin with the JSON path.
func TestPlayBadCwd(t *testing.T) {
	for dir, want := range map[string]string{
		"/proc/self/fd/3": "process.cwd: enter /proc/self/fd/3: openat2: ",
		"/no/such":        "process.cwd: enter /no/such: openat2: no such file or directory",
		"/etc/passwd":     "process.cwd: enter /etc/passwd: openat2: not a directory",
	} {
		init := launch(t, 0)
		phase, _, err := Settle(example(at(dir)), init.host, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := init.Run(phase); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("cwd %s: %v", dir, err)
		}
	}
}

// RLIM-02 RLIM-03
func TestPlayLimits(t *testing.T) {
	c := launch(t, 0)
	c.atGate(example(at("/"), func(p *specs.Process) {
		p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 10, Hard: 20}, {Type: "RLIMIT_CORE"}}
	}), nil)
	for resource, want := range map[int]unix.Rlimit{unix.RLIMIT_NOFILE: {Cur: 10, Max: 20}, unix.RLIMIT_CORE: {}} {
		var got unix.Rlimit
		if err := unix.Prlimit(c.Pid, resource, nil, &got); err != nil || got != want {
			t.Errorf("limit %d is %+v (%v), want %+v", resource, got, err, want)
		}
	}
}

// PROC-03 USR-08
func TestPlayTerminal(t *testing.T) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave := "/dev/pts/" + strconv.Itoa(n)
	c := launch(t, 0)
	in := c.inputs(map[plan.Slot]path{plan.PtySlave: {slave, os.O_RDWR | unix.O_NOCTTY}})
	in.Add(plan.Setsid{})
	c.play(in)
	status := c.atGate(example(at("/"), user(1000, 1000), func(p *specs.Process) { p.Terminal = true }), nil)
	same(t, status, map[string]string{"Uid": four(1000)})
	for fd := range 3 {
		if got, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", c.Pid, fd)); err != nil || got != slave {
			t.Errorf("descriptor %d is %s (%v), want %s", fd, got, err, slave)
		}
	}
	var st unix.Stat_t
	if err := unix.Stat(slave, &st); err != nil || st.Uid != 1000 {
		t.Errorf("%s belongs to %d (%v)", slave, st.Uid, err)
	}
	if session, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGSID); err != nil || session != c.Pid {
		t.Errorf("the terminal controls session %d (%v), want %d", session, err, c.Pid)
	}
}
