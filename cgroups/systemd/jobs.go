package systemd

import (
	"errors"
	"fmt"
	"slices"

	"github.com/godbus/dbus/v5"
)

// ErrNotMade means that there is no unit of ours: it was refused, or one of
// that name is somebody else's.
var ErrNotMade = errors.New("the unit was not made")

// notMade is an ErrNotMade that says why.
type notMade struct{ error }

func (e notMade) Unwrap() []error { return []error{e.error, ErrNotMade} }

// Names of systemd's errors, and of the bus's where systemd leaves it.
const (
	noReply    = "org.freedesktop.DBus.Error.NoReply"
	unitExists = service + ".UnitExists"
	noSuchUnit = service + ".NoSuchUnit"
	notLoaded  = service + ".UnitNotLoaded" // what some versions say for it
)

// Start makes the unit and waits until it runs; a scope has the process pid in
// it then. The properties come after those that every container has, and in
// their place where the names are the same. After ErrNotMade there is nothing
// to be stopped.
func (m *Manager) Start(u Unit, id string, pid int, props []Property) error {
	all := override(m.basics(u, id, pid), props)
	if err := m.listen(u.Name); err != nil {
		return notMade{err}
	}
	var job dbus.ObjectPath
	start := func() error {
		return m.call("StartTransientUnit", []any{u.Name, "replace", all, []auxiliary{}}, &job)
	}
	err := start()
	if is(err, unitExists) {
		// A failed unit that nobody has looked at stays until it is reset.
		if m.call("ResetFailedUnit", []any{u.Name}) == nil {
			err = start()
		}
	}
	var refused dbus.Error
	switch {
	case errors.As(err, &refused) && refused.Name != noReply:
		return notMade{m.explain("start "+u.Name, err)}
	case err != nil: // nobody knows what has become of it
		return m.explain("start "+u.Name, err)
	}
	return m.await("start "+u.Name, job)
}

// auxiliary is a unit that systemd would make along with another one.
type auxiliary struct {
	Name       string
	Properties []Property
}

// basics are the properties that do not follow from the configuration.
func (m *Manager) basics(u Unit, id string, pid int) []Property {
	props := []Property{
		property("Description", "skep container "+id),
		property("DefaultDependencies", false), // not stopped before everything else at shutdown
		property("CollectMode", "inactive-or-failed"),
		property("MemoryAccounting", true),
		property("CPUAccounting", true),
		property("IOAccounting", true),
		property("TasksAccounting", true),
		property("TasksMax", unlimited), // else DefaultTasksMax= of systemd limits who asks for no limit
	}
	if u.IsSlice() {
		return append(props, property("Wants", []string{u.Slice}))
	}
	return append(props,
		property("Slice", u.Slice),
		property("Delegate", true), // systemd keeps its hands off what is below
		property("PIDs", []uint32{uint32(pid)}),
	)
}

// override adds properties, replacing those of the same name.
func override(props, more []Property) []Property {
	for _, p := range more {
		props = slices.DeleteFunc(props, func(old Property) bool { return old.Name == p.Name })
	}
	return append(props, more...)
}

// Stop ends the unit and has systemd forget it. That there is none is no error.
func (m *Manager) Stop(name string) error {
	if err := m.listen(name); err != nil {
		return err
	}
	var job dbus.ObjectPath
	err := m.call("StopUnit", []any{name, "replace"}, &job)
	switch {
	case is(err, noSuchUnit), is(err, notLoaded):
		return nil
	case err != nil:
		return m.explain("stop "+name, err)
	}
	if err := m.await("stop "+name, job); err != nil {
		return err
	}
	// Mostly there is nothing left to be reset.
	_ = m.call("ResetFailedUnit", []any{name})
	return nil
}

// Set changes properties of a unit until it ends.
func (m *Manager) Set(name string, props []Property) error {
	if len(props) == 0 {
		return nil
	}
	const runtime = true
	if err := m.call("SetUnitProperties", []any{name, runtime, props}); err != nil {
		return m.explain("set properties of "+name, err)
	}
	return nil
}

// Attach moves a process of the own user into the unit, or into a cgroup below
// it.
func (m *Manager) Attach(name, below string, pid int) error {
	if err := m.call("AttachProcessesToUnit", []any{name, below, []uint32{uint32(pid)}}); err != nil {
		return m.explain("attach to "+name, err)
	}
	return nil
}

// listen asks for the signals about the jobs of a unit.
func (m *Manager) listen(unit string) error {
	m.conn.Signal(m.signals)
	if !m.bus {
		return nil
	}
	const unitArg = 2 // of JobRemoved(id, job, unit, result)
	err := m.conn.AddMatchSignalContext(m.ctx, dbus.WithMatchSender(service), dbus.WithMatchInterface(manager),
		dbus.WithMatchMember("JobRemoved"), dbus.WithMatchArg(unitArg, unit))
	if err == nil {
		err = m.call("Subscribe", nil) // systemd sends none while nobody wants them
	}
	if err != nil {
		return m.explain("listen to its jobs", err)
	}
	return nil
}

// await waits for a job to end well.
func (m *Manager) await(what string, job dbus.ObjectPath) error {
	for {
		select {
		case <-m.ctx.Done():
			return m.explain(what, m.ctx.Err())
		case s, ok := <-m.signals:
			if !ok {
				return m.explain(what, errors.New("it has closed the connection"))
			}
			var id uint32
			var ended dbus.ObjectPath
			var unit, result string
			if s.Name != manager+".JobRemoved" || dbus.Store(s.Body, &id, &ended, &unit, &result) != nil || ended != job {
				continue
			}
			if result != "done" {
				return fmt.Errorf("systemd: %s: the job ended with %q (journalctl --unit %s tells more)", what, result, unit)
			}
			return nil
		}
	}
}
