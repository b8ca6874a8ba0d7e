package libcontainer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/libcontainer/criu"
	"skep/nsenter/plan"
	"skep/rootfs"
)

// Restore makes a container of a bundle and of the images that Checkpoint has written. Its processes go on where they
// were; the calling process is init's parent. On an error nothing of it is left.
func Restore(ctx context.Context, root, id, bundle string, o CheckpointOptions, opts ...Option) (*Container, error) {
	if notifyDirNoted(o.ImageDir) {
		opts = append(slices.Clone(opts), func(o *options) { o.notifyPlace = true })
	}
	return makeContainer(ctx, root, id, bundle, opts, func(c *creation) error {
		r := &restoration{creation: c, CheckpointOptions: o}
		defer r.closeImages()
		return c.conduct(r.refuse, c.keepConfig, c.makeNotifyDir, r.makeCgroups, r.open, r.spawn, c.startUnit, r.restore, c.complete)
	})
}

// restoration is a container whose processes come from images.
type restoration struct {
	*creation
	CheckpointOptions
	images, work *os.File
}

func (r *restoration) open() (err error) {
	r.images, r.work, err = r.CheckpointOptions.open(false)
	return err
}

func (r *restoration) closeImages() {
	r.images.Close()
	r.work.Close()
}

// spawn makes the process that becomes criu: in the container's cgroups, which what it restores inherits, and in a
// mount namespace of its own, where the root is mounted and the host's mounts are slaves.
func (r *restoration) spawn() error { return r.clone(unix.CLONE_NEWNS, !r.manages()) }

// refuse names what criu would leave out.
func (r *restoration) refuse() error {
	switch l := r.spec.Linux; {
	case l.IntelRdt != nil:
		return errors.New("linux.intelRdt: restored processes are in no resctrl group")
	case len(l.NetDevices) > 0:
		return errors.New("linux.netDevices: devices of the host are not restored")
	}
	return nil
}

// makeCgroups looks itself whether the cgroups are there that a strict restore makes anew: criu would find this one.
func (r *restoration) makeCgroups() error {
	if err := r.creation.makeCgroups(); err != nil {
		return err
	}
	if mode := r.Criu.CgroupMode; mode == nil || *mode != criu.CgroupStrict {
		return nil
	}
	for _, path := range r.group.Paths() {
		if !slices.Contains(r.state.Cgroup.Created, path) {
			return fmt.Errorf("cgroup %s exists, which the mode strict refuses", path)
		}
	}
	full := criu.CgroupFull
	r.Criu.CgroupMode = &full
	return nil
}

// restore has criu make the processes.
func (r *restoration) restore() error {
	more, err := r.instruct()
	if err != nil {
		return err
	}
	prepare, err := rootfs.CompileRestore(r.spec, r.rootfsHost(r.options))
	if err != nil {
		return err
	}
	join := &plan.Phase{Name: "join"}
	for _, t := range tasksSources(r.group) {
		join.Add(plan.JoinCgroup{Tasks: join.Take(t), Name: t.String()})
	}
	r.child.Queue(join)
	r.child.Queue(prepare)
	if err := r.reopen(); err != nil {
		return err
	}
	if err := r.tellCgroups(); err != nil {
		return err
	}
	session, err := becomeCriu(r.child, &r.Criu, r.searchPath, r.images, r.work, nil, more...)
	if err != nil {
		return err
	}
	defer session.Close()
	stop := killAtEnd(r.ctx, r.child)
	pid, err := session.Restore(&r.Criu, r.handle)
	if err := stop(err); err != nil {
		return criu.Explain(err, r.WorkDir, restoreLog)
	}
	session.Close()
	r.child.Close()
	r.child.Wait()
	return r.adopt(pid)
}

// reopen opens the directories in criu's mount namespace: it makes mounts in that of its log.
func (r *restoration) reopen() error {
	p := &plan.Phase{Name: "open"}
	p.Add(plan.OpenDir{Path: r.images.Name(), Into: plan.Result(0)}, plan.Export{Slot: plan.Result(0)},
		plan.OpenDir{Path: r.work.Name(), Into: plan.Result(1)}, plan.Export{Slot: plan.Result(1)})
	if process := r.spec.Process; process != nil && process.NoNewPrivileges && process.ApparmorProfile == "" {
		// criu below 4.0 forgets it. It is inherited; a profile of AppArmor could not be changed to any more.
		p.Add(plan.NoNewPrivs{})
	}
	results, err := r.child.Run(p)
	if err != nil {
		return err
	}
	r.closeImages()
	r.images, r.work = results.Files[plan.Result(0)], results.Files[plan.Result(1)]
	return nil
}

