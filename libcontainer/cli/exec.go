package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"skep/libcontainer"
	"skep/spec"
)

// execFailure is the exit status of an exec that runs no program: 1 is what many programs say.
const execFailure = 255

func (a *app) execCommand() *cli.Command {
	c := a.define(&cli.Command{
		Name:   "exec",
		Usage:  "run another program in a container",
		Flags:  execFlags(),
		Action: a.exec,
	}, "ID", "[COMMAND]", "[ARG...]")
	c.OnUsageError = func(c *cli.Context, err error, sub bool) error {
		a.failure = execFailure
		return usageError(c, err, sub)
	}
	action := c.Action
	c.Action = func(c *cli.Context) error {
		a.failure = execFailure
		return action(c)
	}
	return c
}

// describing are the flags that describe the process, which a process file does as a whole.
func describing() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "cwd", Usage: "working directory, absolute"},
		&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, KeepSpace: true, Usage: "add `NAME=VALUE` to the environment"},
		&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "run as `UID[:GID]`"},
		&cli.StringSliceFlag{Name: "additional-gids", Aliases: []string{"g"}, Usage: "be a member of the group `GID`, too"},
		&cli.StringFlag{Name: "process-label", Usage: "SELinux `LABEL`"},
		&cli.StringFlag{Name: "apparmor", Usage: "AppArmor `PROFILE`"},
		&cli.BoolFlag{Name: "no-new-privs", Usage: "never gain privileges by an execve"},
		&cli.StringSliceFlag{Name: "cap", Aliases: []string{"c"}, Usage: "add the capability `CAP_NAME`"},
	}
}

func execFlags() []cli.Flag {
	return append(describing(),
		&cli.StringFlag{Name: "process", Aliases: []string{"p"}, Usage: "`FILE` that describes the process, as process in config.json does"},
		&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "give the process a terminal"},
		&cli.StringFlag{Name: "console-socket", Usage: "send the terminal's master to the AF_UNIX socket at `PATH`"},
		&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "do not wait"},
		&cli.StringFlag{Name: "pid-file", Usage: "write the process's pid to `FILE`"},
		&cli.StringFlag{Name: "pidfd-socket", Usage: "send a pidfd of the process to the AF_UNIX socket at `PATH`"},
		&cli.IntFlag{Name: "preserve-fds", Usage: "keep `N` descriptors from 3 on, or after LISTEN_FDS, open in the process"},
		&cli.StringSliceFlag{Name: "cgroup", Usage: "run in the cgroup `[CONTROLLER[,CONTROLLER]:]PATH` below the container's"},
		&cli.BoolFlag{Name: "ignore-paused", Usage: "wait until a paused container is resumed"},
	)
}

func (a *app) exec(c *cli.Context) error {
	container, err := libcontainer.Load(c.String("root"), c.Args().First())
	if err != nil {
		return err
	}
	p, err := a.execProcess(c, container)
	if err != nil {
		return err
	}
	options, err := a.execOptions(c)
	if err != nil {
		return err
	}
	if c.Bool("detach") {
		started, err := container.Exec(c.Context, p, options...)
		if err != nil {
			return err
		}
		started.Release()
		return nil
	}
	fg, err := newForeground()
	if err != nil {
		return err
	}
	defer fg.close()
	ctx := newInterruption(c.Context, fg)
	started, err := container.Exec(ctx, p, append(options, libcontainer.Console(fg.attach))...)
	if interrupted := ctx.close(); err == nil && interrupted != nil { // too late for Exec
		started.Kill()
		started.Release()
		err = interrupted
	}
	if err != nil {
		return err
	}
	defer started.Release()
	status, err := fg.wait(started.Pid())
	if err != nil {
		started.Kill()
		return err
	}
	if status != 0 {
		return exitStatus(status)
	}
	return nil
}

func (a *app) execOptions(c *cli.Context) ([]libcontainer.Option, error) {
	options, err := a.processOptions(c)
	if err != nil {
		return nil, err
	}
	if c.Bool("ignore-paused") {
		options = append(options, libcontainer.IgnorePaused())
	}
	cgroups, err := parseCgroups(c.StringSlice("cgroup"))
	if err != nil {
		return nil, err
	}
	return append(options, libcontainer.Cgroups(cgroups)), nil
}

