package tests

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// pids returns what ps prints as JSON.
func (c *container) pids() []int {
	c.t.Helper()
	var pids []int
	if err := json.Unmarshal([]byte(c.ok("ps", "--format", "json", c.id).stdout), &pids); err != nil {
		c.t.Fatal(err)
	}
	return pids
}

// CLI-06: processes in cgroups below the container's are its own, too.
func TestPs(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/sh", "-c", "sleep 1001 & sleep 1002 & wait"))
	c := r.runDetached(b)
	eventually(t, "three processes", func() bool { return len(c.pids()) == 3 })
	all := c.pids()
	if !slices.Contains(all, c.pid) || !slices.IsSorted(all) {
		t.Errorf("%v, of which init is %d", all, c.pid)
	}
	for _, root := range suite.cgroups {
		below := filepath.Join(root.dir, b.cgroup, "below")
		if err := os.Mkdir(below, 0o755); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(root.controllers, "cpuset") {
			copyCpuset(t, below)
		}
		if err := os.WriteFile(filepath.Join(below, "cgroup.procs"), []byte(strconv.Itoa(all[2])), 0); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.pids(); !slices.Equal(got, all) {
		t.Errorf("%v, want %v", got, all)
	}
	c.stop()
	if got := strings.TrimSpace(r.ok("ps", "-f", "json", c.id).stdout); got != "[]" {
		t.Errorf("a stopped container has %s", got)
	}
	c.delete()
}

// The table is the host's, with the options that follow the id.
func TestPsTable(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t, args("/bin/sleep", "1001")))
	for _, options := range [][]string{nil, {"-ef"}, {"aux"}, {"-o", "comm,pid", "-e"}, {"-f", "-p", strconv.Itoa(c.pid)}} {
		lines := strings.Split(strings.TrimSpace(r.ok(append([]string{"ps", c.id}, options...)...).stdout), "\n")
		if len(lines) != 2 {
			t.Fatalf("%v: %q", options, lines)
		}
		titles, words := strings.Fields(lines[0]), strings.Fields(lines[1])
		if column := slices.Index(titles, "PID"); column < 0 || words[column] != strconv.Itoa(c.pid) {
			t.Errorf("%v: %q, want process %d", options, lines, c.pid)
		}
		if !strings.Contains(lines[1], "sleep") {
			t.Errorf("%v: %q", options, lines[1])
		}
	}
	r.fails("no column PID", "ps", c.id, "-o", "comm")
	r.refuse(call{args: []string{"ps", c.id, "--no-such-option"}}, "ps --no-such-option", "unknown")
	r.fails("want table or json", "ps", "--format", "xml", c.id)
	r.fails("does not exist", "ps", r.id())
	r.fails("ps: ID is missing", "ps")
}
