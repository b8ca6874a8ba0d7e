package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"skep/cgroups"
	"skep/libcontainer"
	"skep/spec"
)

func (a *app) specCommand() *cli.Command {
	return a.define(&cli.Command{
		Name:  "spec",
		Usage: "write an example config.json",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Value: ".", Usage: "`DIR` to write into"},
			&cli.BoolFlag{Name: "rootless", Usage: "for an unprivileged user"},
		},
		Action: func(c *cli.Context) error {
			layout, err := cgroups.Detect()
			if err != nil {
				return err
			}
			content, err := spec.ExampleJSON(spec.ExampleOptions{
				CgroupNamespace: layout.Mode() == cgroups.V2,
				Rootless:        c.Bool("rootless"),
				UID:             uint32(os.Geteuid()),
				GID:             uint32(os.Getegid()),
			})
			if err != nil {
				return err
			}
			path := filepath.Join(c.String("bundle"), spec.ConfigFile)
			f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("%s exists; remove it first", path)
			}
			if err != nil {
				return err
			}
			if _, err := f.Write(content); err != nil {
				f.Close()
				return err
			}
			return f.Close()
		},
	})
}

func (a *app) planCommand() *cli.Command {
	return a.define(&cli.Command{
		Name:  "plan",
		Usage: "print what create and start would do for a bundle; needs no privileges",
		Flags: []cli.Flag{&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Value: ".", Usage: "`DIR` with config.json"}},
		Action: func(c *cli.Context) error {
			id := c.Args().First()
			if id == "" {
				id = "ID"
			}
			text, err := libcontainer.Plan(c.String("bundle"), id, append(systemdOptions(c), libcontainer.Warn(a.log.warn))...)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(a.stdout, text)
			return err
		},
	}, "[ID]")
}
