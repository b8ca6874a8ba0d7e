package cgroups

import (
	"strconv"
	"strings"
)

// Pressure is what the kernel calls pressure stall information: for which share
// of the time processes were held up for want of a resource.
type Pressure struct {
	Some PressureLevel `json:"some"` // at least one process
	Full PressureLevel `json:"full"` // all that had something to do
}

// PressureLevel has the percentage over the last 10, 60 and 300 seconds, and
// the total in microseconds.
type PressureLevel struct {
	Avg10  float64 `json:"avg10"`
	Avg60  float64 `json:"avg60"`
	Avg300 float64 `json:"avg300"`
	Total  uint64  `json:"total"`
}

func pressureStats(c *counters, s *Stats) {
	s.CPU.PSI = pressure(c, "cpu.pressure")
	s.Memory.PSI = pressure(c, "memory.pressure")
	s.Blkio.PSI = pressure(c, "io.pressure")
}

// pressure returns nil where the kernel does not count it.
func pressure(c *counters, file string) (p *Pressure) {
	for words := range c.lines(file) { // "some avg10=0.00 avg60=0.00 avg300=0.00 total=0"
		if p == nil {
			p = new(Pressure)
		}
		level := &p.Some
		switch words[0] {
		case "some":
		case "full":
			level = &p.Full
		default:
			continue
		}
		for _, word := range words[1:] {
			level.set(strings.Cut(word, "="))
		}
	}
	return p
}

func (l *PressureLevel) set(name, value string, _ bool) {
	switch name {
	case "avg10":
		l.Avg10 = percentage(value)
	case "avg60":
		l.Avg60 = percentage(value)
	case "avg300":
		l.Avg300 = percentage(value)
	case "total":
		l.Total, _ = number(value)
	}
}

// percentage reads nothing that JSON has no number for.
func percentage(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= 0 && f <= 100) {
		return 0
	}
	return f
}
