package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// configuration is a machine and the tests that run in it.
type configuration struct {
	name     string
	machine  machine
	user     bool     // not as root
	programs []string // the compiled tests; nil: containers
	size     int      // of a piece; 0: pieceSize
	env      []string // for the tests
	tests    string   // regular expression
	without  string   // another one: tests that are left out
}

// configurations are what `vm test` goes through. Emulation makes every test some ten times
// slower, so that all of them run in one configuration only. In the others run those that
// depend on what is different there: who makes the cgroups, and of which version.
var configurations = []configuration{
	{name: "v2", machine: machine{cgroup: "v2", systemd: true}, tests: "."},
	{name: "v2-systemd", machine: machine{cgroup: "v2", systemd: true}, env: []string{driverVariable + "=systemd"}, tests: "Systemd|" + cgroupTests,
		without: "^TestRootless"}, // their user has no session, and so no systemd
	{name: "v1", machine: machine{cgroup: "v1", systemd: true}, tests: "Compile|Host|" + cgroupTests},
	{name: "hybrid", machine: machine{cgroup: "hybrid", systemd: true}, tests: "Compile|Host|" + cgroupTests},
	{name: "user", machine: machine{cgroup: "v2", systemd: true}, user: true, tests: "^TestRootless"},
	// Debian's knows no newer kernel.
	{name: "criu", machine: machine{kernel: "6.1", cgroup: "v2", systemd: true}, tests: "^TestCriu"},
	// Each test starts daemons, which takes longer than to wake a machine up.
	{name: "managers", machine: machine{cgroup: "v2", systemd: true}, programs: managers, size: 1,
		env: []string{"MANAGERS_STAGE=machine"}, tests: "^TestSystemd"},
}

// cgroupTests are those of limits, devices and statistics, of the mounts of cgroups, and of
// the lifecycle, whose kill, pause, update and delete are different code for each version.
const cgroupTests = "Cgroup|CPU|Cpuset|Delegat|Delete|Device|Events|Freez|Kill|Lifecycle|Limit|Memory|Paus|Stats|Unified|Update|Usage"

// driverVariable chooses who makes the cgroups of the containers under test. Where a
// configuration leaves it open it is passed on.
const driverVariable = "SKEP_CGROUP_DRIVER"

// The tests' programs: skep by its own command line, and by those of its callers. Without cgo
// they are static: the machine has its own C library, and Go's tools stay outside.
var (
	containers = []string{"tests", "cgroups"}
	managers   = []string{"tests/managers"}
)

// Where the machine sees the repository and the tests find room for bundles, on ext4.
const (
	guestTree    = "/skep"
	guestScratch = "/scratch"
)

// piece is a part of a configuration's tests, small enough to spread over the host's
// processors: each gets a machine of its own.
type piece struct {
	configuration int
	program       string
	tests         []string
}

const pieceSize = 20

// outcome is what became of the pieces of one configuration.
type outcome struct {
	tests, failed int
	late          []string      // tests that passed the second time
	time          time.Duration // of all its machines
	notes         []string      // what cannot be shown there
}

// testCommand is `vm test`.
func testCommand(ctx context.Context, args []string) (int, error) {
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	only := flags.String("only", "", "`name` of the one configuration to run")
	run := flags.String("run", ".", "run only the tests that match the regular `expression`")
	skep := flags.String("skep", "skep", "the `binary` to test, inside the current directory")
	jobs := flags.Int("jobs", runtime.NumCPU(), "`number` of machines at a time")
	timeout := flags.Duration("timeout", time.Hour, "end a machine after this `time`")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0, nil
	} else if err != nil {
		return exitFailure, err
	}
	selected, err := regexp.Compile(*run)
	if err != nil {
		return exitFailure, err
	}
	s := suite{skep: *skep, timeout: *timeout, outcomes: make([]outcome, len(configurations)), machines: make([]saved, len(configurations))}
	if err := s.prepare(ctx, *only, selected); err != nil {
		return exitFailure, err
	}
	s.runAll(ctx, *jobs)
	return s.report(), ctx.Err()
}

// suite is one run of the tests.
type suite struct {
	skep     string
	timeout  time.Duration
	pieces   []piece
	machines []saved

	mu       sync.Mutex // guards the outcomes and the output
	outcomes []outcome
}

const binaries = "build/vm-tests"

// prepare compiles the tests, lists them, and makes the machines.
func (s *suite) prepare(ctx context.Context, only string, selected *regexp.Regexp) error {
	tests := make(map[string][]string)
	for _, program := range slices.Concat(containers, managers) {
		file := filepath.Join(binaries, program+".test")
		build := exec.CommandContext(ctx, "go", "test", "-c", "-o", file, "./"+program)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("compile the tests of %s: %w\n%s", program, err, out)
		}
		out, err := exec.CommandContext(ctx, file, "-test.list", selected.String()).Output()
		if err != nil {
			return fmt.Errorf("list the tests of %s: %w", program, err)
		}
		tests[program] = strings.Fields(string(out))
	}
	for i, c := range configurations {
		if only != "" && only != c.name {
			continue
		}
		if c.size == 0 {
			c.size = pieceSize
		}
		if c.programs == nil {
			c.programs = containers
		}
		for _, program := range c.programs {
			matching := regexp.MustCompile(c.tests)
			names := slices.DeleteFunc(slices.Clone(tests[program]), func(name string) bool {
				return !matching.MatchString(name) || c.without != "" && regexp.MustCompile(c.without).MatchString(name)
			})
			s.outcomes[i].tests += len(names)
			for _, part := range deal(names, (len(names)+c.size-1)/c.size) {
				s.pieces = append(s.pieces, piece{i, program, part})
			}
		}
		if s.outcomes[i].tests == 0 {
			continue
		}
		var err error
		c.machine.cpus, c.machine.memory = 2, 2048
		if s.machines[i], err = c.machine.prepare(ctx); err != nil {
			return err
		}
	}
	if len(s.pieces) == 0 {
		return errors.New("no tests match")
	}
	return nil
}

