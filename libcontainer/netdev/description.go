package netdev

import (
	"encoding/binary"
	"net"
	"slices"
	"strconv"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// description is an address or a route in the kernel's words: a message of rtnetlink(7) that tells of it, and that
// makes it when it is sent.
type description struct {
	kind       int    // RTM_NEW*
	header     []byte // struct ifaddrmsg or rtmsg
	attributes []syscall.NetlinkRouteAttr
}

// describe takes messages apart.
func describe(kind int, messages [][]byte) (all []description, err error) {
	size := unix.SizeofIfAddrmsg
	if kind == unix.RTM_NEWROUTE {
		size = unix.SizeofRtMsg
	}
	for _, raw := range messages {
		if len(raw) < size {
			return nil, unix.EBADMSG
		}
		attributes, err := nl.ParseRouteAttr(raw[size:])
		if err != nil {
			return nil, err
		}
		all = append(all, description{kind, raw[:size], attributes})
	}
	return all, nil
}

func (d description) find(attribute uint16) []byte {
	for _, a := range d.attributes {
		if a.Attr.Type == attribute {
			return a.Value
		}
	}
	return nil
}

// with adds an attribute.
func (d description) with(attribute uint16, value uint32) description {
	a := syscall.NetlinkRouteAttr{Value: nl.Uint32Attr(value)}
	a.Attr.Type = attribute
	d.attributes = append(d.attributes, a)
	return d
}

// Len is the length of Serialize's result.
func (d description) Len() int { return len(d.Serialize()) }

// Serialize returns the message without its netlink header.
func (d description) Serialize() []byte {
	message := slices.Clone(d.header)
	for _, a := range d.attributes {
		message = append(message, nl.NewRtAttr(int(a.Attr.Type), a.Value).Serialize()...)
	}
	return message
}

// String is the address, or the destination of the route.
func (d description) String() string {
	attribute := uint16(unix.IFA_LOCAL)
	if d.kind == unix.RTM_NEWROUTE {
		attribute = unix.RTA_DST
	}
	ip := d.find(attribute)
	if ip == nil && d.kind == unix.RTM_NEWADDR {
		ip = d.find(unix.IFA_ADDRESS)
	}
	text := "default"
	if ip != nil {
		text = net.IP(ip).String() + "/" + strconv.Itoa(int(d.header[1]))
	}
	if d.kind == unix.RTM_NEWROUTE {
		return "the route to " + text
	}
	return text
}

// add makes what is described, if it is not there.
func (c *conn) add(d description) error {
	unless := unix.NLM_F_EXCL
	if d.partial() {
		unless = unix.NLM_F_REPLACE
	}
	return c.change(d.kind, unix.NLM_F_CREATE|unless, d)
}

// addresses lists those of a device, of every family, in an order in which adding them gives the same list again: the
// kernel puts new IPv6 addresses first.
func (c *conn) addresses(index int) ([]description, error) {
	which := nl.NewIfAddrmsg(unix.AF_UNSPEC)
	which.Index = uint32(index)
	list, err := c.list(unix.RTM_GETADDR, unix.RTM_NEWADDR, which)
	var all, v6 []description
	for _, a := range list {
		if a.family() == unix.AF_INET6 {
			v6 = append(v6, a)
		} else {
			all = append(all, a)
		}
	}
	slices.Reverse(v6)
	return append(all, v6...), err
}

func (c *conn) list(get, kind int, which ...nl.NetlinkRequestData) ([]description, error) {
	answers, err := c.dump(get, which...)
	if err != nil {
		return nil, err
	}
	return describe(kind, answers)
}

// Of an address:

func (d description) flags() uint32 {
	if v := d.find(unix.IFA_FLAGS); len(v) >= 4 {
		return binary.NativeEndian.Uint32(v)
	}
	return uint32(d.header[2])
}

func (d description) family() int     { return int(d.header[0]) }
func (d description) scope() int      { return int(d.header[3]) }
func (d description) permanent() bool { return d.flags()&unix.IFA_F_PERMANENT != 0 }

// temporary means made by the kernel for privacy (RFC 8981), of which there are IPv6 ones alone: the bit says
// secondary of others.
func (d description) temporary() bool {
	return d.family() == unix.AF_INET6 && d.flags()&unix.IFA_F_TEMPORARY != 0
}

// assign adds an address. An IPv6 one that the device has had to itself on its link is not checked for another owner
// once more: for a second or longer no program could bind to it. The flag that says so does not stay.
func (c *conn) assign(a description) error {
	const unchecked = unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED | unix.IFA_F_NODAD
	if a.family() != unix.AF_INET6 || a.flags()&unchecked != 0 {
		return c.add(a)
	}
	if err := c.add(a.flagged(a.flags() | unix.IFA_F_NODAD)); err != nil {
		return err
	}
	return c.change(a.kind, unix.NLM_F_REPLACE, a)
}

// flagged is the address with other flags.
func (d description) flagged(flags uint32) description {
	d.attributes = slices.DeleteFunc(slices.Clone(d.attributes), func(a syscall.NetlinkRouteAttr) bool { return a.Attr.Type == unix.IFA_FLAGS })
	return d.with(unix.IFA_FLAGS, flags)
}

// on is the address on another device.
func (d description) on(index int) description {
	d.header = slices.Clone(d.header)
	binary.NativeEndian.PutUint32(d.header[4:], uint32(index))
	return d
}

// relabel lets the label of an IPv4 address begin with the device's new name, as the kernel does for a rename.
func (d description) relabel(from, to string) description {
	d.attributes = slices.Clone(d.attributes)
	for i, a := range d.attributes {
		if a.Attr.Type != unix.IFA_LABEL {
			continue
		}
		label := unix.ByteSliceToString(a.Value)
		if len(label) >= len(from) && label[:len(from)] == from {
			label = to + label[len(from):]
		}
		d.attributes[i].Value = nl.ZeroTerminated(label[:min(len(label), unix.IFNAMSIZ-1)])
	}
	return d
}
