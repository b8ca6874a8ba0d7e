package netdev

import (
	"encoding/binary"
	"iter"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// routes lists those that lead through a device, alone or with others, and that the kernel does not make by itself:
// first those that others need to reach their gateways.
func (c *conn) routes(index int) ([]description, error) {
	var direct, others []description
	for _, family := range [...]int{unix.AF_INET, unix.AF_INET6} {
		which := &nl.RtMsg{RtMsg: unix.RtMsg{Family: uint8(family)}}
		all, err := c.list(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, which, number(unix.RTA_OIF, index))
		if err != nil {
			return nil, err
		}
		for _, r := range all {
			const protocol = 5 // in struct rtmsg
			if r.header[protocol] == unix.RTPROT_KERNEL {
				continue
			}
			r = r.input()
			if r.find(unix.RTA_GATEWAY) == nil && r.find(unix.RTA_VIA) == nil && r.find(unix.RTA_MULTIPATH) == nil {
				direct = append(direct, r)
			} else {
				others = append(others, r)
			}
		}
	}
	return append(direct, others...), nil
}

const attrNexthop = 30 // RTA_NH_ID

// input is the route as the kernel takes it, which is not quite as it tells of it. A nexthop object has gone with the
// device: the route names what that stood for.
func (d description) input() description {
	const flags, hopFlags = 8, 2 // in struct rtmsg and struct rtnexthop
	e := binary.NativeEndian
	e.PutUint32(d.header[flags:], e.Uint32(d.header[flags:])&unix.RTNH_F_ONLINK) // others tell of the link's state
	for hop := range hops(d.find(unix.RTA_MULTIPATH)) {
		hop[hopFlags] &= unix.RTNH_F_ONLINK
	}
	d.attributes = slices.DeleteFunc(d.attributes, func(a syscall.NetlinkRouteAttr) bool { return a.Attr.Type == attrNexthop })
	if seconds := d.expires(); seconds > 0 {
		return d.with(unix.RTA_EXPIRES, seconds)
	}
	return d
}

// hops are the members of a route's RTA_MULTIPATH.
func hops(multipath []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(multipath) >= unix.SizeofRtNexthop {
			size := int(binary.NativeEndian.Uint16(multipath))
			if size < unix.SizeofRtNexthop || size > len(multipath) || !yield(multipath[:size]) {
				return
			}
			const alignment = 4
			multipath = multipath[min((size+alignment-1)&^(alignment-1), len(multipath)):]
		}
	}
}

// expires tells in how many seconds a route does; 0 means never.
func (d description) expires() uint32 {
	const expires, ticks = 8, 100 // in struct rta_cacheinfo; in a second of the kernel's interface
	v := d.find(unix.RTA_CACHEINFO)
	if len(v) < expires+4 {
		return 0
	}
	left := int32(binary.NativeEndian.Uint32(v[expires:]))
	return uint32(max(left, 0)+ticks-1) / ticks
}

// partial tells of a route through several devices that the kernel keeps with those that are left.
func (d description) partial() bool {
	return d.kind == unix.RTM_NEWROUTE && d.family() == unix.AF_INET6 && d.find(unix.RTA_MULTIPATH) != nil
}
