// Package netdev moves network devices of the host into a container's network namespace (linux.netDevices,
// config-linux.md#network-devices), and back where the container does not come to be. It alone speaks netlink.
//
// The kernel keeps a device's own attributes (addresses of the link layer, MTU, alias, alternative names) when it
// changes its namespace, and drops what the network layers had tied to it. Addresses and routes are therefore noted as
// the messages in which the kernel tells of them, and sent back to it as they are: nothing of them is lost by being
// understood.
package netdev

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// device is a device on its way.
type device struct {
	link                    // as it was on the host
	name      string        // in the container; maybe a template such as eth%d
	transit   string        // in the container until it has that
	there     int           // its index in the container
	bare      bool          // on the host again, but maybe without what it had there
	addresses []description // that it had on the host
	routes    []description // of the host that led through it
}

// Moved are devices in a container's network namespace. It keeps the namespace alive, whatever becomes of the
// container, until Close.
type Moved struct {
	paths           []string // of the container's namespace
	host, container *conn
	devices         []*device
}

// Move moves devices, which the keys name, to the network namespace at the paths, under the names that the values give
// them, and sets them up there. Nothing is touched before all of them are known to be movable. After an error, which
// names the device, all are back where they were.
//
// Whatever is about to be done is passed to note before, so that another process could undo it.
func Move(devices map[string]specs.LinuxNetDevice, namespace []string, note func(*Record) error) (*Moved, error) {
	m := &Moved{paths: namespace}
	err := m.open()
	if err == nil {
		err = m.checkAll(devices)
	}
	if err == nil {
		err = m.moveAll(note)
	}
	if err == nil {
		return m, nil
	}
	defer m.Close()
	if failed := m.Return(); failed != nil {
		err = fmt.Errorf("%w (and not undone: %w)", err, failed)
	}
	return nil, err
}

func about(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("linux.netDevices: %s: %w", name, err)
}

func (m *Moved) open() error {
	var err error
	if m.host, err = dial("/proc/self/ns/net"); err != nil {
		return fmt.Errorf("linux.netDevices: %w", err)
	}
	if m.container, err = dialIn(m.paths[0]); err != nil {
		return fmt.Errorf("linux.netDevices: %w", err)
	}
	return nil
}

func (m *Moved) checkAll(devices map[string]specs.LinuxNetDevice) error {
	var named, templates []string // a template takes what others leave of the names
	for _, key := range slices.Sorted(maps.Keys(devices)) {
		if template(devices[key].Name) {
			templates = append(templates, key)
		} else {
			named = append(named, key)
		}
	}
	for _, key := range append(named, templates...) {
		if err := m.check(key, devices[key].Name); err != nil {
			return about(key, err)
		}
	}
	return nil
}

// check finds a device on the host, what depends on it there, and whether it can be moved.
func (m *Moved) check(key, name string) error {
	l, err := m.host.link(key)
	if errors.Is(err, unix.ENODEV) {
		return errors.New("the host has no such device")
	}
	if err != nil {
		return err
	}
	if l.immutable {
		return errors.New("a device of its kind cannot change its network namespace")
	}
	if slices.ContainsFunc(m.devices, func(d *device) bool { return d.index == l.index }) {
		return errors.New("another entry names the same device")
	}
	if name == "" {
		name = l.name // not the key, which may be an alternative name
	}
	d := &device{link: l, name: name, transit: "skep" + strconv.FormatInt(int64(os.Getpid()), 36) + "." + strconv.Itoa(len(m.devices))}
	if d.addresses, err = m.host.addresses(d.index); err != nil {
		return fmt.Errorf("its addresses: %w", err)
	}
	if d.routes, err = m.host.routes(d.index); err != nil {
		return fmt.Errorf("its routes: %w", err)
	}
	m.devices = append(m.devices, d)
	if template(name) {
		return nil
	}
	switch _, err := m.container.link(name); {
	case err == nil:
		return taken(name)
	case errors.Is(err, unix.ENODEV):
		return nil
	default:
		return err
	}
}

func taken(name string) error {
	return fmt.Errorf("the container's network namespace has a device %s already", name)
}

// template reports whether the kernel is to choose a number, which it does where a name has a %d.
func template(name string) bool { return strings.Contains(name, "%d") }

