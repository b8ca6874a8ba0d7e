package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"skep/libcontainer"
	"skep/libcontainer/criu"
)

func (a *app) checkpointCommand() *cli.Command {
	return a.define(&cli.Command{
		Name:  "checkpoint",
		Usage: "write a running or paused container to images (needs criu)",
		Flags: append(criuFlags(),
			&cli.BoolFlag{Name: "leave-running", Usage: "let the container go on"},
			&cli.StringFlag{Name: "page-server", Usage: "send the memory to the page server at `ADDRESS:PORT`"},
			&cli.StringFlag{Name: "parent-path", Usage: "`DIR` of the images of a pre-dump, relative to the images"},
			&cli.BoolFlag{Name: "pre-dump", Usage: "write only the memory, for a later checkpoint, and let the container go on"},
			&cli.IntFlag{Name: "status-fd", Value: -1, Usage: "criu writes a byte to descriptor `N` when its lazy-pages server is ready"},
		),
		Action: func(c *cli.Context) error {
			o, err := a.checkpointOptions(c)
			if err != nil {
				return err
			}
			container, err := a.load(c)
			if err != nil {
				return err
			}
			return container.Checkpoint(c.Context, *o)
		},
	}, "ID")
}

func (a *app) restoreCommand() *cli.Command {
	return a.define(&cli.Command{
		Name:  "restore",
		Usage: "make a container of images, and let it go on (needs criu)",
		Flags: append(slices.Concat(criuFlags(), containerFlags(), foregroundFlags()),
			&cli.BoolFlag{Name: "tcp-close", Usage: "restore connected TCP sockets closed"},
			&cli.StringFlag{Name: "lsm-profile", Usage: "restore with another security label, `TYPE:NAME`"},
			&cli.StringFlag{Name: "lsm-mount-context", Usage: "restore mounts with another SELinux `CONTEXT`"},
		),
		Action: func(c *cli.Context) error {
			o, err := a.checkpointOptions(c)
			if err != nil {
				return err
			}
			options, err := a.createOptions(c)
			if err != nil {
				return err
			}
			return a.supervise(c, func(ctx context.Context, more ...libcontainer.Option) (*libcontainer.Container, error) {
				return libcontainer.Restore(ctx, c.String("root"), c.Args().First(), c.String("bundle"), *o, append(options, more...)...)
			})
		},
	}, "ID")
}

// criuFlags are those that checkpoint and restore share.
func criuFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "image-path", Value: "checkpoint", Usage: "`DIR` of the images"},
		&cli.StringFlag{Name: "work-path", Usage: "`DIR` for criu's log; that of the images by default"},
		&cli.BoolFlag{Name: "tcp-established", Usage: "allow established TCP connections"},
		&cli.BoolFlag{Name: "tcp-skip-in-flight", Usage: "skip TCP connections that are being established"},
		&cli.BoolFlag{Name: "ext-unix-sk", Usage: "allow unix sockets connected to the outside"},
		&cli.BoolFlag{Name: "shell-job", Usage: "allow a session whose leader is outside"},
		&cli.BoolFlag{Name: "file-locks", Usage: "keep file locks"},
		&cli.BoolFlag{Name: "link-remap", Usage: "allow open files that have been unlinked"},
		&cli.BoolFlag{Name: "auto-dedup", Usage: "drop memory that a later image has again"},
		&cli.BoolFlag{Name: "lazy-pages", Usage: "leave the memory to criu's lazy-pages server"},
		&cli.StringFlag{Name: "empty-ns", Usage: "keep a `NAMESPACE` without its content: network"},
		// runc's default is soft. skep has the processes restored in the container's cgroup anyway, and where criu does
		// it, up to 3.19 it mounts cgroup2 in a way that takes nsdelegate from the host's.
		&cli.StringFlag{Name: "manage-cgroups-mode", Value: "ignore", Usage: "what criu does about cgroups below the container's: soft, full, strict or ignore"},
		&cli.StringFlag{Name: "network-lock", Usage: "hold the network still by iptables, nftables or skip it"},
	}
}

func (a *app) checkpointOptions(c *cli.Context) (*libcontainer.CheckpointOptions, error) {
	o := &libcontainer.CheckpointOptions{ParentDir: c.String("parent-path"), PreDump: c.Bool("pre-dump"), Criu: criu.Options{
		LeaveRunning: c.Bool("leave-running"), ExternalSockets: c.Bool("ext-unix-sk"), TCPEstablished: c.Bool("tcp-established"),
		ShellJob: c.Bool("shell-job"), FileLocks: c.Bool("file-locks"), LinkRemap: c.Bool("link-remap"),
		TCPSkipInFlight: c.Bool("tcp-skip-in-flight"), TCPClose: c.Bool("tcp-close"), AutoDedup: c.Bool("auto-dedup"),
		LazyPages: c.Bool("lazy-pages"), LSMProfile: c.String("lsm-profile"), LSMMountContext: c.String("lsm-mount-context"),
		ManageCgroups: true,
	}}
	if c.String("image-path") == "" {
		return nil, errors.New("--image-path: the path is empty")
	}
	var err error
	if o.ImageDir, err = filepath.Abs(c.String("image-path")); err != nil {
		return nil, err
	}
	if dir := c.String("work-path"); dir != "" {
		if o.WorkDir, err = filepath.Abs(dir); err != nil {
			return nil, err
		}
	}
	if c.IsSet("status-fd") {
		o.StatusFD = c.Int("status-fd")
		if o.StatusFD < 3 || o.StatusFD >= 3+a.descriptors {
			return nil, fmt.Errorf("--status-fd %d: not a descriptor that was handed over", o.StatusFD)
		}
	}
	return o, parseCriuFlags(c, &o.Criu)
}

// parseCriuFlags reads the flags whose values have a form.
func parseCriuFlags(c *cli.Context, o *criu.Options) error {
	var ok bool
	if o.CgroupMode, ok = criu.ParseCgroupMode(c.String("manage-cgroups-mode")); !ok {
		return fmt.Errorf("--manage-cgroups-mode %s: want soft, full, strict or ignore", c.String("manage-cgroups-mode"))
	}
	if word := c.String("network-lock"); word != "" {
		if o.NetworkLock, ok = criu.ParseNetworkLock(word); !ok {
			return fmt.Errorf("--network-lock %s: want iptables, nftables or skip", word)
		}
	}
	switch c.String("empty-ns") {
	case "":
	case "network":
		o.EmptyNetns = unix.CLONE_NEWNET
	default:
		return fmt.Errorf("--empty-ns %s: want network", c.String("empty-ns"))
	}
	if server := c.String("page-server"); server != "" {
		host, port, err := net.SplitHostPort(server)
		if err != nil {
			return fmt.Errorf("--page-server: %w", err)
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return fmt.Errorf("--page-server %s: want ADDRESS:PORT", server)
		}
		o.PageServer = &criu.PageServer{Address: host, Port: int32(n)}
	}
	if c.Bool("lazy-pages") && c.Command.Name == "checkpoint" && o.PageServer == nil {
		return errors.New("--lazy-pages: criu serves the memory itself then and needs --page-server ADDRESS:PORT")
	}
	return nil
}
