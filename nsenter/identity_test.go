package nsenter

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// expect compares lines of /proc/PID/status.
func expect(t *testing.T, c *Child, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := field(t, c.Pid, name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
}

// TestIdentity changes ids and capabilities, in the order in which a container does.
func TestIdentity(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			c := pack(t, kind.user, 0).Child
			const chown, kill, setuid, bind = 1 << unix.CAP_CHOWN, 1 << unix.CAP_KILL, 1 << unix.CAP_SETUID, 1 << unix.CAP_NET_BIND_SERVICE
			play(t, c,
				plan.DropBounding{Drop: ^uint64(chown|kill|setuid|bind) & (1<<(unix.CAP_LAST_CAP+1) - 1)},
				plan.SetIDs{UID: 1000, GID: 100, Groups: []uint32{7, 60000}})
			expect(t, c, map[string]string{
				"Uid": "1000 1000 1000 1000", "Gid": "100 100 100 100", "Groups": "7 60000",
				"CapBnd": fmt.Sprintf("%016x", chown|kill|setuid|bind), "CapEff": "0000000000000000",
			})
			play(t, c, plan.RaiseCaps{Permitted: chown | kill | bind})
			expect(t, c, map[string]string{"CapEff": fmt.Sprintf("%016x", chown|kill|bind), "CapPrm": fmt.Sprintf("%016x", chown|kill|bind)})
			play(t, c, plan.SetCaps{Effective: chown, Permitted: chown | bind, Inheritable: bind, Ambient: bind}, plan.NoNewPrivs{})
			expect(t, c, map[string]string{
				"CapEff": fmt.Sprintf("%016x", chown), "CapPrm": fmt.Sprintf("%016x", chown|bind),
				"CapInh": fmt.Sprintf("%016x", bind), "CapAmb": fmt.Sprintf("%016x", bind), "NoNewPrivs": "1",
			})
			if e := refused(t, c, unix.EPERM, plan.SetCaps{Permitted: kill}); e.Call != "capset" {
				t.Errorf("%v", e)
			}
			if e := refused(t, c, unix.EPERM, plan.SetIDs{}); e.Call != "setgroups" {
				t.Errorf("%v", e)
			}
			if e := refused(t, c, unix.EPERM, plan.DropBounding{Drop: chown}); e.Call != "prctl" {
				t.Errorf("%v", e)
			}
		})
	}
}

// TestKeepGroups leaves groups alone where a user namespace denies setgroups.
func TestKeepGroups(t *testing.T) {
	c := launch(t, unix.CLONE_NEWUSER)
	for _, file := range []struct{ name, text string }{{"setgroups", "deny"}, {"uid_map", "0 0 1"}, {"gid_map", "0 0 1"}} {
		if err := os.WriteFile(c.proc(file.name), []byte(file.text), 0); err != nil {
			t.Fatal(err)
		}
	}
	play(t, c, plan.SetIDs{KeepGroups: true})
	refused(t, c, unix.EPERM, plan.SetIDs{})
	refused(t, c, unix.EINVAL, plan.SetIDs{UID: 5, KeepGroups: true}) // not mapped
}

// TestUserNamespaceCaps gets full capabilities through the player's exec, and nothing of the ambient set further.
func TestUserNamespaceCaps(t *testing.T) {
	c := mapped(t, 0)
	all := fmt.Sprintf("%016x", uint64(1)<<(unix.CAP_LAST_CAP+1)-1)
	expect(t, c, map[string]string{"CapEff": all, "CapPrm": all, "CapBnd": all})
	play(t, c, plan.SetCaps{Effective: 1, Permitted: 1})
	expect(t, c, map[string]string{"CapEff": "0000000000000001", "CapPrm": "0000000000000001", "CapInh": "0000000000000000", "CapAmb": "0000000000000000"})
}

func TestRlimit(t *testing.T) {
	c := launch(t, 0)
	play(t, c,
		plan.Rlimit{Resource: unix.RLIMIT_NOFILE, Soft: 17, Hard: 19, Name: "nofile"},
		plan.Rlimit{Resource: unix.RLIMIT_CORE, Soft: 0, Hard: unix.RLIM_INFINITY, Name: "core"})
	text, err := os.ReadFile(c.proc("limits"))
	if err != nil {
		t.Fatal(err)
	}
	limits := strings.Join(strings.Fields(string(text)), " ")
	for _, want := range []string{"Max open files 17 19 files", "Max core file size 0 unlimited bytes"} {
		if !strings.Contains(limits, want) {
			t.Errorf("no %q in %s", want, limits)
		}
	}
	refused(t, c, unix.EINVAL, plan.Rlimit{Resource: unix.RLIMIT_CORE, Soft: 2, Hard: 1, Name: "core"})
	refused(t, c, unix.EINVAL, plan.Rlimit{Resource: 1000, Name: "none"})
}

// TestSetsid makes a session, once: a leader cannot make another.
func TestSetsid(t *testing.T) {
	c := launch(t, 0)
	play(t, c, plan.Setsid{})
	if sid, err := unix.Getsid(c.Pid); err != nil || sid != c.Pid {
		t.Errorf("session %d, %v", sid, err)
	}
	refused(t, c, unix.EPERM, plan.Setsid{})
}

