package tests

import (
	"bytes"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The children of this process are of two kinds: those that a test started
// and waits for, and orphans that came to it as the subreaper. children keeps
// them apart, so that the orphans can be reaped, as a manager would.
var children struct {
	sync.Mutex
	own  map[int]bool
	hold bool // leave zombies alone: some tests want to see them
}

// startChild starts a command that the test itself waits for.
func startChild(cmd *exec.Cmd) error {
	children.Lock()
	defer children.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	if children.own == nil {
		children.own = make(map[int]bool)
	}
	children.own[cmd.Process.Pid] = true
	return nil
}

// waitChild waits for a command from startChild.
func waitChild(cmd *exec.Cmd) error {
	err := cmd.Wait()
	children.Lock()
	defer children.Unlock()
	delete(children.own, cmd.Process.Pid)
	return err
}

// childOutput runs a command to its end and returns what it has printed.
func childOutput(cmd *exec.Cmd) (string, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := startChild(cmd)
	if err == nil {
		err = waitChild(cmd)
	}
	return out.String(), err
}

// keepZombies stops the reaping of orphans until the test ends.
func keepZombies(t *testing.T) {
	set := func(hold bool) {
		children.Lock()
		defer children.Unlock()
		children.hold = hold
	}
	set(true)
	t.Cleanup(func() {
		set(false)
		reapOrphans()
	})
}

// reap removes dead orphans, for ever.
func reap() {
	died := make(chan os.Signal, 1)
	signal.Notify(died, unix.SIGCHLD)
	for range died {
		reapOrphans()
	}
}

func reapOrphans() {
	children.Lock()
	defer children.Unlock()
	if children.hold {
		return
	}
	for _, p := range processes() {
		if p.parent == os.Getpid() && p.state == "Z" && !children.own[p.pid] {
			_, _ = unix.Wait4(p.pid, nil, unix.WNOHANG, nil) // gone already is as good
		}
	}
}

// process is one line of the process table.
type process struct {
	pid, parent, session int
	state                string
	command              string // its arguments, or its name in the kernel
}

// processes reads the process table. What vanishes meanwhile is left out.
func processes() []process {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	var all []process
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// "pid (name) state ppid pgrp session …": the name may hold blanks.
		open, end := strings.IndexByte(string(stat), '('), strings.LastIndexByte(string(stat), ')')
		if open < 0 || end < open {
			continue
		}
		fields := strings.Fields(string(stat[end+1:]))
		p := process{command: string(stat[open+1 : end]), state: fields[0]}
		p.pid, _ = strconv.Atoi(strings.TrimSpace(string(stat[:open])))
		p.parent, _ = strconv.Atoi(fields[1])
		p.session, _ = strconv.Atoi(fields[3])
		if line, err := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline")); err == nil && len(line) > 0 {
			p.command = strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))
		}
		all = append(all, p)
	}
	return all
}

// ended says whether a process has, reaped or not.
func ended(pid int) bool {
	stat, err := os.ReadFile(procPath(pid, "stat"))
	return err != nil || strings.Contains(string(stat), ") Z ") || strings.Contains(string(stat), ") X ")
}

// descendants returns the processes below this one.
func descendants() []process {
	all := processes()
	below := map[int]bool{os.Getpid(): true}
	var found []process
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if below[p.parent] && !below[p.pid] {
				below[p.pid] = true
				found = append(found, p)
				grown = true
			}
		}
	}
	return found
}

// patience is how long a test waits for what has to happen, far longer than it takes: the machine may be emulated
// or have others to serve.
const patience = 5 * time.Minute

// eventually polls until ok holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen within %v: %s", patience, what)
		}
	}
}
