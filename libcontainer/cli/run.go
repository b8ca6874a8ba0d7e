package cli

import (
	"context"
	"errors"
	"os"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"skep/libcontainer"
)

func (a *app) runCommand() *cli.Command {
	return a.define(&cli.Command{
		Name:   "run",
		Usage:  "create and start a container, and wait for its end",
		Flags:  append(createFlags(), foregroundFlags()...),
		Action: a.run,
	}, "ID")
}

// foregroundFlags are the flags of run and restore, which may stay until the container's end.
func foregroundFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "do not wait"},
		&cli.BoolFlag{Name: "keep", Usage: "keep the container when its program ends"},
		&cli.BoolFlag{Name: "no-subreaper", Usage: "leave the container's orphans to the system's init"},
	}
}

func (a *app) run(c *cli.Context) error {
	options, err := a.createOptions(c)
	if err != nil {
		return err
	}
	return a.supervise(c, func(ctx context.Context, more ...libcontainer.Option) (*libcontainer.Container, error) {
		container, err := libcontainer.Create(ctx, c.String("root"), c.Args().First(), c.String("bundle"), append(options, more...)...)
		if err != nil {
			return nil, err
		}
		return container, startOrDelete(ctx, container)
	})
}

// supervise brings a container to run and, unless it is detached, stays until its end, which becomes skep's own.
func (a *app) supervise(c *cli.Context, start func(context.Context, ...libcontainer.Option) (*libcontainer.Container, error)) error {
	if c.Bool("detach") {
		_, err := start(c.Context)
		return err
	}
	if !c.Bool("no-subreaper") {
		// What the container's init leaves behind is ours to reap, so that delete finds empty cgroups.
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return os.NewSyscallError("prctl", err)
		}
	}
	fg, err := newForeground()
	if err != nil {
		return err
	}
	defer fg.close()
	ctx := newInterruption(c.Context, fg)
	container, err := start(ctx, libcontainer.Console(fg.attach), libcontainer.NotifyPass())
	if interrupted := ctx.close(); err == nil && interrupted != nil { // too late for any hook
		err = errors.Join(interrupted, container.Undo())
	}
	if err != nil {
		return err
	}
	status, err := fg.wait(container.State().Init.Pid)
	if err != nil {
		return errors.Join(err, container.Undo())
	}
	container.DrainNotify()
	leaveSignals(interrupting()...)
	if !c.Bool("keep") {
		if err := container.Delete(); err != nil {
			a.log.warn(err.Error())
		}
	}
	if status != 0 {
		return exitStatus(status)
	}
	return nil
}

// startOrDelete leaves nothing of a container that does not start.
func startOrDelete(ctx context.Context, container *libcontainer.Container) error {
	err := container.Start(ctx)
	if err == nil {
		return nil
	}
	return errors.Join(err, container.Undo())
}
