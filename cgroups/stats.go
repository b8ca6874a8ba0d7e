package cgroups

import (
	"errors"
	"iter"
	"math"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Stats is what the kernel has counted for a group, with the names of runc's
// events, which container managers read. What a host does not count is 0.
type Stats struct {
	CPU    CPUStats    `json:"cpu"`
	CPUSet CPUSetStats `json:"cpuset"`
	Memory MemoryStats `json:"memory"`
	Pids   PidsStats   `json:"pids"`
	Blkio  BlkioStats  `json:"blkio"`
	// Hugetlb is by page size, such as 2MB.
	Hugetlb map[string]HugetlbStats `json:"hugetlb"`
}

// counted has a row per controller, by v1's name of it, and where each version
// has its numbers. Pressure is counted in every v2 tree, a hybrid host's too.
var counted = [...]struct {
	controller string
	v1, v2     func(*counters, *Stats)
}{
	{"cpu", throttlingV1, cpuStatsV2},
	{"cpuacct", cpuUsageV1, nil},
	{"cpuset", cpusetStatsV1, cpusetStatsV2},
	{"memory", memoryStatsV1, memoryStatsV2},
	{"pids", pidsStats, pidsStats},
	{"blkio", blkioStatsV1, ioStatsV2},
	{"hugetlb", hugetlbStatsV1, hugetlbStatsV2},
	{"pressure", nil, pressureStats},
}

// Stats reads what has been counted for the group and all below it.
func (g *Group) Stats() (*Stats, error) {
	s := &Stats{Hugetlb: map[string]HugetlbStats{}}
	for _, row := range counted {
		dir, err := g.dirOf(row.controller)
		if err != nil {
			continue // not mounted, so not counted
		}
		read := row.v1
		if dir == g.V2Dir() {
			read = row.v2
		}
		if read == nil {
			continue
		}
		c := counters{dir: dir}
		if read(&c, s); c.err != nil {
			return nil, c.err
		}
	}
	return s, nil
}

// counters reads the files of a directory. A file that does not exist, be it
// for an older kernel or because the cgroup is gone, reads as empty, and a line
// that makes no sense is skipped: each kernel has something new to say. The
// first other error is kept.
type counters struct {
	dir string
	err error
}

func (c *counters) text(file string) string {
	text, err := readFile(c.dir + "/" + file)
	switch {
	case err == nil:
		return text
	case isGone(err), errors.Is(err, unix.EOPNOTSUPP): // the latter: pressure, if the kernel was told not to count it
	case c.err == nil:
		c.err = err
	}
	return ""
}

// number reads a file with one number.
func (c *counters) number(file string) uint64 {
	n, _ := number(strings.TrimSpace(c.text(file)))
	return n
}

// lines reads a file's lines as their words.
func (c *counters) lines(file string) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		for line := range strings.Lines(c.text(file)) {
			if words := strings.Fields(line); len(words) > 0 && !yield(words) {
				return
			}
		}
	}
}

// table reads a file with a name and a number in each line.
func (c *counters) table(file string) map[string]uint64 {
	return table(c.text(file))
}

func table(text string) map[string]uint64 {
	t := map[string]uint64{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) != 2 {
			continue
		}
		if n, ok := number(words[1]); ok {
			t[words[0]] = n
		}
	}
	return t
}

// number reads a number, of which the kernel calls the greatest max.
func number(s string) (n uint64, ok bool) {
	if s == "max" {
		return math.MaxUint64, true
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, false // ParseUint returns the greatest number for one that is greater
	}
	return n, true
}
