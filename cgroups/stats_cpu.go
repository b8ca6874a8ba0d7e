package cgroups

import (
	"strconv"
	"strings"

	"skep/spec"
)

// CPUStats is about processor time. All times are in nanoseconds.
type CPUStats struct {
	Usage      CPUUsage   `json:"usage"`
	Throttling Throttling `json:"throttling"`
	PSI        *Pressure  `json:"psi,omitempty"`
}

// CPUUsage is the time that processes ran. The lists, by processor, are v1's.
type CPUUsage struct {
	Total        uint64   `json:"total,omitempty"`
	Percpu       []uint64 `json:"percpu,omitempty"`
	PercpuKernel []uint64 `json:"percpu_kernel,omitempty"`
	PercpuUser   []uint64 `json:"percpu_user,omitempty"`
	Kernel       uint64   `json:"kernel"`
	User         uint64   `json:"user"`
}

// Throttling is what the quota did.
type Throttling struct {
	Periods          uint64 `json:"periods,omitempty"` // that have passed with something to run
	ThrottledPeriods uint64 `json:"throttledPeriods,omitempty"`
	ThrottledTime    uint64 `json:"throttledTime,omitempty"`
}

const (
	microsecond = 1000       // ns
	tick        = 10_000_000 // ns: the unit of cpuacct.stat, USER_HZ on every architecture that skep runs on
)

func throttlingV1(c *counters, s *Stats) {
	t := c.table("cpu.stat")
	s.CPU.Throttling = Throttling{
		Periods: t["nr_periods"], ThrottledPeriods: t["nr_throttled"], ThrottledTime: t["throttled_time"],
	}
}

func cpuUsageV1(c *counters, s *Stats) {
	u := &s.CPU.Usage
	u.Total = c.number("cpuacct.usage")
	stat := c.table("cpuacct.stat")
	u.User, u.Kernel = stat["user"]*tick, stat["system"]*tick
	for words := range c.lines("cpuacct.usage_percpu") {
		for _, word := range words {
			if n, ok := number(word); ok {
				u.Percpu = append(u.Percpu, n)
			}
		}
	}
	for words := range c.lines("cpuacct.usage_all") { // "cpu user system", "0 12 34" …
		if len(words) != 3 {
			continue
		}
		user, ok := number(words[1])
		kernel, ok2 := number(words[2])
		if ok && ok2 {
			u.PercpuUser, u.PercpuKernel = append(u.PercpuUser, user), append(u.PercpuKernel, kernel)
		}
	}
}

func cpuStatsV2(c *counters, s *Stats) {
	t := c.table("cpu.stat")
	s.CPU.Usage = CPUUsage{
		Total: t["usage_usec"] * microsecond, User: t["user_usec"] * microsecond, Kernel: t["system_usec"] * microsecond,
	}
	s.CPU.Throttling = Throttling{
		Periods: t["nr_periods"], ThrottledPeriods: t["nr_throttled"], ThrottledTime: t["throttled_usec"] * microsecond,
	}
}

// CPUSetStats is where processes may run. All but the lists are v1's.
type CPUSetStats struct {
	CPUs                  []uint16 `json:"cpus,omitempty"`
	CPUExclusive          uint64   `json:"cpu_exclusive"`
	Mems                  []uint16 `json:"mems,omitempty"`
	MemHardwall           uint64   `json:"mem_hardwall"`
	MemExclusive          uint64   `json:"mem_exclusive"`
	MemoryMigrate         uint64   `json:"memory_migrate"`
	MemorySpreadPage      uint64   `json:"memory_spread_page"`
	MemorySpreadSlab      uint64   `json:"memory_spread_slab"`
	MemoryPressure        uint64   `json:"memory_pressure"`
	SchedLoadBalance      uint64   `json:"sched_load_balance"`
	SchedRelaxDomainLevel int64    `json:"sched_relax_domain_level"`
}

func cpusetStatsV1(c *counters, s *Stats) {
	level, err := strconv.ParseInt(strings.TrimSpace(c.text("cpuset.sched_relax_domain_level")), 10, 64)
	if err != nil {
		level = 0
	}
	s.CPUSet = CPUSetStats{
		CPUs:                  numbers(c.text("cpuset.cpus")),
		CPUExclusive:          c.number("cpuset.cpu_exclusive"),
		Mems:                  numbers(c.text("cpuset.mems")),
		MemHardwall:           c.number("cpuset.mem_hardwall"),
		MemExclusive:          c.number("cpuset.mem_exclusive"),
		MemoryMigrate:         c.number("cpuset.memory_migrate"),
		MemorySpreadPage:      c.number("cpuset.memory_spread_page"),
		MemorySpreadSlab:      c.number("cpuset.memory_spread_slab"),
		MemoryPressure:        c.number("cpuset.memory_pressure"),
		SchedLoadBalance:      c.number("cpuset.sched_load_balance"),
		SchedRelaxDomainLevel: level,
	}
}

// cpusetStatsV2 reads what is in force: unlike on v1 the lists that are asked
// for may be empty.
func cpusetStatsV2(c *counters, s *Stats) {
	s.CPUSet.CPUs = numbers(c.text("cpuset.cpus.effective"))
	s.CPUSet.Mems = numbers(c.text("cpuset.mems.effective"))
}

// numbers expands a list like 0-3,7.
func numbers(list string) (all []uint16) {
	ranges, _ := spec.ParseList(list) // the kernel's lists are sound
	for _, r := range ranges {
		for n := r.First; n <= r.Last; n++ {
			all = append(all, uint16(n))
		}
	}
	return all
}
