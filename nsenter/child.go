package nsenter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// inlineMax is the longest phase that travels in one message; player.c has the same number.
const inlineMax = 16384

// answerSize is the size of struct answer in player.c.
const answerSize = 4 * (2 + plan.Slots)

// Options says how a child is cloned.
type Options struct {
	// Flags are the CLONE_NEW* flags of the namespaces that the child begins in.
	Flags uintptr
	// Cgroup is a descriptor of a v2 cgroup directory to be cloned into, or -1. It costs no wait, where writing a
	// pid into cgroup.procs waits some 10 ms for an RCU grace period.
	Cgroup int
	// Streams are the child's standard streams; nil is that of this process.
	Streams [3]*os.File
	// Stalled is called when the child has not answered a phase for [StallTime], as happens in a frozen cgroup. It waits
	// until the socket can be read, or returns an error, which ends the phase. Without it the wait has no end.
	Stalled func(socket int) error
	// TempDir holds the image where executable memfds are forbidden; where it is mounted noexec, /var/tmp or /tmp does.
	TempDir string
}

// StallTime is how long a child may keep its parent waiting before [Options.Stalled] is asked.
const StallTime = 100 * time.Millisecond

// Child is a process that plays phases until one of them makes it a program.
type Child struct {
	Pid    int
	pidfd  int
	socket int
	known  plan.SlotSet
	queue  []*plan.Phase
	status *unix.WaitStatus // once reaped
	stall  func(socket int) error
}

// Results is what a phase left behind.
type Results struct {
	slots [plan.Slots]int32
	// Files are the descriptors that Export steps handed out. The caller closes them.
	Files  map[plan.Slot]*os.File
	forked int // the pid of the process that goes on, if a step has told it
}

// Slot returns the value of a slot after the phase: a descriptor or pid of the child, or a negative errno.
func (r *Results) Slot(s plan.Slot) int { return int(r.slots[s]) }

// Errno returns the errno that a tolerated failure left in a slot, 0 for success.
func (r *Results) Errno(s plan.Slot) unix.Errno {
	if v := r.slots[s]; v < 0 {
		return unix.Errno(-v)
	}
	return 0
}

func (r *Results) close() {
	for _, f := range r.Files {
		f.Close()
	}
}

// DeathError says that the child ended in the middle of a phase.
type DeathError struct {
	Phase  string
	Status unix.WaitStatus
}

// ExecFailed is the exit status of a child that could not execute the player, nor report it: Go's syscall package
// ends it so. Its report needs memory, too.
const ExecFailed = 253

func (e *DeathError) Error() string {
	how := "exited with status " + strconv.Itoa(e.Status.ExitStatus())
	if e.Status.Signaled() {
		how = "was killed by " + unix.SignalName(e.Status.Signal())
	}
	return "phase " + e.Phase + ": the container's process " + how
}

// Start clones a child and executes the sealed player in it.
//
// A new user namespace is made by the clone itself, not by the running player: it costs 0.3 ms more, since Go
// cannot clone it with CLONE_VFORK, but no second process has to be forked and reaped. Ids are unmapped until the
// parent has written the maps, and an exec with unmapped ids empties the capability sets, so that the
// capabilities go through the player's exec as ambient ones; SetCaps clears them.
func Start(o Options) (*Child, error) {
	img, err := sealed(o.TempDir)
	if err != nil {
		return nil, err
	}
	defer unix.Close(img)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	defer unix.Close(pair[1])
	c := &Child{socket: pair[0], pidfd: -1, stall: o.Stalled}
	if o.Stalled != nil {
		patience := unix.NsecToTimeval(StallTime.Nanoseconds())
		if err := unix.SetsockoptTimeval(c.socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience); err != nil {
			unix.Close(c.socket)
			return nil, os.NewSyscallError("setsockopt", err)
		}
	}
	sys := &syscall.SysProcAttr{Cloneflags: o.Flags, PidFD: &c.pidfd}
	if o.Cgroup >= 0 {
		sys.UseCgroupFD, sys.CgroupFD = true, o.Cgroup
	}
	if o.Flags&unix.CLONE_NEWUSER != 0 {
		sys.AmbientCaps = allCaps()
	}
	files := []uintptr{0, 1, 2, uintptr(pair[1])}
	for fd, f := range o.Streams {
		if f != nil {
			files[fd] = f.Fd()
		}
	}
	c.Pid, _, err = syscall.StartProcess("/proc/self/fd/"+strconv.Itoa(img), []string{"skep:[init]"}, &syscall.ProcAttr{
		Files: files,
		Env:   []string{},
		Sys:   sys,
	})
	if err != nil {
		unix.Close(pair[0])
		return nil, fmt.Errorf("clone init: %w", err)
	}
	return c, nil
}

