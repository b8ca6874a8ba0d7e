package plan

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write the golden files anew")

type hostFile string

func (h hostFile) Open() (int, error) { return unix.Open(string(h), unix.O_RDONLY|unix.O_CLOEXEC, 0) }
func (h hostFile) String() string     { return "host:" + string(h) }

// everySlot is the set of slots after phases that defined all of them.
const everySlot = ^SlotSet(0)

// everyStep holds each step type, and each way of lowering it.
func everyStep() []Step {
	return []Step{
		Name{"skep:[init]"}, Umask{0o022}, Setsid{}, ResetSignals{},
		JoinCgroup{Tasks: Input(0), Name: "memory"}, Unshare{unix.CLONE_NEWCGROUP, "cgroup"},
		Hostname{"web"}, Domainname{"example.org"}, LoopbackUp{},
		Keep{From: Input(1), As: Gate},
		Enslave{}, ResetAffinity{}, Personality{8, "LINUX32"}, ReopenNull{0},
		OpenTree{Path: "/srv/data", Recursive: true, Into: Mount}, OpenTree{Path: "/srv/one", Into: Mount},
		Filesystem{Type: "tmpfs", Source: "tmpfs", Params: []string{"size=64k", "noswap"}, Attr: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV, Into: Mount},
		For{"mounts[2] /data", Attach{Mount: Mount, At: In("/data/deep"), Make: Directory}},
		Attach{Mount: Mount, At: In("/etc/hosts"), Make: File, Keep: true},
		Attach{Mount: Mount, At: Real("/proc")},
		AttachRoot{"/"},
		ClassicMount{Type: "overlay", Source: "overlay", At: In("/merged"), Flags: unix.MS_NODEV, Data: "lowerdir=/a:/b"},
		SetAttr{Mount: Mount, Set: unix.MOUNT_ATTR_RDONLY, Clear: unix.MOUNT_ATTR__ATIME | unix.MOUNT_ATTR_NOSUID, Propagation: unix.MS_PRIVATE, Recursive: true},
		MapOwners{Mount: Mount, Namespace: Input(2)},
		Copy{Name: ".", Type: unix.S_IFDIR}, Copy{Name: "a/b", Type: unix.S_IFREG, Size: 5 << 30, Changed: unix.Timespec{Sec: 7, Nsec: 8}, Xattrs: []Xattr{{"user.x", []byte("y")}}},
		Copy{Name: "a/l", Type: unix.S_IFLNK, Target: "b"}, Copy{Name: "n", Type: unix.S_IFCHR, Dev: unix.Mkdev(1, 3)},
		Attach{Mount: Mount, At: Path{Root: Root, Name: "/var/run/x", Instead: "/run/x", NoProcfs: true}, Make: Directory},
		Hide{In("/proc/kcore")}, Protect{In("/proc/sys")},
		Find{At: In("/data"), Into: Mount}, TakeMode{Mount: Mount, From: In("/tmp")},
		ProveNode{Slot: Null, Mode: unix.S_IFCHR, Major: 1, Minor: 3}, ProveNode{Slot: Mount, Mode: unix.S_IFBLK, Major: 7},
		ProveFilesystem{Slot: Mount, Type: "proc", Magic: unix.PROC_SUPER_MAGIC},
		Mkdirs{In("/var/lib/x")}, Mkdirs{Path{Root: Procfs, Name: "/in"}},
		Mknod{At: Real("/dev/null"), Mode: unix.S_IFCHR | 0o666, Major: 1, Minor: 3, UID: 5, GID: 6},
		Mknod{At: Real("/dev/loop0"), Mode: unix.S_IFBLK | 0o660, Major: 7},
		Mknod{At: In("/run/fifo"), Mode: unix.S_IFIFO | 0o600},
		Symlink{Target: "/proc/self/fd", At: Real("/dev/fd")},
		Symlink{Target: "pts/ptmx", At: Real("/dev/ptmx"), Replace: true},
		WriteFile{Name: "sys/net/ipv4/ip_forward", Value: "1"},
		OpenPty{}, Export{PtyMaster}, CloneFile{From: PtySlave, Into: Mount}, UseTerminal{}, OwnStream{FD: 1, UID: 1000},
		Close{[]Slot{Mask, Null}}, Pivot{}, Withdraw{"/proc"}, MoveRoot{},
		Chdir{In("/work")}, Rlimit{Resource: unix.RLIMIT_NOFILE, Soft: 1024, Hard: unix.RLIM_INFINITY, Name: "nofile"},
		DropBounding{1<<5 | 1<<40}, SetIDs{UID: 1000, GID: 100, Groups: []uint32{7, 4294967294}}, SetIDs{UID: 1, GID: 2, KeepGroups: true},
		ClearSecurebits{4}, RaiseCaps{1 << 21}, SetCaps{Effective: 1, Permitted: 1 | 1<<38, Inheritable: 2, Ambient: 1},
		Scheduler{Policy: unix.SCHED_BATCH, Name: "SCHED_BATCH", Nice: -5, Flags: unix.SCHED_FLAG_RESET_ON_FORK},
		Scheduler{Policy: unix.SCHED_FIFO, Name: "SCHED_FIFO", Priority: 99},
		Scheduler{Policy: unix.SCHED_DEADLINE, Name: "SCHED_DEADLINE", Runtime: 1 << 33, Deadline: 1 << 34, Period: 1 << 35},
		IOPriority{Class: 1, Priority: 7, Name: "IOPRIO_CLASS_RT"},
		MemoryPolicy{Mode: unix.MPOL_LOCAL, Name: "MPOL_LOCAL"},
		MemoryPolicy{Mode: unix.MPOL_BIND | unix.MPOL_F_STATIC_NODES, Nodes: []uint64{0b1001, 0, 1 << 63}, Name: "MPOL_BIND"},
		SessionKeyring{"_ses.web"}, SetLabel{Attribute: "keycreate", Value: "u:r:t:s0:c1,c2"},
		SetLabel{Module: "apparmor", Attribute: "exec", Value: "exec web"},
		Setns{Process: Input(1), Flags: unix.CLONE_NEWNS | unix.CLONE_NEWPID, Name: "mount pid"},
		JoinNamespace{Namespace: Input(0), Flag: unix.CLONE_NEWNET, Name: "network", Path: "/run/netns/web"}, Stream{From: Input(0), FD: 2}, WorkIn{"/srv/bundle"},
		PreserveFDs{From: []Slot{Input(0), Input(1)}, Away: []Slot{Control, Gate, Verdict}},
		OpenRoot{"/"}, ChangeRoot{}, LabelMount{Mount, "u:r:t:s0:c1,c2"}, Affinity{[]byte{1, 2}, "0,9"}, Dumpable{}, Dumpable{On: true},
		NoNewPrivs{}, Probe{Name: "/bin/sh", Index: 2},
		Seccomp{Filter: make([]byte, 16), Flags: 2}, AwaitStart{}, CloseOnExec{3},
		Seccomp{Filter: make([]byte, 8), Flags: unix.SECCOMP_FILTER_FLAG_NEW_LISTENER}, AwaitStart{Filtered: true},
		Exec{Path: "/bin/sh", Args: []string{"sh", "-c", "exit 3"}, Env: []string{"PATH=/bin", "SECRET=1"}},
	}
}

