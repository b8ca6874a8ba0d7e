package tests

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// exec enters a user's container with all of its ids, whether it has cgroups
// or not.
func TestRootlessExec(t *testing.T) {
	r, a := newRootless(t)
	parent, delegated := a.delegate(r)
	pids := tempDir(t)
	a.own(t, pids)
	for name, b := range map[string]bundle{
		"ranges": a.bundle(t), "single": a.bundle(t, a.single), "cgroup namespace": a.bundle(t, namespace(specs.CgroupNamespace, "")),
		"time namespace": a.bundle(t, namespace(specs.TimeNamespace, "")), "limits": a.bundle(t, limited),
	} {
		if name == "limits" && !delegated {
			continue // TestRootlessLimits
		}
		c := r.runDetached(b)
		if got := c.exec("id -u"); got != "0" {
			t.Errorf("%s: root is %s", name, got)
		}
		if name != "single" {
			got := c.exec("id -u; id -g; id -G", "--user", "1000:1001", "--additional-gids", "9")
			wantLines(t, got, "1000", "1001", "1001 9")
		}
		if res := r.do(c.execLine(nil, "/bin/sh", "-c", "exit 7")...); res.code != 7 {
			t.Errorf("%s: exit %d: %s", name, res.code, res.stderr)
		}
		file := filepath.Join(pids, name)
		c.ok(c.execLine([]string{"--detach", "--pid-file", file}, "/bin/sleep", "1000")...)
		pid, err := strconv.Atoi(readFile(t, file))
		if err != nil {
			t.Fatal(err)
		}
		c.wantBeside(pid)
		if delegated {
			procs := strings.Fields(readFile(t, filepath.Join(parent, "skep", c.id, "cgroup.procs")))
			if !slices.Contains(procs, strconv.Itoa(pid)) {
				t.Errorf("%s: %d is not in the container's cgroup: %v", name, pid, procs)
			}
		}
		if got := c.pids(); !slices.Contains(got, c.pid) || !slices.Contains(got, pid) {
			t.Errorf("%s: ps: %v, want %d and %d", name, got, c.pid, pid)
		}
		c.delete("--force")
	}
}

// What takes cgroups works in a delegated subtree, and says what is missing
// elsewhere.
func TestRootlessPauseUpdate(t *testing.T) {
	r, a := newRootless(t)
	parent, delegated := a.delegate(r)
	c := r.runDetached(a.bundle(t, args("/bin/sh", "-c", "sleep 1001 & sleep 1002 & wait")))
	eventually(t, "three processes", func() bool { return len(c.pids()) == 3 })
	if !delegated {
		r.fails("no cgroups", "pause", c.id)
		r.fails("no cgroups", "update", "--pids-limit", "20", c.id)
		r.fails("container not paused", "resume", c.id)
		return
	}
	c.ok("pause", c.id)
	if got := c.status(); got != "paused" {
		t.Errorf("it is %s", got)
	}
	c.ok("resume", c.id)
	c.ok("update", "--pids-limit", "20", "--memory", "50m", c.id)
	for file, want := range map[string]string{"pids.max": "20", "memory.max": "52428800"} {
		wantLines(t, readFile(t, filepath.Join(parent, "skep", c.id, file)), want)
	}
	c.delete("--force")
}
