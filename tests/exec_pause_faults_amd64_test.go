package tests

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// runs tells whether a program runs in the container beside its init.
func (c *container) runs(name string) bool {
	for _, pid := range cgroupProcs(c.t, c.bundle, "freezer") {
		comm, err := os.ReadFile("/proc/" + pid + "/comm")
		if err == nil && pid != strconv.Itoa(c.pid) && string(comm) == name+"\n" {
			return true
		}
	}
	return false
}

// CLI-18: whenever the container is paused under an exec, that can be interrupted, and leaves nothing but a program that
// has begun.
func TestExecInterruptedAnywhere(t *testing.T) {
	for name, edits := range map[string][]edit{"plain": nil, "host's pid namespace": {without(specs.PIDNamespace)}} {
		t.Run(name, func(t *testing.T) {
			r := newRuntime(t)
			c := r.runDetached(newBundle(t, append(edits, args("/bin/sleep", "1000"))...))
			interrupted := 0
			strikeAll(t, 3, func(n int) bool {
				var thawing sync.WaitGroup
				ended := make(chan struct{})
				pause := func(runtimePid int) {
					c.freeze()
					if err := unix.Kill(runtimePid, unix.SIGINT); err != nil {
						t.Error(err)
					}
					thawing.Go(func() { c.thawFor("true", ended) })
				}
				res, struck := r.trace(fault{n: n, do: pause, from: unix.SYS_SOCKETPAIR}, c.execLine(nil, "/bin/true")...)
				close(ended)
				thawing.Wait()
				switch {
				case res.code == 255 && strings.HasSuffix(res.stderr, ": interrupted by SIGINT\n"):
					interrupted++
				case (res.code == 0 || res.code == 128+2) && res.stderr == "": // the program had begun
				default:
					t.Errorf("exit %d, %s", res.code, res.stderr)
				}
				if got, want := cgroupProcs(t, c.bundle, "freezer"), []string{strconv.Itoa(c.pid)}; !slices.Equal(got, want) {
					t.Errorf("processes %v, want %v", got, want)
				}
				c.thaw()
				return struck
			})
			if interrupted == 0 {
				t.Error("no pause has kept the program from running")
			}
			c.delete("--force")
		})
	}
}

// thawFor thaws the container if a program runs in it, so that a signal reaches that.
func (c *container) thawFor(program string, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case <-time.After(5 * time.Millisecond):
			if c.runs(program) {
				c.thaw()
				return
			}
		}
	}
}
