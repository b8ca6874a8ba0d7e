package cgroups

import (
	"math"
	"os"
	"strings"
)

// PidsStats is about the number of processes and threads.
type PidsStats struct {
	Current uint64 `json:"current,omitempty"`
	Limit   uint64 `json:"limit,omitempty"` // 0: none
}

func pidsStats(c *counters, s *Stats) {
	s.Pids = PidsStats{Current: c.number("pids.current"), Limit: c.number("pids.max")}
	if s.Pids.Limit == math.MaxUint64 {
		s.Pids.Limit = 0
	}
}

// HugetlbStats is about huge pages of one size, in bytes. Where the kernel
// counts reservations (Linux 5.7), it is these.
type HugetlbStats struct {
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"` // the greatest usage there was, on v1
	Failcnt uint64 `json:"failcnt"`       // how often the limit was hit
}

func hugetlbStatsV1(c *counters, s *Stats) {
	for size, name := range pageSizes(c, ".usage_in_bytes") {
		s.Hugetlb[size] = HugetlbStats{
			Usage: c.number(name + "usage_in_bytes"), Max: c.number(name + "max_usage_in_bytes"),
			Failcnt: c.number(name + "failcnt"),
		}
	}
}

func hugetlbStatsV2(c *counters, s *Stats) {
	for size, name := range pageSizes(c, ".current") {
		s.Hugetlb[size] = HugetlbStats{
			Usage:   c.number(name + "current"),
			Failcnt: c.table("hugetlb." + size + ".events")["max"],
		}
	}
}

// pageSizes finds the page sizes that are counted, and how the names of the
// files for each begin. The file of every size has the given end.
func pageSizes(c *counters, end string) map[string]string {
	sizes := map[string]string{}
	entries, err := os.ReadDir(c.dir)
	if err != nil && !isGone(err) && c.err == nil {
		c.err = err
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), end)
		size, ok2 := strings.CutPrefix(name, "hugetlb.")
		size, reserved := strings.CutSuffix(size, ".rsvd")
		if ok && ok2 && (reserved || sizes[size] == "") {
			sizes[size] = name + "."
		}
	}
	return sizes
}
