package libcontainer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/moby/sys/mountinfo"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/cgroups"
	"skep/libcontainer/criu"
	"skep/nsenter"
	"skep/nsenter/plan"
	"skep/rootfs"
	"skep/spec"
)

// CheckpointOptions says where Checkpoint and Restore find what they need. Of those for criu, what describes the
// container is filled in.
type CheckpointOptions struct {
	ImageDir  string       // made by Checkpoint if it is missing
	WorkDir   string       // for criu's log; ImageDir if empty
	ParentDir string       // of the images of a PreDump, relative to ImageDir
	PreDump   bool         // only the memory, and the container goes on
	StatusFD  int          // a descriptor of this process to which criu says that its lazy-pages server is ready; 0 for none
	Criu      criu.Options // what of them the caller decides
}

// The files of a checkpoint that are not criu's.
const (
	dumpLog         = "dump.log"
	restoreLog      = "restore.log"
	descriptorsFile = "descriptors.json" // what the standard streams of init were
	notifyFile      = "notify"           // empty; there if the program had a socket for sd_notify(3)
)

// externalNamespaces are the namespaces of others that criu is to leave alone, with the names that they have in
// images.
var externalNamespaces = [...]struct {
	ns         specs.LinuxNamespaceType
	name, file string
}{
	{specs.NetworkNamespace, "extRootNetNS", "net"},
	{specs.PIDNamespace, "extRootPidNS", "pid"},
}

// Checkpoint writes a running container to images, by criu(8). Unless it is to go on running, it ends, and nothing
// but the images is left of it. A paused container goes on being paused: containerd's client, and Docker with it,
// pauses one before its checkpoint. For any other status the error is ErrNotRunning.
func (c *Container) Checkpoint(ctx context.Context, o CheckpointOptions) error {
	return c.exclusively(func() error { return c.checkpoint(ctx, o) })
}

func (c *Container) checkpoint(ctx context.Context, o CheckpointOptions) error {
	if status := c.Status(); status != Running && status != Paused {
		return fmt.Errorf("%w: it is %s, and what can be checkpointed is running or paused", ErrNotRunning, status)
	}
	kept, err := c.kept()
	if err != nil {
		return err
	}
	images, work, err := o.open(true)
	if err != nil {
		return err
	}
	defer images.Close()
	defer work.Close()
	if err := c.describe(&o, kept); err != nil {
		return err
	}
	o.Criu.LogFile = dumpLog
	// Before the dump: after it the container has ended, and its images without this, for lack of space, are worth nothing.
	if err := c.noteNotifyDir(o.ImageDir); err != nil {
		return err
	}
	noted, err := c.noteStreams(o.ImageDir)
	defer func() { os.Remove(noted) }()
	if err != nil {
		return err
	}
	note := filepath.Join(o.ImageDir, descriptorsFile)
	if o.Criu.LazyPages { // the dump lasts until what is restored from it has all of its memory
		if err := os.Rename(noted, note); err != nil {
			return err
		}
		noted = note
	}
	if err := c.dump(ctx, &o, images, work); err != nil {
		return criu.Explain(err, o.WorkDir, dumpLog)
	}
	if err := os.Rename(noted, note); err != nil {
		return err
	}
	noted = "" // it stays
	if o.PreDump || o.Criu.LeaveRunning {
		return nil
	}
	return c.destroy()
}

// open opens the directories.
func (o *CheckpointOptions) open(create bool) (images, work *os.File, err error) {
	if o.ImageDir == "" {
		return nil, nil, errors.New("no directory for the images")
	}
	if o.WorkDir == "" {
		o.WorkDir = o.ImageDir
	}
	if filepath.IsAbs(o.ParentDir) {
		return nil, nil, fmt.Errorf("the parent's images %s: want a path relative to the images", o.ParentDir)
	}
	for _, dir := range [...]string{o.ImageDir, o.WorkDir} {
		if create || dir == o.WorkDir && dir != o.ImageDir {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return nil, nil, err
			}
		}
	}
	if images, err = os.OpenFile(o.ImageDir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, nil, err
	}
	if work, err = os.OpenFile(o.WorkDir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		images.Close()
		return nil, nil, err
	}
	return images, work, nil
}

