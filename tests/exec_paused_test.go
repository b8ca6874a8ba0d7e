package tests

import (
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// runner is the pid of the runtime that runs a command, 0 where none does.
func (r *ociRuntime) runner(command string) int {
	for _, p := range descendants() {
		if p.parent == os.Getpid() && strings.Contains(p.command, r.root) && slices.Contains(strings.Fields(p.command), command) {
			return p.pid
		}
	}
	return 0
}

// CLI-18: an exec that waits for a paused container can be interrupted, and leaves nothing in it.
func TestExecPausedInterrupted(t *testing.T) {
	for name, kind := range map[string]edit{
		"plain": args("/bin/sleep", "1000"), "host's pid namespace": without(specs.PIDNamespace), "user namespace": userNamespace(),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRuntime(t)
			c := r.runDetached(newBundle(t, kind, args("/bin/sleep", "1000")))
			before := cgroupProcs(t, c.bundle, "freezer")
			r.ok("pause", c.id)
			for _, signal := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
				wait := r.start(call{args: c.execLine([]string{"--ignore-paused"}, "/bin/touch", "/tmp/ran")})
				eventually(t, "a process waits", func() bool { return len(cgroupProcs(t, c.bundle, "freezer")) > len(before) })
				if err := unix.Kill(r.runner("exec"), signal); err != nil {
					t.Fatal(err)
				}
				res, err := wait()
				if want := c.id + ": interrupted by " + unix.SignalName(signal) + "\n"; err != nil || res.code != 255 || !strings.HasSuffix(res.stderr, want) {
					t.Errorf("%v, exit %d, %q; want %s", err, res.code, res.stderr, want)
				}
				if now := cgroupProcs(t, c.bundle, "freezer"); !c.frozen() || !slices.Equal(now, before) {
					t.Errorf("frozen: %v, with %v, before %v", c.frozen(), now, before)
				}
			}
			r.ok("resume", c.id)
			if c.bundle.exists("tmp/ran") {
				t.Error("the program has run")
			}
			c.delete("--force")
		})
	}
}
