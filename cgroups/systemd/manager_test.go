package systemd

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
)

const (
	private = "systemd/private" // as the path of a socket ends that no bus is behind
	unit    = "skep-web.scope"
)

// done answers a call with a job that ends well, after another one that does not.
func done(f *fake, m *dbus.Message) {
	f.reply(m, fakeJob)
	f.jobRemoved("/org/freedesktop/systemd1/job/6", unit, "failed")
	f.jobRemoved(fakeJob, unit, "done")
}

func endingIn(result string) func(*fake, *dbus.Message) {
	return func(f *fake, m *dbus.Message) {
		f.jobRemoved(fakeJob, unit, result) // a signal may overtake the answer
		f.reply(m, fakeJob)
	}
}

func refusing(name string) func(*fake, *dbus.Message) {
	return func(f *fake, m *dbus.Message) { f.refuse(m, name, "it says why") }
}

func wantSaid(t *testing.T, f *fake, want ...string) {
	t.Helper()
	if got := f.said(); !slices.Equal(got, want) {
		t.Errorf("said %q, want %q", got, want)
	}
}

func TestConnect(t *testing.T) {
	for _, socket := range []string{"bus", "private"} {
		_, m := newFake(t, socket, nil)
		if m.Version != 252 || m.Root != "/user.slice/user-1000.slice/user@1000.service" {
			t.Errorf("version %d, root %s", m.Version, m.Root)
		}
	}
	for text, want := range map[string]int{"252.39-1~deb12u2": 252, "v257-rc1": 257, "245": 245, "": 0} {
		if got := parseVersion(text); got != want {
			t.Errorf("version %q: %d, want %d", text, got, want)
		}
	}
	_, err := ConnectUser(context.Background(), []string{"unix:path=/nowhere/bus", "unix:path=/nowhere/systemd/private"})
	if err == nil || !strings.Contains(err.Error(), "/nowhere/bus") || !strings.Contains(err.Error(), "dbus-user-session") || strings.Contains(err.Error(), "\n") {
		t.Errorf("nowhere: %v", err)
	}
	if _, err = ConnectUser(context.Background(), nil); err == nil || !strings.Contains(err.Error(), "XDG_RUNTIME_DIR") {
		t.Errorf("no address: %v", err)
	}
}

func TestStart(t *testing.T) {
	var asked []any
	f, m := newFake(t, "bus", map[string]func(*fake, *dbus.Message){
		"StartTransientUnit": func(f *fake, m *dbus.Message) { asked = m.Body; done(f, m) },
	})
	props := []Property{property("TasksMax", uint64(7)), property("CollectMode", "inactive")}
	if err := m.Start(Unit{Name: unit, Slice: "a.slice"}, "web", 42, props); err != nil {
		t.Fatal(err)
	}
	match := "AddMatch type='signal',sender='" + service + "',interface='" + manager + "',member='JobRemoved',arg2='" + unit + "'"
	wantSaid(t, f, match, "Subscribe", "StartTransientUnit "+unit)
	got := map[string]string{}
	for _, p := range asked[2].([][]any) {
		name := p[0].(string)
		if got[name] != "" {
			t.Errorf("%s is there twice", name)
		}
		got[name] = p[1].(dbus.Variant).String()
	}
	for name, want := range map[string]string{
		"Slice": `"a.slice"`, "Delegate": "true", "PIDs": "@au [42]", "DefaultDependencies": "false", "TasksMax": "@t 7",
		"CollectMode": `"inactive"`, "MemoryAccounting": "true", "Description": `"skep container web"`,
	} {
		if got[name] != want {
			t.Errorf("%s is %s, want %s", name, got[name], want)
		}
	}
}

func TestStartPrivate(t *testing.T) {
	f, m := newFake(t, "private", map[string]func(*fake, *dbus.Message){"StartTransientUnit": done})
	m.bus = false
	if err := m.Start(Unit{Name: "a.slice", Slice: "-.slice"}, "web", 42, nil); err != nil {
		t.Fatal(err)
	}
	wantSaid(t, f, "StartTransientUnit a.slice")
}

// A failed unit of that name is reset, once; what else is in the way stays.
func TestStartUnitExists(t *testing.T) {
	times := 0
	f, m := newFake(t, "bus", map[string]func(*fake, *dbus.Message){
		"StartTransientUnit": func(f *fake, m *dbus.Message) {
			if times++; times == 1 {
				f.refuse(m, unitExists, "it exists")
				return
			}
			done(f, m)
		},
	})
	if err := m.Start(Unit{Name: unit}, "web", 42, nil); err != nil {
		t.Error(err)
	}
	wantSaid(t, f, f.said()[0], "Subscribe", "StartTransientUnit "+unit, "ResetFailedUnit "+unit, "StartTransientUnit "+unit)

	f, m = newFake(t, "bus", map[string]func(*fake, *dbus.Message){"StartTransientUnit": refusing(unitExists)})
	err := m.Start(Unit{Name: unit}, "web", 42, nil)
	if !errors.Is(err, ErrNotMade) || !strings.Contains(err.Error(), "start skep-web.scope: it says why") {
		t.Errorf("%v", err)
	}
	wantSaid(t, f, f.said()[0], "Subscribe", "StartTransientUnit "+unit, "ResetFailedUnit "+unit, "StartTransientUnit "+unit)
}

