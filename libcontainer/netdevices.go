package libcontainer

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"skep/libcontainer/netdev"
)

// moveDevices gives the container its network devices (linux.netDevices): before the hooks, which may go on
// configuring them, and before the sysctls, which may name them. A create that fails later brings them back (undo), and
// where it is killed, delete does, if the network namespace is still there: a new one may have ended with init. Once
// there is a container they are its network namespace's: when that ends, the kernel takes physical ones back to the host
// and destroys the others.
func (c *creation) moveDevices() error {
	devices := c.spec.Linux.NetDevices
	if len(devices) == 0 {
		return nil
	}
	if _, err := c.child.Play(); err != nil { // until then init may still have to join the namespace
		return err
	}
	paths := []string{procFile(c.child.Pid, "ns/net")}
	if joined := c.joinedNamespace(specs.NetworkNamespace); joined != nil { // which may outlive init
		paths = append(paths, joined.Path)
	}
	var err error
	c.moved, err = netdev.Move(devices, paths, func(r *netdev.Record) error {
		c.state.NetDevices = r
		return c.dir.writeState(journalFile, c.state)
	})
	return err
}

// returnDevices brings home the network devices of a create that was killed.
func (c *Container) returnDevices() {
	if c.complete || c.state.NetDevices == nil {
		return
	}
	if err := c.state.NetDevices.Return(); err != nil {
		c.options.report([]string{err.Error()})
	}
}

// printDevices shows the network devices as a plan does.
func printDevices(w *strings.Builder, devices map[string]specs.LinuxNetDevice) {
	if len(devices) == 0 {
		return
	}
	w.WriteString("network devices\n")
	for _, host := range slices.Sorted(maps.Keys(devices)) {
		w.WriteString("  move  " + host + " → " + cmp.Or(devices[host].Name, host) + "\n")
	}
}
