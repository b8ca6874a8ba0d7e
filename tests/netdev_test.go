package tests

import (
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// network is a network namespace, which stands for that of a host or a pod.
type network struct {
	t   *testing.T
	pid int // of a process in it
}

// newNetwork makes one and runs a script in it. Duplicate addresses need not be waited for there.
func newNetwork(t *testing.T, script string) network {
	t.Helper()
	n := network{t, holder(t, unix.CLONE_NEWNET, nil)}
	n.sh("ip link set lo up; sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0;" + script)
	eventually(t, "what is up has a carrier and its own address", func() bool { // which the kernel gives it in its own time
		addresses := n.sh("ip -6 addr; ip -6 route show table local")
		for line := range strings.Lines(n.sh("ip -o link")) {
			if !strings.Contains(line, ",UP") || strings.Contains(line, "LOOPBACK") {
				continue
			}
			name, _, _ := strings.Cut(strings.Fields(line)[1], "@")
			own := regexp.MustCompile(`local fe80::\S+ dev ` + strings.TrimSuffix(name, ":") + " ")
			if !strings.Contains(line, "state UP") || !own.MatchString(addresses) {
				return false
			}
		}
		return !strings.Contains(addresses, "tentative")
	})
	return n
}

// inside runs a command in the network.
func (n network) inside() []string { return []string{"nsenter", "--net=" + procPath(n.pid, "ns/net")} }

func (n network) sh(script string) string {
	n.t.Helper()
	line := append(n.inside(), "sh", "-ec", script)
	cmd := exec.Command(line[0], line[1:]...)
	out, err := childOutput(cmd)
	if err != nil {
		n.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}

// look is what iproute2 tells of devices, addresses and routes, but for how long they are to last, and for nexthop
// objects, which go with their device.
func (n network) look() string {
	n.t.Helper()
	text := n.sh("ip addr; ip link; ip route show table all | sed 's/nhid [0-9]* //' | sort")
	return lifetime.ReplaceAllString(text, "some time")
}

var lifetime = regexp.MustCompile(`\d+sec`)

// devices lists the names of the devices.
func (n network) devices() []string {
	n.t.Helper()
	names := strings.Fields(n.sh("ip -o link | cut -d: -f2 | cut -d@ -f1"))
	slices.Sort(names)
	return names
}

func (n network) wantDevices(names ...string) {
	n.t.Helper()
	if got := n.devices(); !slices.Equal(got, names) {
		n.t.Errorf("devices %q, want %q", got, names)
	}
}

// create makes a container as if the network were the host's.
func (n network) create(r *ociRuntime, b bundle) *container {
	n.t.Helper()
	return r.make(b, call{wrap: n.inside(), args: []string{"create"}})
}

// refuse wants create to fail and to leave the network as it was.
func (n network) refuse(r *ociRuntime, b bundle, want ...string) {
	n.t.Helper()
	before := n.look()
	defer func() {
		if n.t.Failed() {
			n.t.Logf("before:\n%s\nafter:\n%s", before, n.look())
		}
	}()
	r.refuse(call{wrap: n.inside(), args: []string{"create", "--bundle", b.dir, r.id()}}, want...)
	eventually(n.t, "the host's network is as it was", func() bool { return n.look() == before })
}

// netDevices are pairs of a name on the host and one in the container.
func netDevices(names ...string) edit {
	return linux(func(l *specs.Linux) {
		l.NetDevices = map[string]specs.LinuxNetDevice{}
		for pair := range slices.Chunk(names, 2) {
			l.NetDevices[pair[0]] = specs.LinuxNetDevice{Name: pair[1]}
		}
	})
}

// dressed is a device with one of everything.
const dressed = `ip link add a0 type veth peer name a1
ip link set a1 up
ip link set a0 up mtu 1400 address 02:11:22:33:44:55 txqueuelen 77 alias "the uplink"
ip link property add dev a0 altname uplink-of-this-host altname uplink
ip addr add 10.1.0.1/24 broadcast 10.1.0.255 label a0:one metric 50 dev a0
ip addr add 10.1.0.2/24 dev a0
ip addr add 10.2.0.1 peer 10.2.0.2/32 dev a0
ip addr add 2001:db8::1/64 nodad noprefixroute dev a0
ip addr add 2001:db8:1::1 peer 2001:db8:1::2 nodad dev a0
ip addr add 169.254.7.7/16 scope link dev a0
ip addr add 10.3.0.1/24 valid_lft 3000 preferred_lft 2000 dev a0
`

// NETD-01 NETD-02 NETD-06 NETD-07 NETD-08 NETD-09 NETD-10
func TestNetDevice(t *testing.T) {
	pod := holder(t, unix.CLONE_NEWNET, nil)
	for name, edits := range map[string][]edit{
		"new namespace":    {},
		"joined namespace": {namespace(specs.NetworkNamespace, procPath(pod, "ns/net"))},
		"user namespace":   {userNamespace()},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRuntime(t)
			host := newNetwork(t, dressed)
			before := host.sh("ip -d link show a0")
			b := newBundle(t, append(edits, netDevices("a0", "web0"), args("/bin/sh", "-c", "ls /sys/class/net; cat /sys/class/net/web0/mtu; ip link show web0; exec sleep 1000"))...)
			b.chown(100_000, 100_000)
			c := host.create(r, b)
			host.wantDevices("a1", "lo")
			inner := network{t, c.pid}
			inner.wantDevices("lo", "web0")
			want := strings.Replace(strings.SplitN(before, ": ", 2)[1], "a0@a1:", "web0@if", 1)
			got := strings.SplitN(inner.sh("ip -d link show web0"), ": ", 2)[1]
			for _, part := range []string{"mtu 1400", "02:11:22:33:44:55", "alias the uplink", "altname uplink-of-this-host", "qlen 77", "addrgenmode eui64"} {
				if !strings.Contains(want, part) || !strings.Contains(got, part) {
					t.Errorf("%s is lost:\n%s\n%s", part, want, got)
				}
			}
			if !strings.Contains(got, ",UP") {
				t.Errorf("not up: %s", got)
			}
			wantAddresses(t, inner)
			c.start()
			eventually(t, "output", func() bool { return strings.Contains(c.made.later(t), "UP,LOWER_UP") })
			wantLines(t, strings.Join(strings.Fields(c.made.later(t))[:3], "\n"), "lo", "web0", "1400")
			c.stop()
			c.delete()
			if name != "joined namespace" {
				eventually(t, "the devices are gone with the namespace", func() bool { return slices.Equal(host.devices(), []string{"lo"}) })
				return
			}
			network{t, pod}.wantDevices("lo", "web0")
		})
	}
}

