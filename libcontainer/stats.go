package libcontainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"skep/cgroups"
	"skep/libcontainer/resctrl"
)

// Stats is what the kernel has counted for a container. Its JSON is that of runc's events.
type Stats struct {
	cgroups.Stats
	// IntelRdt is empty without linux.intelRdt.
	IntelRdt resctrl.Stats `json:"intel_rdt"`
	// NetworkInterfaces are those of the container's network namespace but lo; none where it has the host's.
	NetworkInterfaces []NetworkInterface `json:"network_interfaces"`
}

// NetworkInterface is what has gone through an interface. The names of its JSON are in capitals, as with runc.
type NetworkInterface struct {
	Name                                    string
	RxBytes, RxPackets, RxErrors, RxDropped uint64
	TxBytes, TxPackets, TxErrors, TxDropped uint64
}

// Stats reads the counters. The error is ErrNotRunning for a container without processes.
func (c *Container) Stats() (*Stats, error) {
	if err := c.Status().allows().live; err != nil {
		return nil, err
	}
	counted, err := cgroups.Open(c.state.Cgroup).Stats()
	if err != nil {
		return nil, err
	}
	s := &Stats{Stats: *counted}
	if s.IntelRdt, err = c.rdtStats(); err != nil {
		return nil, err
	}
	if s.NetworkInterfaces, err = c.state.Init.interfaces(); err != nil {
		return nil, err
	}
	return s, nil
}

// interfaces reads the counters of the network namespace that a process is in, from outside.
func (p Process) interfaces() ([]NetworkInterface, error) {
	var own, theirs unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &own); err != nil {
		return nil, fmt.Errorf("/proc/self/ns/net: %w", err)
	}
	err := unix.Stat(procFile(p.Pid, "ns/net"), &theirs)
	if err == nil && own.Dev == theirs.Dev && own.Ino == theirs.Ino {
		return nil, nil
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(procFile(p.Pid, "net/dev"))
	}
	if st, failed := readStat(p.Pid); err != nil && failed == nil && st.start == p.Start && st.leaderless() {
		return nil, nil // its namespaces are not to be had by its pid any more
	}
	// A process that is about to end has no namespaces any more, and what has been read may be of another one that has
	// got its pid.
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) || !p.Alive() {
		return nil, ErrNotRunning
	}
	if err != nil {
		return nil, fmt.Errorf("network interfaces: %w", err)
	}
	return parseInterfaces(string(text)), nil
}

// parseInterfaces reads /proc/net/dev: two lines of titles, then for each interface its name, a colon, eight numbers
// about receiving and eight about sending.
func parseInterfaces(text string) []NetworkInterface {
	var all []NetworkInterface
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		words := strings.Fields(rest)
		if name == "lo" || len(words) < 16 {
			continue
		}
		number := func(i int) uint64 {
			n, err := strconv.ParseUint(words[i], 10, 64)
			if err != nil {
				return 0
			}
			return n
		}
		const sent = 8
		all = append(all, NetworkInterface{
			Name: name, RxBytes: number(0), RxPackets: number(1), RxErrors: number(2), RxDropped: number(3),
			TxBytes: number(sent), TxPackets: number(sent + 1), TxErrors: number(sent + 2), TxDropped: number(sent + 3),
		})
	}
	return all
}
