package cli

import (
	"github.com/urfave/cli/v2"

	"skep/libcontainer"
	"skep/spec"
)

func (a *app) startCommand() *cli.Command {
	return a.define(&cli.Command{
		Name:  "start",
		Usage: "run the program of a created container",
		Action: func(c *cli.Context) error {
			return libcontainer.Start(c.Context, c.String("root"), c.Args().First(), append(a.options(c), notifyOptions()...)...)
		},
	}, "ID")
}

func (a *app) killCommand() *cli.Command {
	return a.define(&cli.Command{
		Name:  "kill",
		Usage: "send a signal to a container's init",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "signal every process of the container"}},
		Action: func(c *cli.Context) error {
			name := c.Args().Get(1)
			if name == "" {
				name = "TERM"
			}
			sig, err := spec.ParseSignal(name)
			if err != nil {
				return err
			}
			return libcontainer.Kill(c.String("root"), c.Args().First(), sig, c.Bool("all"))
		},
	}, "ID", "[SIGNAL]")
}

func (a *app) deleteCommand() *cli.Command {
	return a.define(&cli.Command{
		Name:  "delete",
		Usage: "remove a container",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "kill it first if it runs; an unknown id is no error"}},
		Action: func(c *cli.Context) error {
			return libcontainer.Delete(c.String("root"), c.Args().First(), c.Bool("force"), a.options(c)...)
		},
	}, "ID")
}
