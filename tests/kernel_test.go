package tests

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"skep/tests/internal/hosts"
)

// beyond are the tests of what not every host's kernel and cgroups can show. They are left out where it is missing, with a
// sentence: here and nowhere else, so that nothing is skipped unseen.
var beyond = []struct {
	test  string
	needs string
	met   func() bool
}{
	{"TestIDMappedTmpfs", "idmapped mounts of tmpfs, of Linux 6.3", func() bool { return kernelIsAtLeast(6, 3) }},
	{"TestExecFollowsInit", "a hierarchy of cgroup v2", hasUnified},
	{"TestPeersLimits", pureV2 + ": crun does not run on hybrid hosts", isPureV2},
	{"TestPeersHold", pureV2 + ": crun does not run on hybrid hosts", isPureV2},
	{"TestRootlessControl", pureV2 + ": nothing else can be delegated", isPureV2},
	{"TestRootlessCgroupMount", pureV2 + ": nothing else can be delegated", isPureV2},
	{"TestRootlessOutsideOfDelegation", pureV2 + ", and root to stage it", func() bool { return isPureV2() && os.Geteuid() == 0 }},
	{"TestIOLimitHolds", "a disk below TMPDIR that the kernel throttles", func() bool { major, _ := scratchDisk(); return major != 0 }},
	{"TestDiskLimits", "loop devices", disksCanBeMade},
	{"TestDiskLimitsByWeight", "loop devices and the I/O scheduler BFQ", func() bool { return disksCanBeMade() && disksHaveWeights() }},
	{"TestCriuRestore", criu, criuWorks},
	{"TestCriuAhead", criu, criuWorks},
	{"TestCriuPaused", criu, criuWorks},
	{"TestCriuForeground", criu, criuWorks},
	{"TestCriuTerminal", criu, criuWorks},
	{"TestCriuJoinedNetwork", criu, criuWorks},
	{"TestCriuNotifySocket", criu, criuWorks},
	{"TestCriuBrokenImages", criu, criuWorks},
	{"TestCriuPageServer", criu, criuWorks},
	{"TestCriuConnections", criu, criuWorks},
	{"TestCriuExternalSocket", criu, criuWorks},
	{"TestCriuLazyPages", criu, criuWorks},
	{"TestCriuDedup", criu, criuWorks},
	{"TestCriuCgroupModes", criu, criuWorks},
	{"TestCriuEmptyNetwork", criu, criuWorks},
	{"TestCriuProfile", criu, criuWorks},
}

const (
	pureV2 = "cgroup v2 alone"
	criu   = "a criu that knows the kernel"
)

// leaveOut keeps from running what this kernel cannot show.
func leaveOut() error {
	needs := map[string]string{}
	for _, b := range beyond {
		if !b.met() {
			needs[b.test] = b.needs
		}
	}
	return hosts.LeaveOut(needs)
}

func isPureV2() bool { return len(suite.cgroups) == 1 && suite.cgroups[0].unified() }

// kernelIsAtLeast is for what can be told by the version only.
func kernelIsAtLeast(major, minor int) bool {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		panic(err) // it has no reason to
	}
	fields := strings.FieldsFunc(unix.ByteSliceToString(name.Release[:]), func(r rune) bool { return r < '0' || r > '9' })
	a, errA := strconv.Atoi(fields[0])
	b, errB := strconv.Atoi(fields[1])
	return errA == nil && errB == nil && (a > major || a == major && b >= minor)
}