// parseCgroups reads what --cgroup says: a path for every hierarchy, or one for some v1 controllers.
func parseCgroups(values []string) (map[string]string, error) {
	paths := make(map[string]string, len(values))
	for _, value := range values {
		controllers, path, ok := strings.Cut(value, ":")
		if !ok {
			controllers, path = "", value
		}
		if !ok && len(values) > 1 {
			return nil, fmt.Errorf("--cgroup %s: more than one path, but not for which CONTROLLER: this one is", value)
		}
		for controller := range strings.SplitSeq(controllers, ",") {
			if ok && controller == "" {
				return nil, fmt.Errorf("--cgroup %s: the name of a controller is empty", value)
			}
			if _, twice := paths[controller]; twice {
				return nil, fmt.Errorf("--cgroup %s: the controller %s is given twice", value, controller)
			}
			paths[controller] = path
		}
	}
	return paths, nil
}

// execProcess is what the process file says, or the container's process with what the flags change.
func (a *app) execProcess(c *cli.Context, container *libcontainer.Container) (*specs.Process, error) {
	if file := c.String("process"); file != "" {
		return a.processFile(c, file)
	}
	if c.NArg() < 2 {
		return nil, errors.New("COMMAND is missing: give a program to run, or --process")
	}
	p, err := container.Process()
	if err != nil {
		return nil, err
	}
	p.Args = c.Args().Tail()
	p.Terminal = c.Bool("tty")
	p.Env = append(p.Env, c.StringSlice("env")...)
	for name, field := range map[string]*string{"cwd": &p.Cwd, "apparmor": &p.ApparmorProfile, "process-label": &p.SelinuxLabel} {
		if value := c.String(name); value != "" {
			*field = value
		}
	}
	if c.IsSet("no-new-privs") {
		p.NoNewPrivileges = c.Bool("no-new-privs")
	}
	if err := setUser(&p.User, c.String("user"), c.StringSlice("additional-gids")); err != nil {
		return nil, err
	}
	return p, addCapabilities(p, c.StringSlice("cap"))
}

// processFile reads a process file. Of the other flags that say something about the process only --tty goes with it,
// which conmon gives besides.
func (a *app) processFile(c *cli.Context, file string) (*specs.Process, error) {
	if c.NArg() > 1 {
		return nil, fmt.Errorf("--process describes the whole process: %q cannot be given besides", c.Args().Get(1))
	}
	for _, flag := range describing() {
		if name := flag.Names()[0]; c.IsSet(name) {
			return nil, fmt.Errorf("--process describes the whole process: --%s cannot be given besides", name)
		}
	}
	path, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	raw, err := spec.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--process: %w", err)
	}
	p, warnings, err := spec.ParseProcess(raw)
	for _, w := range warnings {
		a.log.warn(w)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	p.Terminal = p.Terminal || c.Bool("tty")
	return p, nil
}

// setUser takes numbers only: what a name means is up to the container, and a number that is read loosely is another
// user's (CVE-2026-30892).
func setUser(u *specs.User, ids string, groups []string) error {
	if ids != "" {
		uid, gid, both := strings.Cut(ids, ":")
		var err error
		if u.UID, err = parseID("user", ids, uid); err != nil {
			return err
		}
		if both {
			if u.GID, err = parseID("user", ids, gid); err != nil {
				return err
			}
		}
	}
	for _, group := range groups {
		gid, err := parseID("additional-gids", group, group)
		if err != nil {
			return err
		}
		u.AdditionalGids = append(u.AdditionalGids, gid)
	}
	return nil
}

func parseID(flag, value, id string) (uint32, error) {
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("--%s %s: %q is not the number of a user or group", flag, value, id)
	}
	return uint32(n), nil
}

// addCapabilities makes no capability inheritable, which every program executed later would gain (CVE-2022-29162), and
// only those ambient that are inheritable anyway.
func addCapabilities(p *specs.Process, names []string) error {
	if len(names) == 0 {
		return nil
	}
	if p.Capabilities == nil {
		p.Capabilities = &specs.LinuxCapabilities{}
	}
	sets := p.Capabilities
	for _, name := range names {
		if !spec.Capabilities.Has(name) {
			return fmt.Errorf("--cap %s: unknown capability", name)
		}
		sets.Bounding, sets.Effective = append(sets.Bounding, name), append(sets.Effective, name)
		sets.Permitted = append(sets.Permitted, name)
		if slices.Contains(sets.Inheritable, name) {
			sets.Ambient = append(sets.Ambient, name)
		}
	}
	return nil
}
