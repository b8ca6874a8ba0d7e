// Package cli is skep's command line: one file per command, flags in, exit code out. It follows runc's, which
// container managers call.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"skep/libcontainer/seccomp"
)

// Build says what was built; the linker stamps it into main.
type Build struct {
	Version string
	Commit  string // empty when unknown
}

// exitStatus is the exit status of a container's program; it is no failure of skep.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// failure is the exit status of a failed operation.
const failure = 1

// Main runs one command and returns the exit code.
func Main(args []string, build Build) int {
	returnToCallersCPUs()
	descriptors := takeDescriptors() // first of all
	a := &app{descriptors: descriptors, name: callName(args), build: build, stdout: os.Stdout, stderr: os.Stderr, failure: failure}
	command := a.command()
	err := command.RunContext(context.Background(), flagsFirst(command, args))
	var status exitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	}
	a.fail(err)
	return a.failure
}

// callName is the name that skep goes by: through a link named runc it answers --version as runc's callers parse.
func callName(args []string) string {
	if len(args) > 0 && filepath.Base(args[0]) == "runc" {
		return "runc"
	}
	return "skep"
}

// app is what the commands share.
type app struct {
	name           string
	build          Build
	stdout, stderr io.Writer
	descriptors    int // handed over by the caller, from 3 on
	log            *logger
	failure        int // exit status of a failed operation
}

func (a *app) command() *cli.App {
	return &cli.App{
		Name:                      "skep",
		Usage:                     "run containers from OCI bundles",
		HideVersion:               true,
		Writer:                    a.stdout,
		ErrWriter:                 a.stderr,
		ExitErrHandler:            func(*cli.Context, error) {},
		OnUsageError:              usageError,
		DisableSliceFlagSeparator: true, // values keep their commas
		Flags:                     globalFlags(),
		Before:                    a.begin,
		Action:                    a.noCommand,
		Commands: []*cli.Command{
			a.createCommand(), a.startCommand(), a.stateCommand(), a.killCommand(), a.deleteCommand(),
			a.runCommand(), a.execCommand(), a.listCommand(), a.specCommand(), a.planCommand(), a.featuresCommand(),
			a.psCommand(), a.pauseCommand(), a.resumeCommand(), a.updateCommand(), a.eventsCommand(),
			a.checkpointCommand(), a.restoreCommand(),
		},
	}
}

func globalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "root", Usage: "`DIR` for the state of containers (default: /run/skep, without privileges $XDG_RUNTIME_DIR/skep)"},
		&cli.StringFlag{Name: "log", Usage: "append warnings and errors to `FILE`"},
		&cli.StringFlag{Name: "log-format", Value: "text", Usage: "text or json"},
		&cli.StringFlag{Name: "log-level", Value: "warning", Usage: "error, warning or debug, which says no more than warning"},
		&cli.BoolFlag{Name: "debug", Usage: "as --log-level debug"},
		&cli.BoolFlag{Name: "systemd-cgroup", Usage: "have systemd make the cgroup; cgroupsPath is slice:prefix:name then"},
		&cli.StringFlag{Name: "cgroup-manager", Value: "cgroupfs", Usage: "cgroupfs, systemd as --systemd-cgroup, or disabled"},
		&cli.StringFlag{Name: "rootless", Value: "auto", Usage: "true, false or auto"},
		&cli.BoolFlag{Name: "version", Aliases: []string{"v"}, Usage: "print the version"},
	}
}

// begin runs before every command.
func (a *app) begin(c *cli.Context) error {
	log, err := newLogger(c.String("log"), c.String("log-format"), c.String("log-level"), a.stderr)
	a.log = log
	if err != nil {
		return err
	}
	root, err := stateRoot(c.String("root"))
	if err != nil && needsState(c.Args().First()) {
		return err
	}
	if err := c.Set("root", root); err != nil {
		return err
	}
	switch c.String("cgroup-manager") {
	case "cgroupfs", "systemd", "disabled":
	default:
		return fmt.Errorf("--cgroup-manager %s: want cgroupfs, systemd or disabled", c.String("cgroup-manager"))
	}
	if c.Bool("systemd-cgroup") && c.IsSet("cgroup-manager") && c.String("cgroup-manager") != "systemd" {
		return fmt.Errorf("--systemd-cgroup and --cgroup-manager %s: only one of them can be", c.String("cgroup-manager"))
	}
	switch c.String("rootless") {
	case "true", "false", "auto":
		return nil
	}
	return fmt.Errorf("--rootless %s: want true, false or auto", c.String("rootless"))
}

// noCommand prints the version or, without a command, the help.
func (a *app) noCommand(c *cli.Context) error {
	if c.Bool("version") {
		return a.printVersion()
	}
	if name := c.Args().First(); name != "" {
		return fmt.Errorf("unknown command %q; see %s --help", name, a.name)
	}
	return cli.ShowAppHelp(c)
}

// printVersion prints the lines that go-runc and dockerd parse.
func (a *app) printVersion() error {
	text := fmt.Sprintf("%s version %s\n", a.name, a.build.Version)
	if a.build.Commit != "" {
		text += fmt.Sprintf("commit: %s\n", a.build.Commit)
	}
	text += fmt.Sprintf("spec: %s\ngo: %s\nlibseccomp: %s\n", specs.Version, runtime.Version(), seccomp.Version())
	_, err := io.WriteString(a.stdout, text)
	return err
}

// fail reports the error that ends the command, once: to the log, where the manager looks for it, and to stderr.
func (a *app) fail(err error) {
	if a.log == nil {
		a.log, _ = newLogger("", "text", "warning", a.stderr)
	}
	a.log.error(err)
}

func usageError(c *cli.Context, err error, _ bool) error {
	w := c.App.Writer
	c.App.Writer = c.App.ErrWriter
	defer func() { c.App.Writer = w }()
	if c.Command != nil && c.Command.Name != "" && c.Command.Name != c.App.Name {
		_ = cli.ShowSubcommandHelp(c)
	} else {
		_ = cli.ShowAppHelp(c)
	}
	return err
}

// define completes a command: what all of them do alike stands here. Positional arguments in brackets are optional;
// one that ends in dots takes all the rest.
func (a *app) define(c *cli.Command, positional ...string) *cli.Command {
	run := c.Action
	rest := len(positional) > 0 && strings.HasSuffix(positional[len(positional)-1], "...]")
	c.ArgsUsage = strings.Join(positional, " ")
	c.OnUsageError = usageError
	c.HideHelpCommand = true
	c.Action = func(ctx *cli.Context) error {
		required := 0
		for _, p := range positional {
			if !strings.HasPrefix(p, "[") {
				required++
			}
		}
		switch n := ctx.Args().Len(); {
		case n < required:
			return usageError(ctx, fmt.Errorf("%s: %s is missing", c.Name, positional[n]), true)
		case n > len(positional) && !rest:
			return usageError(ctx, fmt.Errorf("%s: unexpected argument %q", c.Name, ctx.Args().Get(len(positional))), true)
		}
		err := run(ctx)
		var status exitStatus
		if err == nil || errors.As(err, &status) {
			return err
		}
		if id := ctx.Args().First(); id != "" {
			return fmt.Errorf("%s %s: %w", c.Name, id, err)
		}
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	return c
}
