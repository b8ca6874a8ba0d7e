package cli

import (
	"github.com/urfave/cli/v2"

	"skep/libcontainer"
)

func (a *app) pauseCommand() *cli.Command {
	return a.define(&cli.Command{
		Name:  "pause",
		Usage: "stop the processes of a running container where they are",
		Action: func(c *cli.Context) error {
			container, err := a.load(c)
			if err != nil {
				return err
			}
			return container.Pause()
		},
	}, "ID")
}

func (a *app) resumeCommand() *cli.Command {
	return a.define(&cli.Command{
		Name:  "resume",
		Usage: "let the processes of a paused container run on",
		Action: func(c *cli.Context) error {
			container, err := a.load(c)
			if err != nil {
				return err
			}
			return container.Resume()
		},
	}, "ID")
}

// load finds the container that the first argument names.
func (a *app) load(c *cli.Context) (*libcontainer.Container, error) {
	return libcontainer.Load(c.String("root"), c.Args().First(), a.options(c)...)
}
