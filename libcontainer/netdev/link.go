package netdev

import (
	"encoding/binary"
	"errors"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// link is what skep wants to know of a device.
type link struct {
	index, master int // master is 0 where it is no port of another
	name          string
	up            bool
	immutable     bool // cannot change its namespace; only a kernel since 6.15 says so, older ones fail to move it
}

const attrNetnsImmutable = 67 // IFLA_NETNS_IMMUTABLE

// link finds a device by its name or an alternative name; ENODEV means that there is none.
func (c *conn) link(name string) (link, error) {
	return c.find(nl.NewIfInfomsg(unix.AF_UNSPEC), named(name))
}

func (c *conn) linkAt(index int) (link, error) { return c.find(at(index)) }

func (c *conn) find(which ...nl.NetlinkRequestData) (link, error) {
	answers, err := c.request(unix.RTM_GETLINK, 0, which...)
	if err != nil {
		return link{}, err
	}
	if len(answers) != 1 || len(answers[0]) < unix.SizeofIfInfomsg {
		return link{}, errors.New("netlink: malformed answer")
	}
	e, raw := binary.NativeEndian, answers[0]
	l := link{index: int(int32(e.Uint32(raw[4:]))), up: e.Uint32(raw[8:])&unix.IFF_UP != 0}
	attributes, err := nl.ParseRouteAttr(raw[unix.SizeofIfInfomsg:])
	for _, a := range attributes {
		switch {
		case a.Attr.Type == unix.IFLA_IFNAME:
			l.name = unix.ByteSliceToString(a.Value)
		case a.Attr.Type == unix.IFLA_MASTER && len(a.Value) >= 4:
			l.master = int(e.Uint32(a.Value))
		case a.Attr.Type == attrNetnsImmutable && len(a.Value) > 0:
			l.immutable = a.Value[0] != 0
		}
	}
	return l, err
}

// at names the device of an index.
func at(index int) *nl.IfInfomsg {
	message := nl.NewIfInfomsg(unix.AF_UNSPEC)
	message.Index = int32(index)
	return message
}

func named(name string) *nl.RtAttr {
	return nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name))
}

func number(attribute, value int) *nl.RtAttr {
	return nl.NewRtAttr(attribute, nl.Uint32Attr(uint32(value)))
}

// move moves a device to another namespace and renames it. The index that it is to get there may be left to the
// kernel (0), which keeps the one that it has where that is free; before 5.13 it always does that.
func (c *conn) move(index int, name string, namespace, newIndex int) error {
	parts := []nl.NetlinkRequestData{
		at(index), named(name), number(unix.IFLA_NET_NS_FD, namespace),
	}
	if newIndex != 0 {
		parts = append(parts, number(unix.IFLA_NEW_IFINDEX, newIndex))
	}
	return c.change(unix.RTM_NEWLINK, 0, parts...)
}

// rename renames a device that is down. EEXIST means that the name is taken.
func (c *conn) rename(index int, name string) error {
	return c.change(unix.RTM_NEWLINK, 0, at(index), named(name))
}

func (c *conn) setUp(index int) error {
	message := at(index)
	message.Flags, message.Change = unix.IFF_UP, unix.IFF_UP
	return c.change(unix.RTM_NEWLINK, 0, message)
}

func (c *conn) setMaster(index, master int) error {
	return c.change(unix.RTM_NEWLINK, 0, at(index), number(unix.IFLA_MASTER, master))
}
