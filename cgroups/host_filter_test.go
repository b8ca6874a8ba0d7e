package cgroups

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// applyFilter enforces rules in the group's v2 directory. A hybrid host leaves
// devices to v1, but its v2 tree takes filters as well.
func applyFilter(t *testing.T, g *Group, lines ...string) {
	t.Helper()
	if err := g.Apply([]Write{compileFilter(t, lines...)}); err != nil {
		t.Fatalf("%d rules: %v", len(lines), err)
	}
}

// attached returns the ids of all device filters that a v2 directory has.
func attached(t *testing.T, dir string) []uint32 {
	t.Helper()
	fd, err := openFile(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var ids [maxPrograms]uint32
	query := queryAttr{cgroup: uint32(fd), kind: unix.BPF_CGROUP_DEVICE, ids: &ids, count: maxPrograms}
	if _, err := bpf(unix.BPF_PROG_QUERY, &query); err != nil {
		t.Fatal(err)
	}
	return slices.Clone(ids[:query.count])
}

// CGD-01 CGD-05 CGD-06 CGD-07: what the kernel makes of the filter.
func testFilter(t *testing.T, l Layout) {
	g := create(t, l, "/a")
	applyFilter(t, g, "deny", "allow c 1:11 rw", "deny c 1:11 w")
	// Behind that number is no disk; an open that the filter lets pass says so.
	const node = "/dev/skep-test-node"
	t.Cleanup(func() { os.Remove(node) })
	c := join(t, g, `
		try() { case $("$@" 2>&1) in *"not permitted"*) echo "$1 no";; *) echo "$1 yes";; esac; }
		null() { true < /dev/null && true > /dev/null && true <> /dev/null; }
		read_() { true < /dev/kmsg; }
		write() { true > /dev/kmsg; }
		both() { true <> /dev/kmsg; }
		node() { mknod `+node+` b 240 0; }
		disk() { true < `+node+`; }
		while read go; do
			try null; try read_; try write; try both; try node; try disk; rm -f `+node+`
		done`)
	ask := func(want string) {
		t.Helper()
		if _, err := c.in.Write([]byte("go\n")); err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(want, ", ") {
			if got := c.line(t); got != line {
				t.Errorf("the child said %q, want %q", got, line)
			}
		}
	}
	ask("null yes, read_ yes, write no, both no, node yes, disk no")
	first := attached(t, g.V2Dir())
	applyFilter(t, g, "deny", "allow b *:* r") // as an update does
	ask("null yes, read_ no, write no, both no, node yes, disk yes")
	second := attached(t, g.V2Dir())
	if len(first) != 1 || len(second) != 1 || first[0] == second[0] {
		t.Errorf("filters %v, then %v", first, second)
	}
	applyFilter(t, g, "allow") // privileged: nothing is attached
	ask("null yes, read_ yes, write yes, both yes, node yes, disk yes")
	if ids := attached(t, g.V2Dir()); len(ids) != 0 {
		t.Errorf("filters %v are left", ids)
	}
	end(t, g)
}

// CGD-06: the filters of others stay, and those of skep's do not pile up.
func testFilterOthers(t *testing.T, l Layout) {
	g := create(t, l, "/a")
	fd, err := openFile(g.V2Dir(), unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	code := verdict(true)
	other := loadAttr{kind: unix.BPF_PROG_TYPE_CGROUP_DEVICE, count: 2, code: &code[0], license: new(byte)}
	copy(other.name[:], "other")
	program, err := bpf(unix.BPF_PROG_LOAD, &other)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(program)
	ours, err := loadFilter(verdict(true))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ours)
	for _, p := range []int{ours, program} {
		if err := attachFilter(fd, p, -1); err != nil {
			t.Fatal(err)
		}
	}
	before := attached(t, g.V2Dir())
	applyFilter(t, g, "deny")
	after := attached(t, g.V2Dir())
	if len(before) != 2 || len(after) != 2 || before[1] != after[1] || before[0] == after[0] {
		t.Errorf("filters %v, then %v", before, after)
	}
	applyFilter(t, g, "allow")
	if left := attached(t, g.V2Dir()); !slices.Equal(left, before[1:]) {
		t.Errorf("filters %v are left, want %v", left, before[1:])
	}
	end(t, g)
}

// The verifier takes long lists, and tells why it does not take a program.
func testFilterLoad(t *testing.T, l Layout) {
	g := create(t, l, "/a")
	lines := []string{"deny"}
	for i := range 500 {
		n := itoa(int64(i))
		lines = append(lines, "allow c "+n+":"+n+" r", "deny b "+n+":* w", "allow a *:"+n+" rm")
	}
	applyFilter(t, g, lines...)

	_, err := loadFilter([]instruction{{code: unix.BPF_JMP | unix.BPF_EXIT}})
	if !errors.Is(err, unix.EACCES) || !strings.HasSuffix(err.Error(), "R0 !read_ok") {
		t.Errorf("a result without a value: %v", err)
	}
	end(t, g)
}

// CGD-10: who may not use bpf(2) is told, unless nothing is to be restricted.
func testFilterRefused(t *testing.T, l Layout) {
	g := create(t, l, "/a")
	onThread(func() {
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			t.Error(err)
			return
		}
		if err := g.Apply([]Write{compileFilter(t, "allow")}); err != nil {
			t.Errorf("nothing to restrict: %v", err)
		}
		err := g.Apply([]Write{compileFilter(t, "deny")})
		if !errors.Is(err, unix.EPERM) || !strings.HasPrefix(err.Error(), "linux.resources.devices: ") ||
			!strings.HasSuffix(err.Error(), "CAP_BPF and CAP_NET_ADMIN on the host)") {
			t.Errorf("a restriction: %v", err)
		}
	})
	if len(attached(t, g.V2Dir())) != 0 {
		t.Error("a filter is attached")
	}
	end(t, g)
}

// The writes of a v2 host reach the filter in their order with the others.
func testDevicesV2(t *testing.T, l Layout) {
	g := newGroup(t, l, testRoot+"/a")
	writes := compile(t, g, specs.LinuxResources{Devices: rules("deny"), Pids: &specs.LinuxPids{Limit: ptr[int64](9)}})
	if err := planAndCreate(g, writes); err != nil {
		t.Fatal(err)
	}
	if err := g.Apply(writes); err != nil {
		t.Fatal(err)
	}
	before := attached(t, g.V2Dir())
	if err := g.Apply(compile(t, g, specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](8)}})); err != nil {
		t.Fatal(err)
	}
	if after := attached(t, g.V2Dir()); len(before) != 1 || !slices.Equal(before, after) { // CGD-09
		t.Errorf("filters %v, then %v", before, after)
	}
	end(t, g)
}
