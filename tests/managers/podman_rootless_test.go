package managers

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/console"
	"golang.org/x/sys/unix"
)

// The user of TestPodmanRootless, in the mount namespace of the tests only.
const (
	podmanUser   = "skep-straw"
	podmanUserID = 54_321
	podmanSubID  = 700_000 // the first of 65536 subordinate ids
)

// TestPodmanRootless runs containers as an unprivileged user.
func TestPodmanRootless(t *testing.T) {
	need(t, "podman", "conmon", "newuidmap", "setpriv", "busybox")
	p := newRootlessStore(t)
	for _, c := range podmanRootlessCases {
		testCase(t, c.name, nil, func(t *testing.T) { c.run(newPodman(t, p)) })
	}
}

// newRootlessStore returns an installation of a user's.
func newRootlessStore(t *testing.T) *podmanStore {
	t.Helper()
	dir := tempDir(t)
	runtimeDir := dir + "/user"
	appendLine(t, "/etc/passwd", fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh", podmanUser, podmanUserID, podmanUserID, dir))
	appendLine(t, "/etc/group", fmt.Sprintf("%s:x:%d:", podmanUser, podmanUserID))
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		appendLine(t, file, fmt.Sprintf("%s:%d:65536", podmanUser, podmanSubID))
	}
	if err := os.Mkdir(runtimeDir, 0o700); err != nil {
		t.Fatal(err)
	}
	id := strconv.Itoa(podmanUserID)
	p := &podmanStore{
		before: []string{"setpriv", "--reuid", id, "--regid", id, "--clear-groups"},
		flags:  podmanFlags(dir, "vfs"),
		env:    append(podmanConfiguration(t, dir), "XDG_RUNTIME_DIR="+runtimeDir, "USER="+podmanUser),
		dir:    dir,
	}
	p.archive = busyboxArchive(t, busyboxImage, defaultConfig)
	for _, path := range []string{dir, runtimeDir, filepath.Dir(p.archive)} {
		if err := os.Chown(path, podmanUserID, podmanUserID); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { // Podman keeps the user namespace by a process, and its pid where 4 or where 5 has it
		pid, err := strconv.Atoi(strings.TrimSpace(readFileOrNothing(dir+"/tmp/pause.pid") + readFileOrNothing(runtimeDir+"/libpod/tmp/pause.pid")))
		if err != nil {
			t.Fatal(err)
		}
		_ = unix.Kill(pid, unix.SIGKILL)
	})
	p.podman("load", "--input", p.archive).succeed(t)
	return p
}

var podmanRootlessCases = []podmanCase{
	{"Run", func(c *podman) {
		got := c.sh(`echo $$; id; cat /proc/self/uid_map; touch /new; stat -c %u:%g /new /bin/busybox`)
		c.equal("inside", strings.Join(strings.Fields(got), " "), fmt.Sprintf("1 uid=0(root) gid=0(root) "+
			"0 %d 1 1 %d 65536 0:0 0:0", podmanUserID, podmanSubID))
	}},
	{"ExitCodes", func(c *podman) {
		for _, test := range []struct {
			line string
			code int
		}{{"exit 7", 7}, {"exec no-such-program", 127}, {"exec /etc/passwd", 126}} {
			if res := c.scriptCall(test.line).run(c.T); res.code != test.code {
				c.Errorf("%s: exit code %d, want %d: %s", test.line, res.code, test.code, res.stderr)
			}
		}
		for program, code := range map[string]int{"no-such-program": 127, "/etc/passwd": 126} {
			if res := c.runCall(busyboxImage, program).run(c.T); res.code != code {
				c.Errorf("%s: exit code %d, want %d: %s", program, res.code, code, res.stderr)
			}
		}
	}},
	{"User", func(c *podman) {
		c.equal("--user", c.sh(`id; cat /proc/self/status | grep CapEff`, "--user", "user"),
			"uid=1000(user) gid=1000(user) groups=50(staff),1000(user)\nCapEff:\t0000000000000000")
		c.equal("--userns=keep-id", c.sh(`id -u; id -g`, "--userns", "keep-id"), fmt.Sprintf("%d\n%[1]d", podmanUserID))
	}},
	{"Volumes", func(c *podman) {
		dir := filepath.Join(c.dir, c.id)
		c.ok(os.Mkdir(dir, 0o755))
		c.ok(os.Chown(dir, podmanUserID, podmanUserID))
		c.sh(`echo inside >/rw/file; chown 1:2 /rw/file; ! touch /ro/no`, "--volume", dir+":/rw", "--volume", dir+":/ro:ro")
		c.equal("the file on the host", run(c.T, "stat", "-c", "%u:%g", dir+"/file"), fmt.Sprintf("%d:%d", podmanSubID, podmanSubID+1))
		c.Cleanup(func() { c.podman("volume", "rm", c.id).succeed(c.T) })
		c.sh(`echo kept >/data/file`, "--volume", c.id+":/data")
		c.equal("named", c.sh(`cat /data/file`, "--volume", c.id+":/data:ro"), "kept")
	}},
	{"Terminal", func(c *podman) {
		s := c.onTerminal(console.WinSize{Height: 33, Width: 111}, c.runCall("--interactive", "--tty", busyboxImage, "sh"))
		s.send("tty; until stty size | grep '33 111'; do :; done\n")
		s.await("/dev/pts/0\r\n", "33 111\r\n")
		s.send("exit 9\n")
		if code := s.wait(); code != 9 {
			c.Errorf("exit code %d, want 9: %s", code, s.out)
		}
	}},
	{"Exec", func(c *podman) {
		c.detach(`exec sleep 1000`)
		res := c.execCall([]string{"--user", "user", "--workdir", "/tmp", "--env", "GIVEN=this"}, "sh", "-c", `id -u; pwd; echo $GIVEN; exit 9`).run(c.T)
		if res.code != 9 || res.stdout != "1000\n/tmp\nthis" {
			c.Errorf("%+v", res)
		}
		s := c.onTerminal(console.WinSize{Height: 33, Width: 111}, c.execCall([]string{"--interactive", "--tty"}, "sh"))
		s.send("until stty size | grep '33 111'; do :; done; exit 5\n")
		s.await("33 111\r\n")
		if code := s.wait(); code != 5 {
			c.Errorf("exit code %d, want 5: %s", code, s.out)
		}
	}},
	{"StopAndLogs", func(c *podman) {
		c.detach(`trap 'echo asked; exit 6' TERM; ` + ready + `while :; do sleep 0.01; done`)
		c.awaitReady()
		c.podman("stop", "--time", "60", c.id).succeed(c.T)
		c.equal("state", c.inspect("{{.State.ExitCode}} {{.State.Status}}"), "6 exited")
		c.equal("logs", c.podman("logs", c.id).succeed(c.T), "ready\nasked")
	}},
	{"Kill", func(c *podman) {
		c.detach(`sleep 4000 & trap 'echo got USR1' USR1; ` + ready + `while :; do sleep 0.01; done`)
		s := c.awaitReady()
		c.podman("kill", "--signal", "USR1", c.id).succeed(c.T)
		s.await("got USR1")
		pid := c.pid()
		c.remove(c.id)
		awaitExit(c.T, pid)
	}},
}