// describe tells criu about the container.
func (c *Container) describe(o *CheckpointOptions, s *specs.Spec) error {
	d := &o.Criu
	d.Pid, d.Root = int32(c.state.Init.Pid), c.state.Rootfs
	d.EvasiveDevices, d.ForceIrmap, d.Notify = true, true, true
	d.Parent, d.TrackMemory = o.ParentDir, o.PreDump || o.ParentDir != ""
	d.LeaveRunning = d.LeaveRunning || o.PreDump
	d.OrphanPty = s.Process != nil && s.Process.Terminal
	configureCriu(d, s)
	dir, err := cgroups.Open(c.state.Cgroup).FreezerDir()
	if err != nil {
		return err
	}
	d.FreezeCgroup = dir
	if d.ExternalMounts, err = c.externalMounts(s); err != nil {
		return err
	}
	for _, x := range externalNamespaces {
		ns := spec.FindNamespace(s.Linux, x.ns)
		if ns == nil || ns.Path == "" {
			continue
		}
		var st unix.Stat_t
		if err := unix.Stat(procFile(c.state.Init.Pid, "ns/"+x.file), &st); err != nil {
			return err
		}
		d.External = append(d.External, x.file+"["+strconv.FormatUint(st.Ino, 10)+"]:"+x.name)
	}
	return nil
}

// configureCriu names criu's own configuration: the annotation org.criu.config, else a file of the host.
func configureCriu(o *criu.Options, s *specs.Spec) {
	o.LogLevel = 4 // everything: it is what a failure is explained from
	if file, ok := s.Annotations[spec.CriuConfig]; ok {
		o.ConfigFile = file
		return
	}
	for _, file := range [...]string{"/etc/criu/skep.conf", "/etc/criu/runc.conf"} {
		if _, err := os.Stat(file); err == nil {
			o.ConfigFile = file
			return
		}
	}
}

