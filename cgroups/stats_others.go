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

// RDMAStats is about a device for remote direct memory access.
type RDMAStats struct {
	Current, Max RDMACounter
}

// RDMACounter counts what an RDMA device gives out; no limit is the greatest
// number.
type RDMACounter struct {
	HcaHandles, HcaObjects uint64
}

func rdmaStats(c *counters, s *Stats) {
	read := func(file string, of func(*RDMAStats) *RDMACounter) {
		for words := range c.lines(file) { // "mlx4_0 hca_handle=2 hca_object=max"
			device := s.RDMA[words[0]]
			for name, value := range assignments(words[1:]) {
				switch name {
				case "hca_handle":
					of(&device).HcaHandles = value
				case "hca_object":
					of(&device).HcaObjects = value
				}
			}
			if s.RDMA == nil {
				s.RDMA = map[string]RDMAStats{}
			}
			s.RDMA[words[0]] = device
		}
	}
	read("rdma.current", func(d *RDMAStats) *RDMACounter { return &d.Current })
	read("rdma.max", func(d *RDMAStats) *RDMACounter { return &d.Max })
}

// MiscStats is about a resource of the misc controller, in units of its own.
type MiscStats struct {
	Usage  uint64
	Limit  uint64 // the greatest number: none
	Events uint64 // how often the limit was hit
}

func miscStats(c *counters, s *Stats) {
	usage, limits, events := c.table("misc.current"), c.table("misc.max"), c.table("misc.events")
	if len(usage) == 0 {
		return
	}
	s.Misc = make(map[string]MiscStats, len(usage))
	for name, n := range usage {
		s.Misc[name] = MiscStats{Usage: n, Limit: limits[name], Events: events[name+".max"]}
	}
}
