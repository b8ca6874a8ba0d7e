package cgroups

import "strings"

// BlkioStats is about block devices. The second half is counted by the
// schedulers of v1 alone.
type BlkioStats struct {
	IoServiceBytesRecursive []BlkioEntry `json:"ioServiceBytesRecursive,omitempty"` // bytes
	IoServicedRecursive     []BlkioEntry `json:"ioServicedRecursive,omitempty"`     // operations
	IoQueuedRecursive       []BlkioEntry `json:"ioQueueRecursive,omitempty"`        // operations waiting now
	IoServiceTimeRecursive  []BlkioEntry `json:"ioServiceTimeRecursive,omitempty"`  // ns
	IoWaitTimeRecursive     []BlkioEntry `json:"ioWaitTimeRecursive,omitempty"`     // ns
	IoMergedRecursive       []BlkioEntry `json:"ioMergedRecursive,omitempty"`       // operations
	IoTimeRecursive         []BlkioEntry `json:"ioTimeRecursive,omitempty"`         // ms
	SectorsRecursive        []BlkioEntry `json:"sectorsRecursive,omitempty"`        // of 512 bytes
	PSI                     *Pressure    `json:"psi,omitempty"`
}

// BlkioEntry is a number for one device and kind of operation: Read, Write,
// Discard, and on v1 also Sync, Async and Total.
type BlkioEntry struct {
	Major uint64 `json:"major,omitempty"`
	Minor uint64 `json:"minor,omitempty"`
	Op    string `json:"op,omitempty"`
	Value uint64 `json:"value,omitempty"`
}

func blkioStatsV1(c *counters, s *Stats) {
	b := &s.Blkio
	for _, row := range [...]struct {
		entries *[]BlkioEntry
		name    string
	}{
		{&b.IoServiceBytesRecursive, "io_service_bytes"},
		{&b.IoServicedRecursive, "io_serviced"},
		{&b.IoQueuedRecursive, "io_queued"},
		{&b.IoServiceTimeRecursive, "io_service_time"},
		{&b.IoWaitTimeRecursive, "io_wait_time"},
		{&b.IoMergedRecursive, "io_merged"},
		{&b.IoTimeRecursive, "time"},
		{&b.SectorsRecursive, "sectors"},
	} {
		// Whichever scheduler has the device counts: CFQ until Linux 5.0, BFQ, or
		// none; then what passed the throttle is all there is.
		for _, file := range [...]string{
			"blkio." + row.name + "_recursive", "blkio.bfq." + row.name + "_recursive",
			"blkio.throttle." + row.name + "_recursive", "blkio.throttle." + row.name,
		} {
			if *row.entries = blkioEntries(c, file); *row.entries != nil {
				break
			}
		}
	}
}

// blkioEntries reads lines like "8:0 Read 4096" and "8:0 4096". The last one,
// "Total 4096", is about no device.
func blkioEntries(c *counters, file string) (all []BlkioEntry) {
	for words := range c.lines(file) {
		e, ok := blkioDevice(words[0])
		value, ok2 := number(words[len(words)-1])
		if !ok || !ok2 || len(words) > 3 {
			continue
		}
		if len(words) == 3 {
			e.Op = words[1]
		}
		e.Value = value
		all = append(all, e)
	}
	return all
}

// ioStatsV2 reads lines like "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0
// dios=0". Some kernels do not end the line of a device without numbers, so
// that the next device's name follows.
func ioStatsV2(c *counters, s *Stats) {
	for words := range c.lines("io.stat") {
		var device BlkioEntry
		known := false
		for _, word := range words {
			name, value, ok := strings.Cut(word, "=")
			if !ok {
				device, known = blkioDevice(word)
			} else if n, ok := number(value); ok && known {
				s.Blkio.add(device, name, n)
			}
		}
	}
}

// add adds a number that io.stat has for a device under v1's name for it. What
// v1 has no name for, as the cost model's numbers, is left out.
func (b *BlkioStats) add(e BlkioEntry, name string, value uint64) {
	entries := &b.IoServiceBytesRecursive
	switch name {
	case "rbytes", "wbytes", "dbytes":
	case "rios", "wios", "dios":
		entries = &b.IoServicedRecursive
	default:
		return
	}
	e.Op, e.Value = ioOperation(name[0]), value
	*entries = append(*entries, e)
}

func ioOperation(letter byte) string {
	switch letter {
	case 'r':
		return "Read"
	case 'w':
		return "Write"
	}
	return "Discard"
}

func blkioDevice(numbers string) (e BlkioEntry, ok bool) {
	major, minor, _ := strings.Cut(numbers, ":")
	var ok1, ok2 bool
	e.Major, ok1 = number(major)
	e.Minor, ok2 = number(minor)
	return e, ok1 && ok2
}
