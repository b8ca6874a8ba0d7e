// Vm runs a command in a virtual machine made for the tests of container runtimes: Debian 12
// with systemd and all cgroup controllers, as pure cgroup v2, hybrid or v1. The first call
// builds the image and boots it; after that each command gets a copy of the booted machine,
// which takes about a second, and which is thrown away afterwards.
//
//	vm run [options] [--] command [argument...]
//	vm test                the project's tests, in every configuration
//
// Without KVM the machine is emulated, 10 to 25 times slower than the host.
//
// The exit status of run is the command's; 124 when the time is up, 125 when there is no
// machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Exit statuses of run besides the command's own, as timeout(1) has them.
const (
	exitTimeout = 124
	exitFailure = 125
)

const usage = `usage: vm run [options] [--] command [argument...]
       vm test [options]`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	code, err := command(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
	}
	os.Exit(code)
}

func command(ctx context.Context, args []string) (int, error) {
	if len(args) > 0 {
		switch args[0] {
		case "run":
			return runCommand(ctx, args[1:])
		case "test":
			return testCommand(ctx, args[1:])
		}
	}
	return exitFailure, errors.New(usage)
}

// runCommand is `vm run`.
func runCommand(ctx context.Context, args []string) (int, error) {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	m := machine{systemd: true}
	flags.StringVar(&m.cgroup, "cgroup", "v2", "cgroup `mode`: v2, hybrid or v1")
	flags.StringVar(&m.kernel, "kernel", "", "kernel `version`: "+strings.Join(kernels, " or ")+
		"; by default the newest that has the cgroup mode's controllers")
	flags.BoolFunc("no-systemd", "boot without systemd", func(string) error { m.systemd = false; return nil })
	flags.IntVar(&m.cpus, "cpus", 2, "`number` of processors")
	flags.IntVar(&m.memory, "memory", 2048, "memory in `MiB`")
	flags.StringVar(&m.accel, "accel", "", "kvm or tcg (emulation); by default KVM where it works")
	var j job
	flags.Func("share", "make the directory `host[:guest[:ro]]` visible; the first is the working directory", j.addShare)
	flags.Func("env", "set the variable `name[=value]`, without a value to the caller's", j.addVariable)
	flags.BoolVar(&j.user, "user", false, "run as an unprivileged user, with subordinate ids and a delegated cgroup")
	timeout := flags.Duration("timeout", 10*time.Minute, "end the machine after this `time`")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0, nil
	} else if err != nil {
		return exitFailure, err
	}
	j.args = flags.Args()
	if len(j.args) == 0 {
		return exitFailure, errors.New(usage)
	}
	ready, err := m.prepare(ctx)
	if err != nil {
		return exitFailure, err
	}
	limited, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	code, err := ready.run(limited, j, os.Stdout, os.Stderr)
	switch {
	case errors.Is(limited.Err(), context.DeadlineExceeded):
		return exitTimeout, fmt.Errorf("no end within %v", *timeout)
	case err != nil:
		return exitFailure, err
	}
	return code, nil
}