func TestStartFails(t *testing.T) {
	tests := []struct {
		name    string
		answer  func(*fake, *dbus.Message)
		want    string
		notMade bool
	}{
		{"refused", refusing("org.freedesktop.DBus.Error.InvalidArgs"), "start skep-web.scope: it says why", true},
		{"failed", endingIn("failed"), `the job ended with "failed"`, false},
		{"gone from the bus", refusing("org.freedesktop.DBus.Error.NoReply"), "it says why", false},
		{"timeout", endingIn("timeout"), `the job ended with "timeout"`, false},
		{"gone", func(f *fake, _ *dbus.Message) { f.conn.Close() }, "EOF", false},
		{"gone with the job", func(f *fake, m *dbus.Message) { f.reply(m, fakeJob); f.conn.Close() }, "closed", false},
	}
	for _, test := range tests {
		_, m := newFake(t, "bus", map[string]func(*fake, *dbus.Message){"StartTransientUnit": test.answer})
		err := m.Start(Unit{Name: unit}, "web", 42, nil)
		if err == nil || !strings.Contains(err.Error(), test.want) || errors.Is(err, ErrNotMade) != test.notMade {
			t.Errorf("%s: %v, want an error with %q, not made %v", test.name, err, test.want, test.notMade)
		}
	}
}

// Nobody waits for a systemd that does not answer, or not to the end.
func TestStartEndsWithItsContext(t *testing.T) {
	for name, answer := range map[string]func(*fake, *dbus.Message){
		"no answer": func(*fake, *dbus.Message) {},
		"no end":    func(f *fake, m *dbus.Message) { f.reply(m, fakeJob) },
	} {
		var m *Manager
		_, m = newFake(t, "bus", map[string]func(*fake, *dbus.Message){
			"StartTransientUnit": func(f *fake, message *dbus.Message) { answer(f, message); m.cancel() },
		})
		err := m.Start(Unit{Name: unit}, "web", 42, nil)
		if !errors.Is(err, context.Canceled) || errors.Is(err, ErrNotMade) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStop(t *testing.T) {
	f, m := newFake(t, "bus", map[string]func(*fake, *dbus.Message){"StopUnit": done, "ResetFailedUnit": refusing(noSuchUnit)})
	if err := m.Stop(unit); err != nil {
		t.Error(err)
	}
	wantSaid(t, f, f.said()[0], "Subscribe", "StopUnit "+unit, "ResetFailedUnit "+unit)
	for _, gone := range []string{noSuchUnit, notLoaded} {
		_, m = newFake(t, "bus", map[string]func(*fake, *dbus.Message){"StopUnit": refusing(gone)})
		if err := m.Stop(unit); err != nil {
			t.Errorf("%s: %v", gone, err)
		}
	}
	_, m = newFake(t, "bus", map[string]func(*fake, *dbus.Message){"StopUnit": refusing("org.freedesktop.DBus.Error.AccessDenied")})
	if err := m.Stop(unit); err == nil || !strings.Contains(err.Error(), "stop skep-web.scope: it says why") {
		t.Errorf("refused: %v", err)
	}
}

func TestSetAndAttach(t *testing.T) {
	var asked, moved []any
	_, m := newFake(t, "bus", map[string]func(*fake, *dbus.Message){
		"SetUnitProperties":     func(f *fake, m *dbus.Message) { asked = m.Body; f.reply(m) },
		"AttachProcessesToUnit": func(f *fake, m *dbus.Message) { moved = m.Body; f.reply(m) },
	})
	if err := m.Set(unit, nil); err != nil || asked != nil {
		t.Errorf("nothing to be set: %v, %v", asked, err)
	}
	if err := m.Set(unit, []Property{property("TasksMax", uint64(7))}); err != nil {
		t.Error(err)
	}
	if len(asked) != 3 || asked[0] != unit || asked[1] != true {
		t.Errorf("set: %v", asked)
	}
	if err := m.Attach(unit, "/inner", 42); err != nil {
		t.Error(err)
	}
	if len(moved) != 3 || moved[0] != unit || moved[1] != "/inner" || !slices.Equal(moved[2].([]uint32), []uint32{42}) {
		t.Errorf("attach: %v", moved)
	}
}
