package netdev

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Record is what another process has to know to bring devices back: [Move] passes it on before it touches them.
type Record struct {
	Host      Namespace        `json:"host"`
	Container Namespace        `json:"container"`
	Devices   []RecordedDevice `json:"devices"`
}

// Namespace identifies a network namespace.
type Namespace struct {
	// Paths are where it was found. By now another one may be there, or none.
	Paths  []string `json:"paths,omitempty"`
	Device uint64   `json:"device"`
	Inode  uint64   `json:"inode"`
}

// RecordedDevice is a device as it was on the host.
type RecordedDevice struct {
	Name    string `json:"name"`
	Index   int    `json:"index"`
	Master  int    `json:"master,omitempty"` // the index of the device whose port it is
	Up      bool   `json:"up,omitempty"`
	Transit string `json:"transit"`         // its name in the container's namespace until There is known
	There   int    `json:"there,omitempty"` // its index there
	// Addresses and Routes are messages of rtnetlink(7) that make them.
	Addresses [][]byte `json:"addresses,omitempty"`
	Routes    [][]byte `json:"routes,omitempty"`
}

func (m *Moved) record() (*Record, error) {
	r := &Record{}
	var err error
	if r.Host, err = m.host.identity(); err != nil {
		return nil, err
	}
	if r.Container, err = m.container.identity(); err != nil {
		return nil, err
	}
	r.Container.Paths = m.paths
	for _, d := range m.devices {
		r.Devices = append(r.Devices, RecordedDevice{
			Name: d.link.name, Index: d.index, Master: d.master, Up: d.up, Transit: d.transit, There: d.there,
			Addresses: serialize(d.addresses), Routes: serialize(d.routes),
		})
	}
	return r, nil
}

func serialize(all []description) [][]byte {
	var messages [][]byte
	for _, d := range all {
		messages = append(messages, d.Serialize())
	}
	return messages
}

// Return brings the devices back as [Moved.Return] does, wherever Move or an earlier Return was ended. A device that is
// not to be found any more is an error, after all others are back.
func (r *Record) Return() error {
	m, err := r.open()
	if err != nil {
		return fmt.Errorf("linux.netDevices: %w", err)
	}
	defer m.Close()
	var all []error
	for i := range r.Devices {
		all = append(all, about(r.Devices[i].Name, m.find(&r.Devices[i])))
	}
	return errors.Join(append(all, m.Return())...)
}

func (r *Record) open() (*Moved, error) {
	m := &Moved{paths: r.Container.Paths}
	var err error
	if m.host, err = dial("/proc/self/ns/net"); err != nil {
		return nil, err
	}
	if here, err := m.host.identity(); err != nil || !here.is(r.Host) {
		m.Close()
		return nil, errors.Join(errors.New("the devices stay: create was run in another network namespace than this"), err)
	}
	for _, path := range m.paths {
		c, err := dialIn(path)
		if err != nil {
			continue // it has ended, or been unmounted
		}
		if there, err := c.identity(); err == nil && there.is(r.Container) {
			m.container = c
			break
		}
		c.close()
	}
	return m, nil
}

// find finds out where a device is.
func (m *Moved) find(r *RecordedDevice) error {
	d := &device{
		link: link{index: r.Index, master: r.Master, name: r.Name, up: r.Up}, transit: r.Transit,
	}
	var err error
	if d.addresses, err = describe(unix.RTM_NEWADDR, r.Addresses); err != nil {
		return err
	}
	if d.routes, err = describe(unix.RTM_NEWROUTE, r.Routes); err != nil {
		return err
	}
	if d.there, err = m.away(r); err != nil {
		return err
	}
	if d.there == 0 {
		if err := m.host.recover(d.link); err != nil {
			return err
		}
		d.bare = true
	}
	m.devices = append(m.devices, d)
	return nil
}

// recover finds a device that is on the host, and gives it its name back. The kernel brings a physical one home when its
// namespace ends, but under the name that it has come to have, or another one.
func (c *conn) recover(was link) error {
	home, err := c.linkAt(was.index)
	if errors.Is(err, unix.ENODEV) || err == nil && home.name != was.name && home.up {
		return errors.New("it has ended with the container's network namespace, or somebody else has taken it on")
	}
	if err != nil || home.name == was.name {
		return err
	}
	if err := c.rename(was.index, was.name); err != nil {
		return fmt.Errorf("it is on the host as %s: rename it: %w", home.name, err)
	}
	return nil
}

// away finds the device in the container's namespace; 0 means that it is not there.
func (m *Moved) away(r *RecordedDevice) (index int, err error) {
	if m.container == nil {
		return 0, nil
	}
	var l link
	if r.There != 0 {
		l, err = m.container.linkAt(r.There)
	} else {
		l, err = m.container.link(r.Transit)
	}
	if errors.Is(err, unix.ENODEV) {
		return 0, nil
	}
	return l.index, err
}

func (c *conn) identity() (Namespace, error) {
	var st unix.Stat_t
	if err := unix.Fstat(c.namespace, &st); err != nil {
		return Namespace{}, os.NewSyscallError("fstat", err)
	}
	return Namespace{Device: st.Dev, Inode: st.Ino}, nil
}

func (n Namespace) is(other Namespace) bool {
	return n.Device == other.Device && n.Inode == other.Inode
}