// deal spreads names over n hands, one by one: neighbours in a file often take as long.
func deal(names []string, n int) [][]string {
	hands := make([][]string, n)
	for i, name := range names {
		hands[i%n] = append(hands[i%n], name)
	}
	return hands
}

// runAll runs the pieces, several machines at a time.
func (s *suite) runAll(ctx context.Context, jobs int) {
	queue := make(chan piece)
	var workers sync.WaitGroup
	for range jobs {
		workers.Go(func() {
			for p := range queue {
				s.run(p, func(p piece) *result { return s.attempt(ctx, p) })
			}
		})
	}
	for _, p := range s.pieces {
		queue <- p
	}
	close(queue)
	workers.Wait()
}

// run runs one piece and records what came of it. Tests that fail run once more, which the report tells: on a busy
// host an emulated machine can miss any deadline.
func (s *suite) run(p piece, attempt func(piece) *result) {
	r := attempt(p)
	s.show(p, r)
	if r.passed() {
		return
	}
	if failed := r.failed(); len(failed) > 0 { // else the machine or the program broke down
		p.tests = failed
	}
	r = attempt(p)
	s.show(p, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &s.outcomes[p.configuration]
	if r.passed() {
		o.late = append(o.late, p.tests...)
	} else {
		o.failed += max(len(r.failed()), 1)
	}
}

// result is what one machine said.
type result struct {
	out  string
	code int
	err  error
	took time.Duration
}

func (r *result) passed() bool { return r.code == 0 && r.err == nil }

// failed lists the tests that failed.
func (r *result) failed() []string {
	var names []string
	for line := range strings.Lines(r.out) {
		if name, found := strings.CutPrefix(line, "--- FAIL: "); found {
			name, _, _ = strings.Cut(name, " ")
			names = append(names, name)
		}
	}
	return names
}

// attempt runs a piece in a machine of its own.
func (s *suite) attempt(ctx context.Context, p piece) *result {
	tree, err := os.Getwd()
	if err != nil {
		panic(err) // the current directory has just been used
	}
	c := configurations[p.configuration]
	j := job{
		user: c.user,
		args: []string{
			filepath.Join(guestTree, binaries, p.program+".test"),
			"-test.run", "^(" + strings.Join(p.tests, "|") + ")$", "-test.timeout", (s.timeout * 9 / 10).String(),
		},
		env:    append(c.env, "SKEP_BINARY="+filepath.Join(guestTree, s.skep), "TMPDIR="+guestScratch),
		shares: []share{{tree, guestTree, true}},
		dir:    filepath.Join(guestTree, p.program),
	}
	if driver := os.Getenv(driverVariable); driver != "" && c.env == nil {
		j.env = append(j.env, driverVariable+"="+driver)
	}
	limited, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var out bytes.Buffer
	mixed := lockedWriter{to: &out}
	start := time.Now()
	code, err := s.machines[p.configuration].run(limited, j, &mixed, &mixed)
	if errors.Is(limited.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("no end within %v", s.timeout)
	}
	return &result{out.String(), code, err, time.Since(start)}
}

// show shows what has failed, and notes what was left out.
func (s *suite) show(p piece, r *result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &s.outcomes[p.configuration]
	o.time += r.took
	var shown []string
	for line := range strings.Lines(r.out) {
		if note, found := strings.CutPrefix(line, notePrefix); found {
			if note = strings.TrimSpace(note); !slices.Contains(o.notes, note) {
				o.notes = append(o.notes, note)
			}
			continue
		}
		shown = append(shown, line)
	}
	if r.passed() {
		return
	}
	fmt.Printf("=== %s: %s: exit status %d\n%s", configurations[p.configuration].name, p.program, r.code, strings.Join(shown, ""))
	if r.err != nil {
		fmt.Printf("%v; it ran %s\n", r.err, strings.Join(p.tests, " "))
	}
}

// notePrefix begins the lines by which tests say what the machine cannot show.
const notePrefix = "not on this host: "

// report prints one line per configuration and returns the exit status.
func (s *suite) report() int {
	status := 0
	for i, o := range s.outcomes {
		if o.tests == 0 {
			continue
		}
		m := s.machines[i].machine
		fmt.Printf("%-10s Linux %s: %d tests, %d left out, %d failed; %.0f s of machine time (%s)\n",
			configurations[i].name, m.kernel, o.tests-len(o.notes), len(o.notes), o.failed, o.time.Seconds(), m.accel)
		if len(o.late) > 0 {
			fmt.Printf("           passed the second time: %s\n", strings.Join(o.late, " "))
		}
		for _, n := range o.notes {
			fmt.Printf("           left out: %s\n", n)
		}
		if o.failed > 0 {
			status = 1
		}
	}
	return status
}

// lockedWriter lets both streams of a machine end up in one place.
type lockedWriter struct {
	mu sync.Mutex
	to *bytes.Buffer
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}
