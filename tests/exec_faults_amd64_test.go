package tests

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// wantAlone waits until init is the container's only process.
func (c *container) wantAlone() {
	c.t.Helper()
	eventually(c.t, "init is alone", func() bool {
		for _, controller := range []string{"memory", "pids", "cpu"} {
			if !slices.Equal(cgroupProcs(c.t, c.bundle, controller), []string{strconv.Itoa(c.pid)}) {
				return false
			}
		}
		return true
	})
}

// Whenever exec is killed, no process of it stays that has not become the
// program.
func TestExecKilledAnywhere(t *testing.T) {
	for name, edits := range map[string][]edit{
		"plain": nil, "host's pid namespace": {without(specs.PIDNamespace)}, "user namespace": {userNamespace()},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRuntime(t)
			c := r.runDetached(newBundle(t, append(edits, args("/bin/sleep", "1000"))...))
			strikeAll(t, 1, func(n int) bool {
				_, struck := r.trace(fault{n: n, kill: true}, c.execLine(nil, "/bin/true")...)
				c.wantAlone()
				return struck
			})
			c.delete("--force")
		})
	}
}

// ERR-01 ERR-03: whatever exec cannot do, it says so and leaves nothing.
func TestExecFailsAnywhere(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t, args("/bin/sleep", "1000")))
	file := filepath.Join(tempDir(t), "pid")
	strikeAll(t, 1, func(n int) bool {
		f := fault{n: n, errno: unix.EMFILE, on: isOpen}
		res, struck := r.trace(f, c.execLine([]string{"--detach", "--pid-file", file}, "/bin/true")...)
		switch res.code {
		case 0:
		case 255, 1: // 1: before the command line has been read
			checkError(t, "exec", res.stderr)
			wantNoFile(t, file)
		default:
			t.Errorf("exit %d, %s", res.code, res.stderr)
		}
		_ = os.Remove(file)
		c.wantAlone()
		return struck
	})
	c.delete("--force")
}

// At no time can the container's root reach into a process of exec that has
// given up its privileges, but not yet its descriptors (CVE-2016-9962).
func TestExecOutOfReach(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t, args("/bin/sleep", "1000")))
	seen := false
	look := func(int) {
		script := `for p in /proc/[0-9]*; do cat $p/comm; ls -l $p/fd 2>/dev/null; done; true`
		out := r.ok(c.execLine(nil, "/bin/sh", "-c", script)...).stdout
		seen = seen || strings.Contains(out, "skep:[exec]")
		if strings.Contains(out, "socket:") {
			t.Errorf("the container's root sees descriptors of exec:\n%s", out)
		}
	}
	strikeAll(t, 1, func(n int) bool {
		_, struck := r.trace(fault{n: n, do: look}, c.execLine(nil, "/bin/true")...)
		return struck
	})
	if !seen {
		t.Error("nothing of exec was there to be seen")
	}
	c.delete("--force")
}