func allCaps() []uintptr {
	caps := make([]uintptr, 0, unix.CAP_LAST_CAP+1)
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		caps = append(caps, c)
	}
	return caps
}

// Pidfd returns a descriptor of the process; it stays the Child's.
func (c *Child) Pidfd() int { return c.pidfd }

// Queue has a phase played right before the next one that Run or Finish plays.
func (c *Child) Queue(p *plan.Phase) { c.queue = append(c.queue, p) }

// Run opens the phase's inputs, plays it and waits for the answer. A failed step is a *plan.StepError; the child
// is then of no further use.
func (c *Child) Run(p *plan.Phase) (*Results, error) {
	c.Queue(p)
	return c.Play()
}

// Play plays what is queued, as Run does.
func (c *Child) Play() (*Results, error) {
	res := &Results{}
	for len(c.queue) > 0 {
		if err := c.runOne(c.next(), res); err != nil {
			res.close()
			return nil, err
		}
	}
	return res, nil
}

// next joins what is queued.
func (c *Child) next() *plan.Phase {
	joined, rest := plan.Join(c.queue)
	c.queue = rest
	return joined
}

func (c *Child) runOne(p *plan.Phase, res *Results) error {
	program, err := c.send(p)
	if err != nil {
		return err
	}
	if err := c.conclude(program, p, res); err != nil || !p.Forks() {
		return err
	}
	return c.adopt(res)
}

// conclude waits for a phase to end.
func (c *Child) conclude(program *plan.Program, p *plan.Phase, res *Results) error {
	index, errno, err := c.receive(res)
	if err != nil && res.forked != 0 { // it is the new process that has not answered
		if err := c.adopt(res); err != nil {
			return err
		}
	}
	switch {
	case errors.Is(err, errGone):
		return &DeathError{p.Name, c.Wait()}
	case err != nil:
		return fmt.Errorf("phase %s: %w", p.Name, err)
	case errno != 0:
		return c.explain(program, index, errno)
	}
	return nil
}

// Finish plays the last phase up to its AwaitStart step and lets go of the child, which waits there.
func (c *Child) Finish(p *plan.Phase) error {
	defer c.Close()
	c.Queue(p)
	res := &Results{}
	defer res.close()
	var err error
	for err == nil && len(c.queue) > 0 {
		err = c.runOne(c.next(), res)
	}
	if errors.Is(err, errReady) {
		return nil
	}
	if err == nil {
		return fmt.Errorf("phase %s: ended without waiting for start", p.Name)
	}
	return err
}

// Close closes the socket, at which a waiting player exits. The pidfd stays open until Release.
func (c *Child) Close() {
	if c.socket >= 0 {
		unix.Close(c.socket)
		c.socket = -1
	}
}

// Release closes the pidfd.
func (c *Child) Release() {
	if c.pidfd >= 0 {
		unix.Close(c.pidfd)
		c.pidfd = -1
	}
}

// Wait reaps the child. A child that somebody else has reaped has status 0. Once reaped, its pid may be another
// process's, so that a second Wait only repeats the status.
func (c *Child) Wait() unix.WaitStatus {
	for c.status == nil {
		var status unix.WaitStatus
		if _, err := unix.Wait4(c.Pid, &status, unix.WALL, nil); err != unix.EINTR {
			c.status = &status
		}
	}
	return *c.status
}

// Kill ends the child and reaps it.
func (c *Child) Kill() {
	c.Close()
	_ = unix.PidfdSendSignal(c.pidfd, unix.SIGKILL, nil, 0)
	c.Wait()
}