// TestNames names the host of a new uts namespace, and not this one.
func TestNames(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			var before, after unix.Utsname
			if err := unix.Uname(&before); err != nil {
				t.Fatal(err)
			}
			b := pack(t, kind.user, unix.CLONE_NEWUTS|unix.CLONE_NEWPID)
			play(t, b.Child, plan.Hostname{Name: "skep-test"}, plan.Domainname{Name: "example.org"},
				plan.Filesystem{Type: "proc", Source: "proc", Into: plan.Procfs})
			for name, want := range map[string]string{"hostname": "skep-test\n", "domainname": "example.org\n"} {
				if got := inside(t, b.Child, "sys/kernel/"+name); got != want {
					t.Errorf("%s is %q", name, got)
				}
			}
			if err := unix.Uname(&after); err != nil || after != before {
				t.Errorf("this host's names have changed: %v", err)
			}
			refused(t, b.Child, unix.EINVAL, plan.Hostname{Name: strings.Repeat("x", 65)})
			refused(t, b.Child, unix.EINVAL, plan.Domainname{Name: strings.Repeat("x", 65)})
		})
	}
}

// TestUnshare makes namespaces later than the clone.
func TestUnshare(t *testing.T) {
	c := launch(t, 0)
	before, err := os.Readlink(c.proc("ns/uts"))
	if err != nil {
		t.Fatal(err)
	}
	play(t, c, plan.Unshare{Flags: unix.CLONE_NEWUTS, Name: "uts"})
	if after, err := os.Readlink(c.proc("ns/uts")); err != nil || after == before {
		t.Errorf("%s, %v", after, err)
	}
	refused(t, c, unix.EINVAL, plan.Unshare{Flags: unix.CLONE_THREAD | 1, Name: "no"})
}

// TestLoopbackUp looks for the address that lo has only when it is up.
func TestLoopbackUp(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			c := pack(t, kind.user, unix.CLONE_NEWNET).Child
			up := func() bool {
				text, err := os.ReadFile(c.proc("net/fib_trie"))
				if err != nil {
					t.Fatal(err)
				}
				return strings.Contains(string(text), "127.0.0.1")
			}
			if up() {
				t.Fatal("lo is up already")
			}
			play(t, c, plan.LoopbackUp{})
			if !up() {
				t.Error("lo is down")
			}
			refused(t, c, unix.EPERM, plan.SetCaps{}, plan.LoopbackUp{})
		})
	}
}

// denySetsid is a filter under which setsid fails with EPERM. The calls of another architecture do not matter here.
func denySetsid() []byte {
	const load, equal, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	const retErrno, retAllow = 0x50000, 0x7fff0000
	var b []byte
	for _, i := range []unix.SockFilter{
		{Code: load, K: 0}, {Code: equal, Jf: 1, K: unix.SYS_SETSID}, {Code: ret, K: retErrno | uint32(unix.EPERM)}, {Code: ret, K: retAllow},
	} {
		b = binary.NativeEndian.AppendUint16(b, i.Code)
		b = append(b, i.Jt, i.Jf)
		b = binary.NativeEndian.AppendUint32(b, i.K)
	}
	return b
}

// TestSeccomp loads a filter, inline and out of a memfd.
func TestSeccomp(t *testing.T) {
	for _, size := range []int{1024, 2 * inlineMax} {
		c := launch(t, 0)
		if _, err := c.Run(padded(t, size, plan.NoNewPrivs{}, plan.Seccomp{Filter: denySetsid()})); err != nil {
			t.Fatal(err)
		}
		expect(t, c, map[string]string{"Seccomp": "2", "Seccomp_filters": "1"})
		refused(t, c, unix.EPERM, plan.Setsid{})
		refused(t, c, unix.EINVAL, plan.Seccomp{Filter: denySetsid()[:24]}) // ends without a return
		refused(t, c, unix.EINVAL, plan.Seccomp{Filter: denySetsid(), Flags: 1 << 30})
	}
	c := launch(t, 0)
	refused(t, c, unix.EACCES, plan.SetIDs{UID: 1000, GID: 1000}, plan.Seccomp{Filter: denySetsid()})
}

// TestJoinCgroup moves the child to a v1 cgroup.
func TestJoinCgroup(t *testing.T) {
	dir := makeCgroup(t, "pids")
	c := launch(t, 0)
	p := &plan.Phase{Name: "enter"}
	p.Add(plan.JoinCgroup{Tasks: p.Take(file(filepath.Join(dir, "tasks"))), Name: "pids"})
	if _, err := c.Run(p); err != nil {
		t.Fatal(err)
	}
	inCgroup(t, c, ":pids:"+cgroupName+"\n")
	p = &plan.Phase{Name: "enter"}
	p.Add(plan.JoinCgroup{Tasks: p.Take(file("/proc/sys/kernel/ostype")), Name: "none"})
	if _, err := c.Run(p); err == nil {
		t.Error("the kernel's name is a cgroup")
	}
	c.Kill()
}

// TestCloneIntoCgroup begins in a v2 cgroup, in a user namespace too.
func TestCloneIntoCgroup(t *testing.T) {
	dir := makeCgroup(t, "unified")
	for _, flags := range []uintptr{0, unix.CLONE_NEWUSER | unix.CLONE_NEWPID} {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Start(Options{Flags: flags, Cgroup: fd, TempDir: t.TempDir()})
		unix.Close(fd)
		if err != nil {
			t.Fatal(err)
		}
		inCgroup(t, c, "0::"+cgroupName+"\n")
		c.Kill()
		c.Release()
	}
}

func inCgroup(t *testing.T, c *Child, want string) {
	t.Helper()
	if text, err := os.ReadFile(c.proc("cgroup")); err != nil || !strings.Contains(string(text), want) {
		t.Errorf("it is in\n%s%v; want %s", text, err, want)
	}
}

// cgroupName is that of a cgroup which no other run has.
var cgroupName = "/skep-test-nsenter-" + strconv.Itoa(os.Getpid())

// makeCgroup makes a cgroup in a hierarchy that ends with the test, after its processes.
func makeCgroup(t *testing.T, hierarchy string) (dir string) {
	t.Helper()
	dir = "/sys/fs/cgroup/" + hierarchy + cgroupName
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
