package cli

import (
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"skep/libcontainer"
)

func (a *app) createCommand() *cli.Command {
	return a.define(&cli.Command{
		Name:  "create",
		Usage: "make a container, ready to start",
		Flags: createFlags(),
		Action: func(c *cli.Context) error {
			options, err := a.createOptions(c)
			if err != nil {
				return err
			}
			_, err = libcontainer.Create(c.Context, c.String("root"), c.Args().First(), c.String("bundle"), options...)
			return err
		},
	}, "ID")
}

// createFlags are the flags that create and run share.
func createFlags() []cli.Flag {
	return append(containerFlags(),
		&cli.BoolFlag{Name: "no-new-keyring", Usage: "leave the container the caller's session keyring"},
		&cli.IntFlag{Name: "preserve-fds", Usage: "keep `N` descriptors from 3 on, or after LISTEN_FDS, open in the container"},
	)
}

// containerFlags are those that restore, too, has: they are not about a program that begins.
func containerFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Value: ".", Usage: "`DIR` with config.json"},
		&cli.StringFlag{Name: "console-socket", Usage: "send the terminal's master to the AF_UNIX socket at `PATH`"},
		&cli.StringFlag{Name: "pid-file", Usage: "write the container's pid to `FILE`"},
		&cli.StringFlag{Name: "pidfd-socket", Usage: "send a pidfd of the container's init to the AF_UNIX socket at `PATH`"},
		&cli.BoolFlag{Name: "no-pivot", Usage: "move the root mount and chroot instead of pivot_root (for a ramfs root)"},
	}
}

// options are what every operation gets that may run hooks or look for cgroups.
func (a *app) options(c *cli.Context) []libcontainer.Option {
	options := append(systemdOptions(c),
		libcontainer.Warn(a.log.warn), libcontainer.TimerSlack(callersTimerSlack()), libcontainer.HookEnvironment(os.Environ()),
		libcontainer.SearchPath(os.Getenv("PATH")))
	if mode := c.String("rootless"); mode != "auto" {
		options = append(options, libcontainer.Rootless(mode == "true"))
	}
	return options
}

// processOptions are what create and exec have in common.
func (a *app) processOptions(c *cli.Context) ([]libcontainer.Option, error) {
	options := a.options(c)
	if socket := c.String("console-socket"); socket != "" {
		options = append(options, libcontainer.ConsoleSocket(socket))
	}
	if socket := c.String("pidfd-socket"); socket != "" {
		options = append(options, libcontainer.PidfdSocket(socket))
	}
	if file := c.String("pid-file"); file != "" {
		path, err := filepath.Abs(file)
		if err != nil {
			return nil, err
		}
		options = append(options, libcontainer.PidFile(path))
	}
	preserve, err := a.preserveOptions(c)
	return append(options, preserve...), err
}

func (a *app) createOptions(c *cli.Context) ([]libcontainer.Option, error) {
	options, err := a.processOptions(c)
	if err != nil {
		return nil, err
	}
	if c.Bool("no-pivot") {
		options = append(options, libcontainer.NoPivot())
	}
	if c.Bool("no-new-keyring") {
		options = append(options, libcontainer.NoNewKeyring())
	}
	return append(options, notifyOptions()...), nil
}

// notifyOptions are for a service manager that waits to hear from the container.
func notifyOptions() []libcontainer.Option {
	if socket := os.Getenv("NOTIFY_SOCKET"); socket != "" {
		return []libcontainer.Option{libcontainer.NotifySocket(socket)}
	}
	return nil
}
