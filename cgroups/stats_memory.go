package cgroups

import "math"

// MemoryStats is about memory, in bytes.
type MemoryStats struct {
	Cache uint64        `json:"cache,omitempty"` // of files
	Usage MemoryCounter `json:"usage"`
	// Swap is memory and swap together, as v1 counts them.
	Swap      MemoryCounter     `json:"swap"`
	Kernel    MemoryCounter     `json:"kernel"`    // on v1
	KernelTCP MemoryCounter     `json:"kernelTCP"` // on v1
	Raw       map[string]uint64 `json:"raw,omitempty"`
	PSI       *Pressure         `json:"psi,omitempty"`
}

// MemoryCounter is one of the counters with a limit; without one the limit is
// the greatest number that the kernel has for it.
type MemoryCounter struct {
	Limit   uint64 `json:"limit"`
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"` // the greatest usage there was
	Failcnt uint64 `json:"failcnt"`       // how often the limit was hit, on v1
}

func memoryStatsV1(c *counters, s *Stats) {
	counter := func(name string) MemoryCounter {
		return MemoryCounter{
			Limit: c.number(name + "limit_in_bytes"), Usage: c.number(name + "usage_in_bytes"),
			Max: c.number(name + "max_usage_in_bytes"), Failcnt: c.number(name + "failcnt"),
		}
	}
	m := &s.Memory
	m.Raw = c.table("memory.stat")
	m.Cache = m.Raw["cache"]
	m.Usage, m.Swap = counter("memory."), counter("memory.memsw.")
	m.Kernel, m.KernelTCP = counter("memory.kmem."), counter("memory.kmem.tcp.")
}

func memoryStatsV2(c *counters, s *Stats) {
	m := &s.Memory
	m.Raw = c.table("memory.stat")
	m.Cache = m.Raw["file"]
	m.Usage = MemoryCounter{
		Limit: c.number("memory.max"), Usage: c.number("memory.current"),
		Max: c.number("memory.peak"), // Linux 5.19
	}
	// Callers expect v1's sum. The two maxima need not have been reached at the
	// same time, so they have none.
	m.Swap = MemoryCounter{
		Limit: sum(m.Usage.Limit, c.number("memory.swap.max")), Usage: m.Usage.Usage + c.number("memory.swap.current"),
	}
}

// sum adds limits, of which the greatest number is none.
func sum(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}
