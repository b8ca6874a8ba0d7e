package libcontainer

import (
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/cgroups"
	"skep/nsenter/plan"
	"skep/spec"
)

// How init comes into its namespaces. The usual container gets them by one clone, and joins those of others, if any,
// in its first phase. Where a user namespace decides who may join or make the rest, and where only the next process
// is in a namespace (a joined pid namespace, a new time namespace), the child goes step by step, and init is the
// process that it forks in the end.

// stepwise tells whether one clone is not enough.
func (b *blueprint) stepwise() bool {
	return len(b.joins) > 0 && spec.FindNamespace(b.spec.Linux, specs.UserNamespace) != nil ||
		b.joinedNamespace(specs.PIDNamespace) != nil || b.makes(specs.TimeNamespace)
}

// forks tells whether init is another process than the one that was cloned.
func (b *blueprint) forks() bool {
	return b.stepwise() && (spec.FindNamespace(b.spec.Linux, specs.PIDNamespace) != nil || b.makes(specs.TimeNamespace))
}

// movesInit tells whether the parent has to move a forked init into its v2 cgroup, which waits some 10 ms for an RCU
// grace period. From within a user or cgroup namespace the child may not fork into it: the kernel asks its forker for
// the right to write there.
func (b *blueprint) movesInit() bool {
	return spec.FindNamespace(b.spec.Linux, specs.UserNamespace) != nil || b.joinedNamespace(specs.CgroupNamespace) != nil
}

// namespaceFlags returns the CLONE_NEW* flags of the new namespaces: those that the clone makes, those that the child
// makes step by step, and those that init makes. A cgroup namespace is rooted where its maker is, and v1 hierarchies
// are joined by init itself; systemd moves it. An ipc namespace gives its message queues to the ids of its maker, which
// a user namespace has to map first.
func (b *blueprint) namespaceFlags() (clone, steps, late uintptr) {
	stepwise, user := b.stepwise(), b.makes(specs.UserNamespace)
	for _, ns := range b.spec.Linux.Namespaces {
		row, _ := spec.Namespaces.Lookup(ns.Type)
		flag := uintptr(row.Flag)
		switch {
		case ns.Path != "":
		case ns.Type == specs.CgroupNamespace && (stepwise || b.manages() || b.group.Mode() != cgroups.V2):
			late |= flag
		case stepwise:
			steps |= flag
		case ns.Type == specs.IPCNamespace && user:
			late |= flag
		default:
			clone |= flag
		}
	}
	return clone, steps, late
}

// joinAll adds the steps that join the chosen namespaces. A user namespace comes last.
func (b *blueprint) joinAll(p *plan.Phase, chosen func(*joined) bool) {
	user := b.joinedNamespace(specs.UserNamespace)
	for _, j := range b.joins {
		if j != user && chosen(j) {
			b.joinOne(p, j)
		}
	}
	if user != nil && chosen(user) {
		b.joinOne(p, user)
	}
}

func (b *blueprint) joinOne(p *plan.Phase, j *joined) {
	p.Add(plan.For{Item: j.item, Step: plan.JoinNamespace{
		Namespace: p.Take(j.source()), Flag: int(j.flag), Name: string(j.Type), Path: j.Path,
	}})
}

// unshareAll adds the steps that make new namespaces.
func unshareAll(p *plan.Phase, flags uintptr) {
	for _, ns := range spec.Namespaces {
		if flags&uintptr(ns.Value.Flag) != 0 {
			p.Add(plan.Unshare{Flags: int(ns.Value.Flag), Name: string(ns.Name)})
		}
	}
}

// leave is the phase in which the child leaves the host's user namespace. What belongs to the host is joined before,
// as long as the child has privileges over it.
func (b *blueprint) leave() *plan.Phase {
	p := &plan.Phase{Name: "join"}
	b.joinAll(p, func(j *joined) bool { return !j.inside })
	_, steps, _ := b.namespaceFlags()
	unshareAll(p, steps&unix.CLONE_NEWUSER)
	return p
}

// unshare is the phase in which the child, with the ids of its user namespace, joins what belongs to that and makes
// new namespaces that will.
func (b *blueprint) unshare(uid, gid uint32) *plan.Phase {
	p := &plan.Phase{Name: "unshare"}
	if spec.FindNamespace(b.spec.Linux, specs.UserNamespace) != nil {
		p.Add(plan.SetIDs{UID: uid, GID: gid, KeepGroups: b.process.KeepGroups})
	}
	b.joinAll(p, func(j *joined) bool { return j.inside })
	_, steps, _ := b.namespaceFlags()
	unshareAll(p, steps&^unix.CLONE_NEWUSER)
	return p
}

// directory is a directory of the host as a Source.
type directory string

func (d directory) Open() (int, error) { return openFile(string(d), unix.O_PATH|unix.O_DIRECTORY) }
func (d directory) String() string     { return string(d) }

// fork is the phase that makes init.
func (b *blueprint) fork() *plan.Phase {
	p := &plan.Phase{Name: "fork"}
	f := plan.Fork{}
	if dir := b.group.V2Dir(); dir != "" && !b.movesInit() && !b.manages() {
		f.Cgroup = p.Take(directory(dir))
	}
	p.Add(f)
	if pid := b.joinedNamespace(specs.PIDNamespace); pid != nil {
		p.Steps[0] = plan.For{Item: pid.item + " " + pid.Path, Step: f}
	}
	return p
}

// placement are the phases that come before "enter", as `skep plan` shows them.
func (b *blueprint) placement() []*plan.Phase {
	if !b.stepwise() {
		return nil
	}
	uid, gid := firstIDs(b.spec.Linux)
	phases := []*plan.Phase{b.leave(), b.unshare(uid, gid)}
	if b.forks() {
		phases = append(phases, b.fork())
	}
	return phases
}

// place takes the child through its namespaces, and makes init in them.
func (c *creation) place() error {
	if !c.stepwise() {
		return nil
	}
	c.child.Queue(c.leave())
	var uid, gid uint32
	if spec.FindNamespace(c.spec.Linux, specs.UserNamespace) != nil {
		if _, err := c.child.Play(); err != nil {
			return err
		}
		var err error
		if uid, gid, err = c.mapIDs(); err != nil {
			return err
		}
	}
	c.child.Queue(c.unshare(uid, gid))
	if len(c.spec.Linux.TimeOffsets) > 0 { // before anybody is in the time namespace, the child itself included
		if _, err := c.child.Play(); err != nil {
			return err
		}
		if err := writeTimeOffsets(c.child.Pid, c.spec.Linux.TimeOffsets); err != nil {
			return err
		}
	}
	if !c.forks() {
		return nil
	}
	return c.makeInit()
}

// makeInit has the child fork.
func (c *creation) makeInit() error {
	if _, err := c.child.Run(c.fork()); err != nil {
		return err
	}
	if err := c.identifyInit(); err != nil {
		return err
	}
	if !c.movesInit() || c.manages() {
		return nil
	}
	return c.moveInit()
}

// moveInit moves init into its v2 cgroup.
func (c *creation) moveInit() error {
	dir := c.group.V2Dir()
	if dir == "" {
		return nil
	}
	if err := writeFile(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(c.child.Pid)); err != nil {
		return fmt.Errorf("move init to the cgroup %s: %w", dir, err)
	}
	return nil
}

// identifyInit notes which process the child is now.
func (c *creation) identifyInit() error {
	st, err := readStat(c.child.Pid)
	if err != nil {
		return err
	}
	c.state.Init = Process{Pid: c.child.Pid, Start: st.start}
	return nil
}
