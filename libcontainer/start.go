package libcontainer

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// Start runs the program of a created container (runtime.md#start). It returns once the program runs, or with the
// reason why it does not: ErrNotExist, ErrStartRunning and the like where nothing waits to be started, ErrNoProcess, or
// what execve said. A container whose hooks fail is gone.
func Start(ctx context.Context, root, id string, opts ...Option) error {
	c, err := loadLocked(root, id, unix.LOCK_EX, opts)
	if err != nil {
		return err
	}
	return c.startLocked(ctx)
}

// Start runs the program of the container. See the function of the same name.
func (c *Container) Start(ctx context.Context) error {
	if err := c.dir.acquire(unix.LOCK_EX); err != nil {
		return err
	}
	return c.startLocked(ctx)
}

// startLocked starts the container and releases its lock: whoever gets tired of waiting for the program to be ready
// can kill it.
func (c *Container) startLocked(ctx context.Context) error {
	notified, err := c.listen()
	if err == nil {
		err = c.start(ctx)
	}
	c.dir.release()
	if notified == nil {
		return err
	}
	if err != nil {
		notified.close()
		return err
	}
	return c.follow(ctx, notified)
}

func (c *Container) start(ctx context.Context) error {
	if err := c.Status().allows().start; err != nil {
		return err
	}
	if c.frozen() { // init would not go on, and count as running from then on
		return ErrStartPaused
	}
	if !c.state.HasProcess {
		return ErrNoProcess
	}
	pidfd, err := c.state.Init.open()
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	fifo, err := unix.Open(c.dir.file(verdictFile), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", c.dir.file(verdictFile), err)
	}
	defer unix.Close(fifo)
	hooks, err := c.hooksAt(startContainer, poststart)
	if err != nil {
		return err
	}
	if err := c.runHooks(ctx, startContainer, hooks); err != nil {
		return c.abandon(err)
	}
	if err := c.openGate(); err != nil {
		return err
	}
	v := verdict{fifo: fifo, pidfd: pidfd, pid: c.state.Init.Pid, name: initName, release: c.state.Release, program: c.state.Program}
	if err := v.await(ctx); err != nil {
		return err
	}
	if err := c.runHooks(ctx, poststart, hooks); err != nil {
		return c.abandon(err)
	}
	return nil
}

// openGate lets init go on, once: the container is running from the moment at which the gate is gone.
func (c *Container) openGate() error {
	gate, err := unix.Open(c.dir.file(gateFile), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: nobody waits to be started: %w", c.state.ID, err)
	}
	defer unix.Close(gate)
	// In this order a start that fails or dies in between leaves no running program that counts as created.
	if err := os.Remove(c.dir.file(gateFile)); err != nil {
		return err
	}
	_, err = unix.Write(gate, []byte{plan.StartByte})
	return os.NewSyscallError("write", err)
}

// open returns a pidfd of the process. A process that is gone, or a zombie, is ErrNotRunning.
func (p Process) open() (int, error) { return p.openIf(p.Alive) }

// openIf returns a pidfd of the process if it still is what it has to be. It is looked at after opening: from then on
// the pid cannot come to mean another process.
func (p Process) openIf(still func() bool) (int, error) {
	if p.Pid <= 0 {
		return -1, ErrNotRunning
	}
	fd, err := unix.PidfdOpen(p.Pid, 0)
	// EINVAL: there is no such process, but others have its pid for their session or process group. Newer kernels
	// say ESRCH then, too.
	if err == unix.ESRCH || err == unix.EINVAL {
		return -1, ErrNotRunning
	}
	if err != nil {
		return -1, os.NewSyscallError("pidfd_open", err)
	}
	if !still() {
		unix.Close(fd)
		return -1, ErrNotRunning
	}
	return fd, nil
}