// moveAll moves the devices under names that nobody else uses, and only then gives them their own: so they are found on
// the other side, where their indexes may be others and a template says nothing, by whoever finds the record.
func (m *Moved) moveAll(note func(*Record) error) error {
	for _, step := range [...]func(*device) error{m.move, m.adapt} {
		r, err := m.record()
		if err == nil {
			err = note(r)
		}
		if err != nil {
			return fmt.Errorf("linux.netDevices: %w", err)
		}
		for _, d := range m.devices {
			if err := step(d); err != nil {
				return about(d.link.name, err)
			}
		}
	}
	return nil
}

// move moves one device. One request renames and moves it, so that its name on the host hinders nobody.
func (m *Moved) move(d *device) error {
	if err := m.host.move(d.index, d.transit, m.container.namespace, 0); err != nil {
		return fmt.Errorf("move it to the container's network namespace: %w", err)
	}
	l, err := m.container.link(d.transit)
	d.there = l.index
	return err
}

// adapt gives a device what it is to have in the container.
func (m *Moved) adapt(d *device) error {
	switch err := m.container.rename(d.there, d.name); {
	case errors.Is(err, unix.EEXIST):
		return taken(d.name)
	case err != nil:
		return fmt.Errorf("rename it to %s: %w", d.name, err)
	}
	return m.settle(d)
}

// settle sets the device up and gives it the addresses that go with it, in this order: the kernel makes the routes to
// IPv6 neighbours of a device that is up only. Addresses of a narrower scope belong to the host's link, and those that
// expire to whoever manages them there.
func (m *Moved) settle(d *device) error {
	l, err := m.container.linkAt(d.there)
	if err != nil {
		return err
	}
	if err := m.container.setUp(d.there); err != nil {
		return fmt.Errorf("set it up: %w", err)
	}
	for _, a := range d.addresses {
		if !a.permanent() || a.scope() != unix.RT_SCOPE_UNIVERSE {
			continue
		}
		if err := m.container.assign(a.on(d.there).relabel(d.link.name, l.name)); err != nil {
			return fmt.Errorf("give it the address %s: %w", a, err)
		}
	}
	return nil
}

// Return brings all devices back to the host, with what they had there, the last one first. What else the host had
// tied to them, such as queueing disciplines, nexthop objects and the settings of a bridge's port, the kernel has
// dropped for good.
func (m *Moved) Return() error {
	if !slices.ContainsFunc(m.devices, (*device).away) {
		return nil
	}
	var all []error
	for _, d := range slices.Backward(m.devices) {
		if d.away() {
			all = append(all, about(d.link.name, m.giveBack(d)))
		}
	}
	// A route may have another device's address as its source: it goes with that, and cannot come back before it.
	for _, d := range m.devices {
		for _, r := range d.routes {
			all = append(all, about(d.link.name, restored(r, m.host.add(r))))
		}
	}
	return errors.Join(all...)
}

// away tells whether the device has to be brought back, or at least what it had on the host.
func (d *device) away() bool { return d.there != 0 || d.bare }

func (m *Moved) giveBack(d *device) error {
	if d.there != 0 {
		if err := m.container.move(d.there, d.link.name, m.host.namespace, d.index); err != nil {
			return fmt.Errorf("move it back to the host: %w", err)
		}
	}
	d.there, d.bare = 0, false
	var all []error
	if d.master != 0 {
		if err := m.host.setMaster(d.index, d.master); err != nil {
			all = append(all, fmt.Errorf("make it a port of device %d again: %w", d.master, err))
		}
	}
	if d.up {
		if err := m.host.setUp(d.index); err != nil {
			all = append(all, fmt.Errorf("set it up: %w", err))
		}
	}
	for _, a := range d.addresses {
		if !a.temporary() { // those the kernel makes by itself
			all = append(all, restored(a, m.host.assign(a)))
		}
	}
	return errors.Join(all...)
}

// restored explains why an address or a route is not on the host again. That the kernel has been faster is no error.
func restored(what description, err error) error {
	if err == nil || errors.Is(err, unix.EEXIST) {
		return nil
	}
	return fmt.Errorf("restore %s: %w", what, err)
}

// Close leaves the devices where they are.
func (m *Moved) Close() {
	m.host.close()
	m.container.close()
}
