package tests

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// limitPeers are the runtimes whose limits are compared with those of the runtime under test.
var limitPeers = []string{"runc", "crun"}

func peer(t *testing.T, name string) *ociRuntime {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("the peer to compare with is missing: install %s", name)
	}
	return newRuntimeOf(t, path)
}

// anyOther stands for whatever is not what ours has.
const anyOther = "*"

// otherLimits are the limits with which the peers do something else, what the kernel's file shows then, and why the
// runtime under test does not do so. The peers are those of Debian 12, runc 1.1 and crun 1.8.
var otherLimits = []struct{ peers, limit, file, got, reason string }{
	{"runc crun", "CGC-01", "cpu.weight", "20", "half of v1's default shares was a fifth of v2's default weight"},
	{"runc crun", "CGC-01 default", "cpu.weight", "39", "and the default itself was less than half of it"},
	{"runc", "CGC-07", "cpu.idle", "0", "runc knows it since 1.2; it is ignored"},
	{"runc", "CGI-02", "pids.max", anyOther, "the specification has no 0 that means none; systemd's default then counts"},
	{"crun", "CGI-02", "pids.max", "max", "the same"},
	{"runc crun", "CGC-04", "cpu.max.burst", "0", "burst is of a later specification; it is ignored"},
	{"runc crun", "CGH-02 CGH-03", "hugetlb.2MB.rsvd.max", "max", "the specification wants reservations limited, too"},
	{"crun", "CGM-08", "", "no container", "what v2 does anyway takes no file"},
	{"crun", "CGM-11 zero is unset", "", "no container", "no program runs in no memory: Docker and Podman send 0 for none"},
}

// TestPeersLimits writes every limit of TestLimits with the peers, too, and compares the kernel's files.
func TestPeersLimits(t *testing.T) {
	for _, name := range limitPeers {
		for _, l := range limits {
			t.Run(name+" "+l.name, func(t *testing.T) {
				b := newBundle(t, apart, resources(l.set))
				c := peer(t, name).attempt(b)
				if c == nil {
					compareLimit(t, name, l.name, "", "no container", "one")
					return
				}
				want := l.v2
				if onV1(l.controller) {
					want = l.v1
				}
				// Where systemd makes the cgroup, crun keeps limits in one below it.
				own := strings.TrimPrefix(strings.TrimSpace(readFile(t, procPath(c.pid, "cgroup"))), "0::")
				for pair := range slices.Chunk(want, 2) {
					got := strings.TrimSpace(readFile(t, filepath.Join(cgroupDir(t, l.controller, own), pair[0])))
					compareLimit(t, name, l.name, pair[0], got, pair[1])
				}
			})
		}
	}
}

// attempt creates a container, or returns nil where the runtime fails to.
func (r *ociRuntime) attempt(b bundle) *container {
	r.t.Helper()
	id := r.id()
	r.live = append(r.live, id) // to be deleted, whatever is left of it
	if res := r.do("create", "--bundle", b.dir, id); res.code != 0 {
		r.do("delete", "--force", id)
		r.live = nil
		return nil
	}
	return &container{ociRuntime: r, id: id, bundle: b, pid: r.state(id).Pid}
}

func compareLimit(t *testing.T, peer, limit, file, theirs, ours string) {
	t.Helper()
	want := ours
	for _, o := range otherLimits {
		if slices.Contains(strings.Fields(o.peers), peer) && o.limit == limit && o.file == file {
			want = o.got
		}
	}
	if want == anyOther && theirs != ours {
		return
	}
	if theirs != want {
		t.Errorf("%s %s: %s has %s, ours has %s", limit, file, peer, theirs, ours)
	}
}

// TestPeersHold asks of the peers what the tests of limits_hold_test.go ask of the runtime under test: it is what the
// kernel does with limits, no property of one runtime.
func TestPeersHold(t *testing.T) {
	holds := map[string]func(*testing.T, *ociRuntime){
		"memory": memoryKillIsCounted, "cpu": cpuQuotaHolds, "cpuset": cpusetPins, "pause": pausedUsesNoTime,
	}
	if major, _ := scratchDisk(); major != 0 {
		holds["io"] = ioLimitHolds
	}
	for _, name := range limitPeers {
		for what, check := range holds {
			t.Run(name+" "+what, func(t *testing.T) { check(t, peer(t, name)) })
		}
	}
}
