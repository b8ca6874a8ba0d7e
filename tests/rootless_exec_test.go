package tests

import (
	"testing"

	"golang.org/x/sys/unix"
)

// SEC-24: the agent of an unprivileged user gets the listener of exec, whoever the process is.
func TestRootlessExecNotify(t *testing.T) {
	r, a := newRootless(t)
	agent := newSeccompAgent(t)
	a.own(t, agent.path)
	for name, flags := range map[string][]string{"root": nil, "user": {"-u", "1000"}, "privileges": {"--no-new-privs=false"}} {
		t.Run(name, func(t *testing.T) {
			c := r.create(a.bundle(t, notify(agent.path, "mkdir", "mkdirat")))
			_, listener := agent.accept()
			serve(listener, kernelDecides)
			c.start()
			wait := r.start(call{args: c.execLine(flags, "/bin/sh", "-c", "mkdir /tmp/no || exit 9")})
			_, listener = agent.accept()
			serve(listener, func(int) unix.Errno { return unix.ENOSPC })
			if res, err := wait(); err != nil || res.code != 9 {
				t.Errorf("%v, exit %d, %s", err, res.code, res.stderr)
			}
			c.delete("--force")
		})
	}
}
