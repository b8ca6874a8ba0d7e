package tests

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// movedAway is a container in the making whose devices come into a namespace that outlives it.
type movedAway struct {
	*ociRuntime
	host, pod network
	before    string // what the host had
	bundle    bundle
	id        string
}

func newMovedAway(t *testing.T) *movedAway {
	t.Helper()
	r := newRuntime(t)
	host := newNetwork(t, dressed+`ip link add br0 type bridge; ip link set br0 up
ip link add b0 type veth peer name b1; ip link set b1 up; ip link set b0 master br0 up
ip route add default via 10.1.0.9 metric 7
`)
	pod := newNetwork(t, "ip link add x type veth peer name y")
	b := newBundle(t, namespace(specs.NetworkNamespace, procPath(pod.pid, "ns/net")), netDevices("a0", "eth%d", "b0", "web"))
	return &movedAway{r, host, pod, host.look(), b, r.id()}
}

// killed runs a command that is killed at its n-th effect, requests to the kernel's network among them.
func (m *movedAway) killed(n int, line ...string) (struck bool) {
	m.t.Helper()
	counts := func(call uint64) bool { return isEffect(call) || call == unix.SYS_SENDTO }
	_, struck = m.trace(fault{n: n, kill: true, on: counts, from: unix.SYS_SENDTO, wrap: m.host.inside()}, append(line, m.id)...)
	return struck
}

// home wants a delete to bring everything home.
func (m *movedAway) home() {
	m.t.Helper()
	res := m.call(call{args: []string{"delete", "--force", m.id}, wrap: m.host.inside()})
	if res.code != 0 || res.stderr != "" {
		m.t.Errorf("delete: exit %d, %s", res.code, res.stderr)
	}
	m.pod.wantDevices("lo", "x", "y")
	eventually(m.t, "everything is back on the host", func() bool { return m.host.look() == m.before })
	if left := append(m.entries(), cgroupsOf(m.bundle)...); len(left) > 0 {
		m.t.Errorf("left: %v", left)
	}
}

// NETD-11 OPD-08: whenever a create is killed, or the delete after it, the next delete brings the devices home.
func TestNetDeviceKilledAnywhere(t *testing.T) {
	m, last := newMovedAway(t), 0
	strikeAll(t, 3, func(n int) bool {
		m.killed(n, "create", "--bundle", m.bundle.dir)
		if res := m.do("state", m.id); res.code == 0 && m.state(m.id).Status == "created" {
			m.live = append(m.live, m.id)
			return false
		}
		last = n
		m.home()
		return true
	})
	m.pod.wantDevices("eth0", "lo", "web", "x", "y")
	m = newMovedAway(t)
	strikeAll(t, 5, func(n int) bool {
		if !m.killed(last, "create", "--bundle", m.bundle.dir) {
			t.Error("create was not killed")
		}
		m.pod.wantDevices("eth0", "lo", "web", "x", "y")
		struck := m.killed(n, "delete", "--force")
		m.home()
		return struck
	})
}
