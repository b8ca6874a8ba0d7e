package resctrl

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Stats are what a container's groups say of themselves, in the form in which managers read it (intel_rdt of events).
type Stats struct {
	L3CacheInfo       *L3CacheInfo     `json:"l3_cache_info,omitempty"`
	L3CacheSchemaRoot string           `json:"l3_cache_schema_root,omitempty"` // of the root group
	L3CacheSchema     string           `json:"l3_cache_schema,omitempty"`
	MemBwInfo         *MemBwInfo       `json:"mem_bw_info,omitempty"`
	MemBwSchemaRoot   string           `json:"mem_bw_schema_root,omitempty"` // of the root group
	MemBwSchema       string           `json:"mem_bw_schema,omitempty"`
	Schemata          []string         `json:"schemata,omitempty"`  // every line of the group
	MBM               []BandwidthUsage `json:"mbm_stats,omitempty"` // by L3 cache
	CMT               []CacheUsage     `json:"cmt_stats,omitempty"` // by L3 cache
}

// L3CacheInfo is what the CPU can do with its L3 caches.
type L3CacheInfo struct {
	CbmMask    string `json:"cbm_mask,omitempty"` // of all bits, hexadecimal
	MinCbmBits uint64 `json:"min_cbm_bits,omitempty"`
	NumClosids uint64 `json:"num_closids,omitempty"` // groups that there can be
}

// MemBwInfo is what the CPU can do with memory bandwidth.
type MemBwInfo struct {
	BandwidthGran uint64 `json:"bandwidth_gran,omitempty"` // percent
	DelayLinear   uint64 `json:"delay_linear,omitempty"`
	MinBandwidth  uint64 `json:"min_bandwidth,omitempty"` // percent
	NumClosids    uint64 `json:"num_closids,omitempty"`
}

// BandwidthUsage counts the bytes that went between a cache and memory.
type BandwidthUsage struct {
	TotalBytes uint64 `json:"mbm_total_bytes,omitempty"`
	LocalBytes uint64 `json:"mbm_local_bytes,omitempty"` // memory of the same node
}

// CacheUsage is how much of a cache is occupied.
type CacheUsage struct {
	LLCOccupancy uint64 `json:"llc_occupancy,omitempty"` // bytes
}

// Stats reads them. What the CPU cannot do is left out. The counters are those of the container's monitoring group;
// without one they are those of its control group, with whomever it shares that.
func (t *Tree) Stats(f Facts) (Stats, error) {
	root, err := os.ReadFile(filepath.Join(t.Root, schemataFile))
	if err != nil {
		return Stats{}, err
	}
	own, err := os.ReadFile(filepath.Join(f.Group, schemataFile))
	if err != nil {
		return Stats{}, err
	}
	s := Stats{
		L3CacheSchemaRoot: find(string(root), "L3"), L3CacheSchema: find(string(own), "L3"),
		MemBwSchemaRoot: find(string(root), "MB"), MemBwSchema: find(string(own), "MB"),
	}
	for line := range strings.Lines(string(own)) {
		s.Schemata = append(s.Schemata, strings.TrimSpace(line))
	}
	r := reader{}
	l3, mb := filepath.Join(t.Root, "info", "L3"), filepath.Join(t.Root, "info", "MB")
	if there, _ := exists(l3); there {
		s.L3CacheInfo = &L3CacheInfo{r.text(l3, "cbm_mask"), r.number(l3, "min_cbm_bits"), r.number(l3, "num_closids")}
	}
	if there, _ := exists(mb); there {
		s.MemBwInfo = &MemBwInfo{r.number(mb, "bandwidth_gran"), r.number(mb, "delay_linear"),
			r.number(mb, "min_bandwidth"), r.number(mb, "num_closids")}
	}
	return s, cmp.Or(r.err, s.readCounters(filepath.Join(cmp.Or(f.Monitor, f.Group), "mon_data")))
}

// readCounters reads those of every L3 cache that has some.
func (s *Stats) readCounters(dir string) error {
	domains, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) { // the CPU counts nothing
		return nil
	}
	for _, d := range domains {
		if !strings.HasPrefix(d.Name(), "mon_L3_") {
			continue
		}
		path := filepath.Join(dir, d.Name())
		if n, there := counter(path, "llc_occupancy"); there {
			s.CMT = append(s.CMT, CacheUsage{n})
		}
		total, hasTotal := counter(path, "mbm_total_bytes")
		local, hasLocal := counter(path, "mbm_local_bytes")
		if hasTotal || hasLocal {
			s.MBM = append(s.MBM, BandwidthUsage{total, local})
		}
	}
	return err
}

// counter reads a counter, if there is one: 0 where the kernel has no value at the moment and says so in words.
func counter(dir, file string) (n uint64, there bool) {
	n, err := readNumber(filepath.Join(dir, file))
	return n, !errors.Is(err, fs.ErrNotExist)
}

// reader reads files until one of them fails.
type reader struct{ err error }

func (r *reader) text(dir, file string) string {
	raw, err := os.ReadFile(filepath.Join(dir, file))
	if r.err == nil {
		r.err = err
	}
	return strings.TrimSpace(string(raw))
}

func (r *reader) number(dir, file string) uint64 {
	n, err := readNumber(filepath.Join(dir, file))
	if r.err == nil {
		r.err = err
	}
	return n
}