// wantAddresses wants those of the dressed device that go with it.
func wantAddresses(t *testing.T, n network) {
	t.Helper()
	var got []string
	for line := range strings.Lines(n.sh("ip -o addr show dev web0 scope global")) {
		_, address, _ := strings.Cut(line, "web0 ")
		got = append(got, strings.Join(strings.Fields(address), " "))
	}
	want := []string{
		`inet 10.1.0.1/24 metric 50 brd 10.1.0.255 scope global web0:one\ valid_lft forever preferred_lft forever`,
		`inet 10.2.0.1 peer 10.2.0.2/32 scope global web0\ valid_lft forever preferred_lft forever`,
		`inet 10.1.0.2/24 scope global secondary web0\ valid_lft forever preferred_lft forever`,
		`inet6 2001:db8:1::1 peer 2001:db8:1::2/128 scope global nodad \ valid_lft forever preferred_lft forever`,
		`inet6 2001:db8::1/64 scope global nodad noprefixroute \ valid_lft forever preferred_lft forever`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("addresses\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if all := n.sh("ip addr"); strings.Contains(all, "169.254.7.7") || strings.Contains(all, "10.3.0.1") {
		t.Errorf("an address of the link or one that expires has come along: %s", all)
	}
	if routes := n.sh("ip route; ip -6 route"); !strings.Contains(routes, "10.1.0.0/24 dev web0") || !strings.Contains(routes, "2001:db8:1::2 dev web0") {
		t.Errorf("the routes to the neighbours are missing: %s", routes)
	}
}

// NETD-02 NETD-05 NETD-11: names that are taken on one side only, indexes that are taken on the other, templates.
func TestNetDeviceNames(t *testing.T) {
	r := newRuntime(t)
	pod := newNetwork(t, "ip link add eth0 type veth peer name a2; ip link add a3 type veth peer name x")
	host := newNetwork(t, "ip link add a0 type veth peer name a1; ip link add a2 type veth peer name a3")
	join := namespace(specs.NetworkNamespace, procPath(pod.pid, "ns/net"))
	if res := r.do("plan", "--bundle", newBundle(t, join, netDevices("a0", "eth%d", "a3", "")).dir); !strings.Contains(res.stdout, "  move  a0 → eth%d\n  move  a3 → a3\n") {
		t.Errorf("plan: %s%s", res.stdout, res.stderr)
	}
	c := host.create(r, newBundle(t, join, netDevices("a0", "eth%d", "a1", "", "a2", "eth%d", "a3", "eth1")))
	host.wantDevices("lo")
	pod.wantDevices("a1", "a2", "a3", "eth0", "eth1", "eth2", "eth3", "lo", "x")
	c.delete()
	pod.wantDevices("a1", "a2", "a3", "eth0", "eth1", "eth2", "eth3", "lo", "x")
}

// NETD-01 NETD-03 NETD-04 NETD-11 NETD-12: what cannot be moved is left alone, and so is the rest.
func TestNetDeviceRefused(t *testing.T) {
	r := newRuntime(t)
	host := newNetwork(t, dressed+"ip link add br0 type bridge; ip link add b0 type veth peer name b1; ip route add default via 10.1.0.9")
	pod := newNetwork(t, "ip link add eth0 type veth peer name eth1; ip link property add dev eth0 altname second-name")
	join := namespace(specs.NetworkNamespace, procPath(pod.pid, "ns/net"))
	for _, test := range []struct {
		edits []edit
		want  []string
	}{
		{[]edit{netDevices("a0", "", "nosuch", "")}, []string{"linux.netDevices: nosuch:", "no such device"}},
		{[]edit{netDevices("a0", "", "b0", "lo")}, []string{"linux.netDevices: b0:", "has a device lo already"}},
		{[]edit{netDevices("a0", "", "lo", "x")}, []string{"linux.netDevices: lo:"}},
		{[]edit{join, netDevices("a0", "eth2", "b0", "eth1")}, []string{"linux.netDevices: b0:", "has a device eth1 already"}},
		{[]edit{join, netDevices("a0", "eth2", "b0", "second-name")}, []string{"linux.netDevices: b0:", "has a device second-name already"}},
		{[]edit{netDevices("a0", "", "br0", "")}, []string{"linux.netDevices: br0:"}},
		{[]edit{netDevices("a0", "x", "uplink", "y")}, []string{"linux.netDevices: uplink: another entry names the same device"}},
		{[]edit{netDevices("a0", "x%dy%d")}, []string{"linux.netDevices.a0.name"}},
		{[]edit{namespace(specs.NetworkNamespace, procPath(host.pid, "ns/net")), netDevices("a0", "x")}, []string{"linux.namespaces[", "runtime's own network namespace", "linux.netDevices"}},
		{[]edit{without(specs.NetworkNamespace), netDevices("a0", "x")}, []string{"linux.netDevices: moving devices needs a network namespace"}},
	} {
		host.refuse(r, newBundle(t, test.edits...), test.want...)
		pod.wantDevices("eth0", "eth1", "lo")
	}
}

// NETD-11 ERR-01: devices that have been moved are brought back, with all that the host had tied to them.
func TestNetDeviceBroughtBack(t *testing.T) {
	r := newRuntime(t)
	host := newNetwork(t, dressed+`ip link add br0 type bridge; ip link set br0 up
ip link add b0 type veth peer name b1; ip link set b1 up; ip link set b0 master br0 up
ip link add d0 type veth peer name d1; ip addr add 10.8.0.1/24 dev d0
ip link add e0 type veth peer name e1; ip addr add 2001:db8:2::1/64 nodad dev e0; ip link set e1 up; ip link set e0 up
ip route add 10.7.0.0/16 via 10.9.0.1 dev a0 onlink
ip route add default via 10.1.0.9 metric 7
ip route add default via 10.1.0.8 table 200
ip route add 10.6.0.0/16 dev a0 scope link src 10.1.0.2
ip route add 10.5.0.0/16 dev e0 scope link src 10.1.0.1
ip -6 route add 2001:db8:9::/48 dev a0
ip -6 route add default via 2001:db8:9::1 dev a0 metric 30
ip -6 route add 2001:db8:a::/48 dev a0 expires 3000
ip route add 10.4.0.0/16 nexthop via 10.1.0.9 dev a0 weight 2 nexthop dev e0
ip -6 route add 2001:db8:b::/48 nexthop via 2001:db8:9::1 dev a0 nexthop via 2001:db8:2::9 dev e0
ip nexthop add id 7 via 10.1.0.9 dev a0
ip route add 10.10.0.0/16 nhid 7
`)
	pod := newNetwork(t, "sysctl -qw net.ipv6.conf.default.disable_ipv6=1; ip link add x type veth peer name y")
	all := netDevices("a0", "eth%d", "b0", "eth%d", "d0", "eth%d", "e0", "eth%d")
	join := namespace(specs.NetworkNamespace, procPath(pod.pid, "ns/net"))
	for _, test := range []struct {
		edits []edit
		want  []string
	}{
		// The namespace has no IPv6, so that addresses cannot be kept.
		{[]edit{join, all}, []string{"linux.netDevices: a0: give it the address 2001:db8"}},
		{[]edit{join, netDevices("b0", "b", "d0", "", "e0", "")}, []string{"linux.netDevices: e0: give it the address 2001:db8:2::1/64"}},
		// Others fail when the devices have long been moved; here the namespace dies with init.
		{[]edit{all, args("/nosuch")}, []string{"/nosuch"}},
		{[]edit{all, userNamespace(), mounts(specs.Mount{Destination: "/x", Type: "nosuchfs", Source: "x"})}, []string{"mounts["}},
		{[]edit{join, netDevices("b0", "new"), args("/nosuch")}, []string{"/nosuch"}},
	} {
		host.refuse(r, newBundle(t, test.edits...), test.want...)
		pod.wantDevices("lo", "x", "y")
	}
}

// NETD-06: what was nobody else's address on the host is to be bound to at once in the container.
func TestNetDeviceAddressUsable(t *testing.T) {
	r := newRuntime(t)
	host := newNetwork(t, "ip link add a0 type veth peer name a1; ip link set a1 up; ip link set a0 up; ip addr add 2001:db8::1/64 dev a0")
	c := host.create(r, newBundle(t, netDevices("a0", "")))
	inside := network{t, c.pid}
	if got := inside.sh("ip -6 -o addr show dev a0 scope global | cut -d' ' -f6-; ip -6 route show dev a0 2001:db8::/64"); !strings.HasPrefix(got,
		"inet6 2001:db8::1/64 scope global \\ ") || !strings.Contains(got, "2001:db8::/64 proto kernel") {
		t.Errorf("the address is %s", got)
	}
	c.delete()
}

// NETD-11 OPD-08: a physical device outlives its namespace, and comes back from there under the name that it had, or
// another one. A veth that is moved by hand stands for it.
func TestNetDeviceRenamed(t *testing.T) {
	r := newRuntime(t)
	host := newNetwork(t, dressed+"ip route add default via 10.1.0.9")
	pod := newNetwork(t, "")
	before := host.look()
	b := newBundle(t, namespace(specs.NetworkNamespace, procPath(pod.pid, "ns/net")), netDevices("a0", "eth0"))
	addHooks(b, hookLists()[1], shHook("kill -KILL $PPID"))
	id := r.id()
	if res := r.call(call{wrap: host.inside(), args: []string{"create", "--bundle", b.dir, id}}); res.code == 0 {
		t.Fatal("create was not killed")
	}
	pod.sh("ip link set eth0 down; ip link set eth0 name dev7 netns " + strconv.Itoa(host.pid))
	host.wantDevices("a1", "dev7", "lo")
	res := r.call(call{wrap: host.inside(), args: []string{"delete", "--force", id}})
	if res.code != 0 || res.stderr != "" {
		t.Errorf("delete: exit %d, %s", res.code, res.stderr)
	}
	eventually(t, "the host's network is as it was", func() bool { return host.look() == before })
}
