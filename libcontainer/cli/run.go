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
		Name:  "run",
		Usage: "create and start a container, and wait for its end",
		Flags: append(createFlags(),
			&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "do not wait"},
			&cli.BoolFlag{Name: "keep", Usage: "keep the container when its program ends"},
			&cli.BoolFlag{Name: "no-subreaper", Usage: "leave the container's orphans to the system's init"},
		),
		Action: a.run,
	}, "ID")
}

func (a *app) run(c *cli.Context) error {
	options, err := a.createOptions(c)
	if err != nil {
		return err
	}
	create := func(ctx context.Context, more ...libcontainer.Option) (*libcontainer.Container, error) {
		return libcontainer.Create(ctx, c.String("root"), c.Args().First(), c.String("bundle"), append(options, more...)...)
	}
	if c.Bool("detach") {
		container, err := create(c.Context)
		if err != nil {
			return err
		}
		return startOrDelete(c.Context, container)
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
	container, err := create(ctx, libcontainer.Console(fg.attach), libcontainer.NotifyPass())
	if err != nil {
		return err
	}
	err = startOrDelete(ctx, container)
	if interrupted := ctx.close(); err == nil && interrupted != nil { // too late for any hook
		err = errors.Join(interrupted, container.Delete())
	}
	if err != nil {
		return err
	}
	status, err := fg.wait(container.State().Init.Pid)
	if err != nil {
		return errors.Join(err, container.Delete())
	}
	container.DrainNotify()
	leaveSignals()
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
	return errors.Join(err, container.Delete())
}