// instruct tells criu about the container. The descriptors are what it inherits besides.
func (r *restoration) instruct() ([]descriptor, error) {
	o := &r.Criu
	o.LogFile, o.Root = restoreLog, r.blueprint.root
	o.EvasiveDevices, o.Notify, o.Sibling = true, true, true
	o.OrphanPty = r.spec.Process != nil && r.spec.Process.Terminal
	configureCriu(o, r.spec)
	for _, x := range rootfs.Externals(r.spec, rootfs.Host{Bundle: r.bundle, Cgroups: r.group.Paths()}) {
		o.ExternalMounts = append(o.ExternalMounts, criu.ExternalMount{Key: x.Destination, Value: resolved(x.Source)})
	}
	if err := r.inheritStreams(); err != nil {
		return nil, err
	}
	var more []descriptor
	for _, x := range externalNamespaces {
		if j := r.joinedNamespace(x.ns); j != nil {
			fd := int32(firstInherited + len(more))
			o.Inherited = append(o.Inherited, criu.Inherited{Key: x.name, FD: &fd})
			more = append(more, j.source())
		}
	}
	return more, nil
}

// resolved is where a path leads: of a link criu mounts the link itself.
func resolved(path string) string {
	fd, err := openFile(path, unix.O_PATH)
	if err != nil {
		return path // what is optional need not exist, and criu says so of the rest
	}
	defer unix.Close(fd)
	if target, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd)); err == nil {
		return target
	}
	return path
}

// inheritStreams gives init the caller's streams in place of the pipes that it had.
func (r *restoration) inheritStreams() error {
	path := filepath.Join(r.ImageDir, descriptorsFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("no checkpoint of a container: %w", err)
	}
	var streams []string
	if err := json.Unmarshal(b, &streams); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for i, name := range streams {
		if i < 3 && strings.HasPrefix(name, "pipe:") {
			fd := int32(i)
			r.Criu.Inherited = append(r.Criu.Inherited, criu.Inherited{Key: name, FD: &fd})
		}
	}
	return nil
}

// tellCgroups names the cgroups that the processes are to be in: those in which criu is.
func (r *restoration) tellCgroups() error {
	b, err := os.ReadFile(procFile(r.child.Pid, "cgroup"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		_, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		controllers, path, ok := strings.Cut(rest, ":")
		if ok {
			r.Criu.CgroupRoots = append(r.Criu.CgroupRoots, criu.CgroupRoot{Controller: controllers, Path: path})
		}
	}
	return nil
}

// handle does what falls to the runtime while criu works.
func (r *restoration) handle(e criu.Event) error {
	switch e.Script {
	case "orphan-pts-master":
		r.master = e.File
		return r.handOverTerminal()
	case "setup-namespaces":
		names := hookNames(r.spec.Hooks)
		if len(names) == 0 {
			return nil
		}
		if err := r.become(e.Pid); err != nil {
			return err
		}
		r.state.Hooks = names
		if err := r.dir.writeState(journalFile, r.state); err != nil {
			return err
		}
		for _, at := range [...]hookPoint{prestart, createRuntime} {
			if err := r.container().runHooks(r.ctx, at, r.spec); err != nil {
				return err
			}
		}
	}
	return nil
}

// become makes a process the container's init.
func (r *restoration) become(pid int) error {
	st, err := readStat(pid)
	if err != nil {
		return err
	}
	r.state.Init = Process{Pid: pid, Start: st.start}
	return nil
}

// adopt is the end: criu is gone, and init runs.
func (r *restoration) adopt(pid int) error {
	err := r.become(pid)
	if err == nil {
		err = r.child.Follow(pid)
	}
	if err != nil {
		return fmt.Errorf("the restored process %d: %w", pid, err)
	}
	r.state.OwnPidns = r.makes(specs.PIDNamespace)
	return r.dir.writeState(journalFile, r.state)
}
