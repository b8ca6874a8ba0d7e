package cli

import (
	"fmt"
	"io"
	"math"
	"os"
	"strconv"

	"github.com/docker/go-units"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"skep/spec"
)

// change is what update is asked for.
type change struct {
	resources specs.LinuxResources
	rdt       *specs.LinuxIntelRdt
	warnings  []string
}

// settings are update's flags, and what each sets. Without a setter a flag is accepted and ignored.
func settings() []setting {
	return []setting{
		{"blkio-weight", "weight for block devices, `10-1000`", func(c *change, v string) error { return parse(v, &c.blkio().Weight, uint16s) }},
		{"cpu-period", "`MICROSECONDS` to which the quota refers", func(c *change, v string) error { return parse(v, &c.cpu().Period, uint64s) }},
		{"cpu-quota", "`MICROSECONDS` of CPU time per period; -1 is unlimited", func(c *change, v string) error { return parse(v, &c.cpu().Quota, int64s) }},
		{"cpu-burst", "`MICROSECONDS` that may be saved up beyond the quota", func(c *change, v string) error { return parse(v, &c.cpu().Burst, uint64s) }},
		{"cpu-share", "CPU `SHARES`, relative to other containers", func(c *change, v string) error { return parse(v, &c.cpu().Shares, uint64s) }},
		{"cpu-idle", "`1` to run only when nothing else does, 0 not to", func(c *change, v string) error { return parse(v, &c.cpu().Idle, int64s) }},
		{"cpu-rt-period", "`MICROSECONDS` to which the realtime runtime refers", func(c *change, v string) error { return parse(v, &c.cpu().RealtimePeriod, uint64s) }},
		{"cpu-rt-runtime", "`MICROSECONDS` of realtime scheduling per period", func(c *change, v string) error { return parse(v, &c.cpu().RealtimeRuntime, int64s) }},
		{"cpuset-cpus", "`CPUS` to run on, such as 0-3,7", func(c *change, v string) error { c.cpu().Cpus = v; return nil }},
		{"cpuset-mems", "memory `NODES` to use", func(c *change, v string) error { c.cpu().Mems = v; return nil }},
		{"memory", "limit in `BYTES`; k, m and g multiply; -1 is unlimited", func(c *change, v string) error { return parse(v, &c.memory().Limit, bytes) }},
		{"memory-reservation", "soft limit in `BYTES`", func(c *change, v string) error { return parse(v, &c.memory().Reservation, bytes) }},
		{"memory-swap", "limit of memory and swap together in `BYTES`; -1 is unlimited", func(c *change, v string) error { return parse(v, &c.memory().Swap, bytes) }},
		{"pids-limit", "`NUMBER` of processes and threads; -1 is unlimited", func(c *change, v string) error { return parse(v, &c.pids().Limit, int64s) }},
		{"l3-cache-schema", "Intel RDT `SCHEMA` of the L3 cache", func(c *change, v string) error { c.intelRdt().L3CacheSchema = v; return nil }},
		{"mem-bw-schema", "Intel RDT `SCHEMA` of memory bandwidth", func(c *change, v string) error { c.intelRdt().MemBwSchema = v; return nil }},
		{name: "kernel-memory"},
		{name: "kernel-memory-tcp"},
	}
}

type setting struct {
	name, usage string
	set         func(c *change, value string) error
}

func (a *app) updateCommand() *cli.Command {
	flags := []cli.Flag{&cli.StringFlag{Name: "resources", Aliases: []string{"r"},
		Usage: "read linux.resources as JSON from `FILE`, - for standard input; what the other flags say comes on top"}}
	for _, s := range settings() {
		flags = append(flags, &cli.StringFlag{Name: s.name, Usage: s.usage, Hidden: s.set == nil})
	}
	return a.define(&cli.Command{
		Name:   "update",
		Usage:  "change the resources of a container; what is not given stays",
		Flags:  flags,
		Action: a.update,
	}, "ID")
}

func (a *app) update(c *cli.Context) error {
	wanted, err := readChange(c)
	if err != nil {
		return err
	}
	for _, w := range wanted.warnings {
		a.log.warn(w)
	}
	container, err := a.load(c)
	if err != nil {
		return err
	}
	return container.Update(&wanted.resources, wanted.rdt)
}

func readChange(c *cli.Context) (*change, error) {
	wanted := &change{}
	if name := c.String("resources"); name != "" {
		raw, err := readResources(name)
		if err != nil {
			return nil, fmt.Errorf("--resources: %w", err)
		}
		r, warnings, err := spec.ParseResources(raw)
		if err != nil {
			return nil, fmt.Errorf("--resources %s: %w", name, err)
		}
		wanted.resources, wanted.warnings = *r, warnings
	}
	for _, s := range settings() {
		value := c.String(s.name)
		switch {
		case value == "":
		case s.set == nil:
			wanted.warnings = append(wanted.warnings, "--"+s.name+" is ignored: kernels no longer have this limit")
		default:
			if err := s.set(wanted, value); err != nil {
				return nil, fmt.Errorf("--%s %q: %w", s.name, value, err)
			}
		}
	}
	return wanted, nil
}

func readResources(name string) ([]byte, error) {
	if name != "-" {
		return spec.ReadFile(name)
	}
	raw, err := io.ReadAll(io.LimitReader(os.Stdin, spec.MaxSize+1))
	if err == nil && len(raw) > spec.MaxSize {
		err = fmt.Errorf("standard input is larger than %d MiB", spec.MaxSize>>20)
	}
	return raw, err
}

// parse sets a pointer to what a value means.
func parse[T any](value string, to **T, read func(string) (T, error)) error {
	n, err := read(value)
	if err != nil {
		return err
	}
	*to = &n
	return nil
}

func uint16s(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("want a number from 0 to %d", math.MaxUint16)
	}
	return uint16(n), nil
}

func uint64s(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("want a number of at least 0")
	}
	return n, nil
}

func int64s(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("want a number")
	}
	return n, nil
}

func bytes(s string) (int64, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	n, err := units.RAMInBytes(s)
	if err != nil || n < 0 { // below 0: too large for the library's arithmetic
		return 0, fmt.Errorf("want a number of bytes, with k, m or g behind it for more, or -1")
	}
	return n, nil
}

func (c *change) cpu() *specs.LinuxCPU           { return ensure(&c.resources.CPU) }
func (c *change) memory() *specs.LinuxMemory     { return ensure(&c.resources.Memory) }
func (c *change) pids() *specs.LinuxPids         { return ensure(&c.resources.Pids) }
func (c *change) blkio() *specs.LinuxBlockIO     { return ensure(&c.resources.BlockIO) }
func (c *change) intelRdt() *specs.LinuxIntelRdt { return ensure(&c.rdt) }

func ensure[T any](p **T) *T {
	if *p == nil {
		*p = new(T)
	}
	return *p
}
