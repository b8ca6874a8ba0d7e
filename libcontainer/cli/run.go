package cli

import (
	"fmt"
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
	root, id := c.String("root"), c.Args().First()
	if c.Bool("detach") {
		if _, err := libcontainer.Create(c.Context, root, id, c.String("bundle"), options...); err != nil {
			return err
		}
		return a.startOrDelete(c, root, id)
	}
	if !c.Bool("no-subreaper") {
		// What the container's init leaves behind is ours to reap, so that delete finds empty cgroups.
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return os.NewSyscallError("prctl", err)
		}
	}
	fg := newForeground()
	defer fg.close()
	if c.String("console-socket") == "" {
		options = append(options, libcontainer.Console(fg.attach))
	}
	container, err := libcontainer.Create(c.Context, root, id, c.String("bundle"), options...)
	if err != nil {
		return err
	}
	if err := fg.follow(container.State().Init.Pid); err != nil {
		_ = libcontainer.Delete(root, id, true)
		return err
	}
	if err := a.startOrDelete(c, root, id); err != nil {
		return err
	}
	status := fg.wait()
	if !c.Bool("keep") {
		if err := libcontainer.Delete(root, id, true); err != nil {
			a.log.warn(err.Error())
		}
	}
	if status != 0 {
		return exitStatus(status)
	}
	return nil
}

// startOrDelete leaves nothing of a container that does not start.
func (a *app) startOrDelete(c *cli.Context, root, id string) error {
	err := libcontainer.Start(c.Context, root, id)
	if err == nil {
		return nil
	}
	if undo := libcontainer.Delete(root, id, true); undo != nil {
		return fmt.Errorf("%w (and not cleaned up: %w)", err, undo)
	}
	return err
}