func (c *Child) send(p *plan.Phase) (*plan.Program, error) {
	program, err := plan.Lower(p, &c.known)
	if err != nil {
		return nil, err
	}
	fds := make([]int, 0, len(p.Inputs)+1)
	for _, s := range p.Inputs {
		fd, err := s.Open()
		if err != nil {
			return nil, err
		}
		defer unix.Close(fd)
		fds = append(fds, fd)
	}
	message := program.Encode(program.Size() > inlineMax)
	if len(message) > inlineMax {
		fd, err := memfd("phase", unix.MFD_NOEXEC_SEAL)
		if err != nil {
			return nil, os.NewSyscallError("memfd_create", err)
		}
		defer unix.Close(fd)
		if err := fill(fd, message); err != nil {
			return nil, err
		}
		fds = append(fds, fd)
		message = message[:plan.HeaderSize]
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	if err := unix.Sendmsg(c.socket, message, rights, nil, unix.MSG_NOSIGNAL); err != nil {
		if err == unix.EPIPE || err == unix.ECONNRESET {
			return nil, &DeathError{p.Name, c.Wait()}
		}
		return nil, os.NewSyscallError("sendmsg", err)
	}
	return program, nil
}

// What ends a phase other than an answer. A single byte comes from AwaitStart, with a descriptor from Export; a
// number from Seccomp.
var (
	errGone      = errors.New("no answer")
	errReady     = errors.New("waiting for start")
	errListening = errors.New("loading a seccomp filter with a listener")
)

// receive reads messages until one ends the phase.
func (c *Child) receive(res *Results) (index int, errno unix.Errno, err error) {
	var buf [answerSize]byte
	oob := make([]byte, unix.CmsgSpace(4))
	for {
		n, oobn, flags, _, err := unix.Recvmsg(c.socket, buf[:], oob, unix.MSG_CMSG_CLOEXEC)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			if err := c.stall(c.socket); err != nil {
				return 0, 0, err
			}
			continue
		case err != nil && err != unix.ECONNRESET:
			return 0, 0, os.NewSyscallError("recvmsg", err)
		case flags&unix.MSG_CTRUNC != 0: // RLIMIT_NOFILE: the descriptor was dropped
			return 0, 0, os.NewSyscallError("recvmsg", unix.EMFILE)
		case n == 1 && oobn > 0:
			if err := res.take(plan.Slot(buf[0]), oob[:oobn]); err != nil {
				return 0, 0, err
			}
		case n == 1:
			return 0, 0, errReady
		case n == plan.AnnouncementSize:
			res.slots[plan.Listener] = int32(binary.NativeEndian.Uint32(buf[:]))
			return 0, 0, errListening
		case n == plan.ForkedSize:
			res.forked = int(binary.NativeEndian.Uint32(buf[:]))
		case n != answerSize:
			return 0, 0, errGone
		default:
			e := binary.NativeEndian
			for i := range res.slots {
				res.slots[i] = int32(e.Uint32(buf[8+4*i:]))
			}
			return int(int32(e.Uint32(buf[0:]))), unix.Errno(e.Uint32(buf[4:])), nil
		}
	}
}

func (r *Results) take(slot plan.Slot, oob []byte) error {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) != 1 {
		return fmt.Errorf("descriptor of slot %s: malformed message", slot)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return fmt.Errorf("descriptor of slot %s: malformed message", slot)
	}
	if r.Files == nil {
		r.Files = make(map[plan.Slot]*os.File)
	}
	r.Files[slot] = os.NewFile(uintptr(fds[0]), slot.String())
	return nil
}

// explain turns a failed record into an error, with the kernel's own words where a filesystem context has some.
func (c *Child) explain(program *plan.Program, index int, errno unix.Errno) error {
	e, context, ok := program.Fault(index, errno)
	if !ok {
		return e
	}
	var log []string
	for len(log) < 4 { // the kernel keeps eight messages; the first say it
		res := &Results{}
		if _, err := c.send(plan.ReadLog(context)); err != nil {
			break
		}
		if _, errno, err := c.receive(res); err != nil || errno != 0 {
			break
		}
		log = append(log, plan.LogText(res.slots[:]))
	}
	e.Detail = strings.Join(log, "; ")
	return e
}