// externalMounts lists the mounts whose sources are outside, as the container has them.
func (c *Container) externalMounts(s *specs.Spec) ([]criu.ExternalMount, error) {
	mounts, err := mountsOf(c.state.Init.Pid)
	if err != nil {
		return nil, fmt.Errorf("mounts of %s: %w", c.state.ID, err)
	}
	inside := make(map[[2]int]bool) // filesystems that the container has mounted as a whole: they are its own
	for _, m := range mounts {
		if m.Root == "/" {
			inside[[2]int{m.Major, m.Minor}] = true
		}
	}
	root, err := unix.Open(procFile(c.state.Init.Pid, "root"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(root)
	var external []criu.ExternalMount
	all := rootfs.Externals(s, rootfs.Host{Bundle: c.state.Bundle, Cgroups: cgroups.Open(c.state.Cgroup).Paths()})
	if _, err := os.Lstat(c.dir.file(notifyDir)); err == nil { // which no configuration has
		all = append(all, rootfs.External{Destination: notifyMount, Certain: true})
	}
	for _, x := range all {
		id, err := mountAt(root, x.Destination)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", x.Destination, err)
		}
		at := slices.IndexFunc(mounts, func(m *mountinfo.Info) bool { return uint64(m.ID) == id })
		if at < 0 || !x.Certain && inside[[2]int{mounts[at].Major, mounts[at].Minor}] {
			continue // no mount point, or the container's own
		}
		external = append(external, criu.ExternalMount{Key: mounts[at].Mountpoint, Value: x.Destination})
	}
	return external, nil
}

func mountsOf(pid int) ([]*mountinfo.Info, error) {
	f, err := os.Open(procFile(pid, "mountinfo"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return mountinfo.GetMountsFromReader(f, nil)
}

// mountAt returns the id of the mount that has its root at a path; 0 if none has.
func mountAt(root int, path string) (uint64, error) {
	fd, err := unix.Openat2(root, path, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st); err != nil {
		return 0, os.NewSyscallError("statx", err)
	}
	if st.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 {
		return 0, nil
	}
	return st.Mnt_id, nil
}

// noteStreams writes to a temporary file what init's standard streams are: a pipe is replaced by another one when it is
// restored.
func (c *Container) noteStreams(images string) (path string, err error) {
	var names [3]string
	for fd := range names {
		// One that init has closed has no name, and needs none.
		names[fd], _ = os.Readlink(procFile(c.state.Init.Pid, "fd/"+strconv.Itoa(fd)))
	}
	raw, err := json.Marshal(names)
	if err != nil {
		return "", err
	}
	path = filepath.Join(images, "."+descriptorsFile)
	return path, os.WriteFile(path, raw, 0o600)
}

// dump has criu do it.
func (c *Container) dump(ctx context.Context, o *CheckpointOptions, images, work *os.File) error {
	child, err := nsenter.Start(nsenter.Options{Cgroup: -1, TempDir: c.dir.path})
	if err != nil {
		return err
	}
	defer child.Release()
	if o.StatusFD > 0 {
		fd := int32(o.StatusFD)
		o.Criu.StatusFD = &fd
	}
	quiet, err := memoryFile(nil) // criu has its log
	if err != nil {
		child.Kill()
		return err
	}
	defer unix.Close(quiet)
	streams := &[3]descriptor{{quiet, "input"}, {quiet, "output"}, {quiet, "output"}}
	session, err := becomeCriu(child, &o.Criu, c.options.searchPath, images, work, streams)
	if err != nil {
		child.Kill()
		return err
	}
	stop := killAtEnd(ctx, child)
	err = session.Dump(&o.Criu, o.PreDump, func(criu.Event) error { return nil })
	session.Close()
	child.Close()
	child.Wait()
	return stop(err)
}

// killAtEnd has a child killed when ctx ends. The function ends that, before the child's pidfd is closed, and returns
// what is to blame for the child's failure, if it has failed.
func killAtEnd(ctx context.Context, child *nsenter.Child) (stop func(failure error) error) {
	pidfd, killed := child.Pidfd(), make(chan struct{})
	unregister := context.AfterFunc(ctx, func() {
		defer close(killed)
		_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
	})
	return func(failure error) error {
		if unregister() {
			return failure
		}
		<-killed
		if failure != nil {
			return context.Cause(ctx)
		}
		return nil
	}
}

// The numbers of descriptors in criu.
const (
	socketFD = 3 + iota
	firstInherited
)

// becomeCriu makes a child criu, with other streams than those of this process, and with more descriptors. The
// directories it opens by way of this process.
func becomeCriu(child *nsenter.Child, o *criu.Options, searchPath string, images, work *os.File, streams *[3]descriptor, more ...descriptor) (*criu.Session, error) {
	if searchPath == "" {
		searchPath = systemPath
	}
	program, err := lookPath(searchPath, "criu")
	if err != nil {
		return nil, fmt.Errorf("%w: checkpoint and restore need it (on most distributions it comes with the package criu)", err)
	}
	session, socket, err := criu.NewSession()
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	at := int32(images.Fd())
	o.Images, o.Work = &at, int32(work.Fd())
	p := &plan.Phase{Name: "criu"}
	preserve := plan.PreserveFDs{Away: []plan.Slot{plan.Control}}
	for _, d := range append([]descriptor{{int(socket.Fd()), socket.Name()}}, more...) {
		preserve.From = append(preserve.From, p.Take(d))
	}
	if streams != nil {
		for fd, s := range streams {
			p.Add(plan.Stream{From: p.Take(s), FD: fd})
		}
	}
	p.Add(plan.ResetSignals{}, plan.CloseOnExec{First: 3}, preserve,
		plan.Exec{Path: program, Args: []string{"criu", "swrk", strconv.Itoa(socketFD)}, Env: []string{"PATH=" + systemPath}})
	if err := child.Become(p); err != nil {
		session.Close()
		return nil, err
	}
	return session, nil
}

// systemPath is where criu finds the programs that it needs: ip, iptables.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
