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
	there     int           // its index in the container
	addresses []description // that it had on the host
	routes    []description // of the host that led through it
}

// Moved are devices in a container's network namespace. It keeps the namespace alive, whatever becomes of the
// container, until Close.
type Moved struct {
	host, container *conn
	devices         []*device
}

// Move moves devices, which the keys name, to the network namespace at a path, under the names that the values give
// them, and sets them up there. Nothing is touched before all of them are known to be movable. After an error, which
// names the device, all are back where they were.
func Move(devices map[string]specs.LinuxNetDevice, namespace string) (*Moved, error) {
	m := &Moved{}
	err := m.open(namespace)
	for _, key := range slices.Sorted(maps.Keys(devices)) {
		if err == nil {
			err = about(key, m.check(key, devices[key].Name))
		}
	}
	for i, d := range m.devices {
		if err == nil {
			err = about(d.link.name, m.move(d, i))
		}
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

func (m *Moved) open(namespace string) error {
	var err error
	if m.host, err = dial("/proc/self/ns/net"); err != nil {
		return fmt.Errorf("linux.netDevices: %w", err)
	}
	if m.container, err = dialIn(namespace); err != nil {
		return fmt.Errorf("linux.netDevices: %w", err)
	}
	return nil
}

// check finds a device on the host, and whether it can be moved.
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
	if name == "" {
		name = l.name // not the key, which may be an alternative name
	}
	m.devices = append(m.devices, &device{link: l, name: name})
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

// move moves one device. Under a name of its own it is found on the other side, where its index may be another and a
// template says nothing; one request gives it that name and moves it, so that its name on the host hinders nobody.
func (m *Moved) move(d *device, i int) error {
	var err error
	if d.addresses, err = m.host.addresses(d.index); err != nil {
		return fmt.Errorf("its addresses: %w", err)
	}
	if d.routes, err = m.host.routes(d.index); err != nil {
		return fmt.Errorf("its routes: %w", err)
	}
	transit := "skep" + strconv.FormatInt(int64(os.Getpid()), 36) + "." + strconv.Itoa(i)
	if err := m.host.move(d.index, transit, m.container.namespace, 0); err != nil {
		return fmt.Errorf("move it to the container's network namespace: %w", err)
	}
	l, err := m.container.link(transit)
	if err != nil {
		return err
	}
	d.there = l.index
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
		if err := m.container.add(a.on(d.there).relabel(d.link.name, l.name)); err != nil {
			return fmt.Errorf("give it the address %s: %w", a, err)
		}
	}
	return nil
}

// Return brings all devices back to the host, with what they had there, the last one first.
func (m *Moved) Return() error {
	var all []error
	for _, d := range slices.Backward(m.devices) {
		if d.there != 0 {
			all = append(all, about(d.link.name, m.giveBack(d)))
			d.there = 0
		}
	}
	return errors.Join(all...)
}

func (m *Moved) giveBack(d *device) error {
	if err := m.container.move(d.there, d.link.name, m.host.namespace, d.index); err != nil {
		return fmt.Errorf("move it back to the host: %w", err)
	}
	if d.master != 0 {
		if err := m.host.setMaster(d.index, d.master); err != nil {
			return fmt.Errorf("make it a port of device %d again: %w", d.master, err)
		}
	}
	again := func(what description) error {
		if err := m.host.add(what); err != nil && !errors.Is(err, unix.EEXIST) { // the kernel may have been faster
			return fmt.Errorf("restore %s: %w", what, err)
		}
		return nil
	}
	var all []error
	if d.up {
		all = append(all, m.host.setUp(d.index))
	}
	for _, a := range d.addresses {
		if !a.temporary() { // those the kernel makes by itself
			all = append(all, again(a))
		}
	}
	for _, r := range d.routes {
		all = append(all, again(r))
	}
	return errors.Join(all...)
}

// Close leaves the devices where they are.
func (m *Moved) Close() {
	m.host.close()
	m.container.close()
}
