package libcontainer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/libcontainer/notify"
)

// Where the program finds the directory of its socket for sd_notify(3), and where that is in the state directory.
const (
	notifyMount = "/run/notify"
	notifyDir   = "notify"
)

// notifyIn settles where the program's socket will be, if it is to have one.
func (o *options) notifyIn(root, id string) {
	if o.notifySocket != "" || o.notifyPlace {
		o.notifyDir = filepath.Join(root, id, notifyDir)
	}
}

// designNotify adds the mount and the environment by which the program finds its socket.
func (b *blueprint) designNotify(o *options) {
	if o.notifyDir == "" || b.spec.Process == nil {
		return
	}
	b.spec.Mounts = append(b.spec.Mounts, specs.Mount{
		Destination: notifyMount, Type: "bind", Source: o.notifyDir, Options: []string{"bind", "nosuid", "noexec", "nodev", "ro"},
	})
	b.spec.Process.Env = append(b.spec.Process.Env, "NOTIFY_SOCKET="+filepath.Join(notifyMount, notify.SocketName))
}

// makeNotifyDir makes what is going to be mounted. The socket itself is for start to make, which listens.
func (c *creation) makeNotifyDir() error {
	if c.notifyDir == "" {
		return nil
	}
	if err := os.Mkdir(c.notifyDir, 0o700); err != nil {
		return err
	}
	return os.Chmod(c.notifyDir, 0o755) // whatever the umask: the container's users pass through it
}

// noteNotifyDir has the images of a checkpoint say whether the directory was mounted: criu then wants something to mount
// in its place, whoever restores the container. A directory without a socket does: nobody listened any more when the
// program was ready.
func (c *Container) noteNotifyDir(images string) error {
	note := filepath.Join(images, notifyFile)
	if _, err := os.Lstat(c.dir.file(notifyDir)); err == nil {
		return os.WriteFile(note, nil, 0o600)
	}
	if err := os.Remove(note); !errors.Is(err, fs.ErrNotExist) {
		return err // of an earlier checkpoint
	}
	return nil
}

func notifyDirNoted(images string) bool {
	_, err := os.Lstat(filepath.Join(images, notifyFile))
	return err == nil
}

// notified is a container whose program may say that it is ready.
type notified struct {
	listener *notify.Listener
	options  options
	pid      int
	pidfd    int
}

// listen makes the socket of a container that is about to start, if it has been created with a place for one.
func (c *Container) listen() (*notified, error) {
	if c.options.notifySocket == "" {
		return nil, nil
	}
	dir := c.dir.file(notifyDir)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err := c.Status().allows().start; err != nil {
		return nil, err
	}
	pidfd, err := c.state.Init.open()
	if err != nil {
		return nil, err
	}
	l, err := notify.Listen(dir)
	if err != nil {
		unix.Close(pidfd)
		return nil, err
	}
	return &notified{listener: l, options: c.options, pid: c.state.Init.Pid, pidfd: pidfd}, nil
}

func (n *notified) close() {
	n.listener.Close()
	unix.Close(n.pidfd)
}

// follow waits until the program is ready, or passes messages on from now on.
func (c *Container) follow(ctx context.Context, n *notified) error {
	if !n.options.notifyPass {
		defer n.close()
		return n.listener.AwaitReady(ctx, n.options.notifySocket, n.pid, n.pidfd)
	}
	c.passed = make(chan struct{})
	ctx = context.WithoutCancel(ctx) // it is that of the start, which is over; the passing ends with the program
	go func() {
		defer close(c.passed)
		defer n.close()
		if err := n.listener.Pass(ctx, n.options.notifySocket, n.pidfd); err != nil {
			n.options.report([]string{fmt.Sprintf("messages of the container are not passed on: %v", err)})
		}
	}()
	return nil
}

// DrainNotify waits until everything that a program which has ended had to say (NotifyPass) is passed on.
func (c *Container) DrainNotify() {
	if c.passed != nil {
		<-c.passed
	}
}
