package libcontainer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter"
)

// hook is one hook on its way.
type hook struct {
	*specs.Hook
	item      string // its JSON path
	at        hookPoint
	container *Container
	spec      *specs.Spec
}

// run runs the hook. The error says which one failed and how, and ends with what it wrote.
func (h *hook) run(ctx context.Context) error {
	if err := h.play(ctx); err != nil {
		return fmt.Errorf("%s %s: %w", h.item, h.Path, err)
	}
	return nil
}

// play runs the hook to its end: that of its process. What it leaves behind may keep its output open and delays
// nobody.
func (h *hook) play(ctx context.Context) error {
	state, err := h.state()
	if err != nil {
		return err
	}
	stdin, err := memoryFile(state)
	if err != nil {
		return err
	}
	defer unix.Close(stdin)
	output, write, err := newHookOutput()
	if err != nil {
		return err
	}
	defer unix.Close(output.fd)
	recall, err := h.recall()
	if err != nil {
		unix.Close(write)
		return err
	}
	defer closeEnd(&recall)
	child, err := h.launch(stdin, write)
	unix.Close(write)
	if err != nil {
		return err
	}
	defer child.Release()
	defer child.Close()
	if err := output.await(ctx, child, h.Timeout, recall); err != nil {
		// The group first: its number is the hook's pid, which is taken until the hook is reaped.
		_ = unix.Kill(-child.Pid, unix.SIGKILL)
		child.Kill()
		return output.explain(err)
	}
	if status := child.Wait(); status != 0 {
		return output.explain(errors.New(nsenter.Ended(status)))
	}
	return nil
}

// state is what the hook reads: the container's state as one line of JSON (runtime.md#state). Without a process
// there is no pid.
func (h *hook) state() ([]byte, error) {
	facts := h.container.state
	s := specs.State{
		Version: specs.Version, ID: facts.ID, Status: specs.ContainerState(h.at.status()),
		Bundle: facts.Bundle, Annotations: facts.Annotations,
	}
	var err error
	switch {
	case h.at.inside():
		s.Pid, err = innerPid(facts.Init.Pid)
	case h.at != poststop:
		s.Pid = facts.Init.Pid
	}
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err = encoder.Encode(s)
	return b.Bytes(), err
}

// innerPid returns the pid of a process as its own pid namespace has it.
func innerPid(pid int) (int, error) {
	path := procFile(pid, "status")
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if list, ok := strings.CutPrefix(line, "NSpid:"); ok {
			pids := strings.Fields(list)
			return strconv.Atoi(pids[len(pids)-1])
		}
	}
	return 0, fmt.Errorf("%s: has no NSpid", path)
}

// memoryFile holds what a hook may read, or leave alone: unlike a pipe it needs nobody who writes.
func memoryFile(content []byte) (int, error) {
	fd, err := unix.MemfdCreate("state", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // before 6.3
		fd, err = unix.MemfdCreate("state", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	if _, err := unix.Pwrite(fd, content, 0); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("write", err)
	}
	return fd, nil
}

// await collects output until the hook ends, its time is over (in seconds; nil is forever), ctx ends, or a delete has
// waited for long enough.
func (o *hookOutput) await(ctx context.Context, child *nsenter.Child, limit *int, recall int) error {
	timeout := -1 // ms
	var deadline time.Time
	if limit != nil {
		const longest = 1 << 32 // seconds; more would overflow
		deadline = time.Now().Add(time.Duration(min(*limit, longest)) * time.Second)
	}
	ended, done, err := endOf(ctx)
	if err != nil {
		return err
	}
	defer done()
	fds := []unix.PollFd{{Fd: int32(child.Pidfd()), Events: unix.POLLIN}, {Fd: int32(o.fd), Events: unix.POLLIN},
		{Fd: int32(ended), Events: unix.POLLIN}, {Fd: int32(recall)}}
	for {
		if !deadline.IsZero() {
			left := time.Until(deadline)
			if left <= 0 {
				return fmt.Errorf("was killed: no end after %d s", *limit)
			}
			timeout = milliseconds(left)
		}
		if _, err := unix.Poll(fds, timeout); err != nil && err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if fds[1].Revents != 0 && !o.read() {
			fds[1].Fd = -1 // closed
		}
		if fds[0].Revents != 0 {
			return nil
		}
		if fds[3].Revents != 0 { // POLLHUP
			return fmt.Errorf("was killed: delete --force has waited %s for it", deletePatience)
		}
	}
}

// hookOutput keeps the end of what a hook writes to its standard output and error.
type hookOutput struct {
	fd   int
	tail []byte
}

func newHookOutput() (o *hookOutput, write int, err error) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return nil, -1, os.NewSyscallError("pipe2", err)
	}
	err = unix.SetNonblock(pipe[0], true)
	if err == nil {
		err = unix.Fchmod(pipe[1], 0o666) // for a hook in a user namespace that reopens /dev/stderr
	}
	if err != nil {
		unix.Close(pipe[0])
		unix.Close(pipe[1])
		return nil, -1, fmt.Errorf("output of the hook: %w", err)
	}
	return &hookOutput{fd: pipe[0]}, pipe[1], nil
}

// read takes what is there by now, and reports whether there may be more later.
func (o *hookOutput) read() bool {
	const keep = 64 << 10 // a pipe holds no more
	start := len(o.tail)
	o.tail = append(o.tail, make([]byte, keep)...)
	n, err := unix.Read(o.fd, o.tail[start:])
	o.tail = o.tail[:start+max(n, 0)]
	if extra := len(o.tail) - keep; extra > 0 {
		o.tail = append(o.tail[:0], o.tail[extra:]...)
	}
	return n > 0 || err == unix.EAGAIN || err == unix.EINTR
}

// explain adds the output to an error, without what would confuse a terminal.
func (o *hookOutput) explain(err error) error {
	o.read()
	text := strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, string(o.tail)))
	if text == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, text)
}