func everyPhase() *Phase {
	p := &Phase{Name: "every"}
	p.Take(hostFile("/sys/fs/cgroup/memory/web/tasks"))
	p.Take(hostFile("/run/skep/web/gate"))
	p.Add(everyStep()...)
	return p
}

// TestPrinted pins what `skep plan` shows of each step.
func TestPrinted(t *testing.T) { golden(t, "printed.golden", everyPhase().String()) }

// TestLowered pins the records of each step type, read back from the encoded program.
func TestLowered(t *testing.T) {
	var b strings.Builder
	for _, s := range append(everyStep(), Fork{}, Fork{Cgroup: Input(0)}) {
		known := everySlot
		program, err := Lower(&Phase{Name: "one", Steps: []Step{s}}, &known)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		encoded := program.Encode(false)
		d := decode(t, encoded)
		if len(encoded) != program.Size() || int(d.size) != len(encoded) {
			t.Errorf("%s: %d bytes encoded, Size says %d, the header %d", s, len(encoded), program.Size(), d.size)
		}
		b.WriteString(s.String() + "\n" + d.text())
	}
	golden(t, "lowered.golden", b.String())
}

// TestCallsHaveNames keeps bare numbers out of error messages.
func TestCallsHaveNames(t *testing.T) {
	known := everySlot
	program, err := Lower(everyPhase(), &known)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range decode(t, program.Encode(false)).records {
		if name := callName(r.nr); strings.Contains(name, "system call") {
			t.Errorf("no name for %s", name)
		}
	}
	if got := callName(unix.SYS_CLONE3); got != "clone3" {
		t.Errorf("a fork into a cgroup is %q", got)
	}
	if got := callName(-77); got != "system call -77" {
		t.Errorf("an unknown call is %q", got)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i, line := range gotLines {
		if i >= len(wantLines) || line != wantLines[i] {
			t.Fatalf("%s:%d: got %q; look at the difference that -update makes", file, i+1, line)
		}
	}
	t.Fatalf("%s: the last %d lines are missing", file, len(wantLines)-len(gotLines))
}
