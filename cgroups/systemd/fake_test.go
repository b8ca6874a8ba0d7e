package systemd

import (
	"bufio"
	"context"
	"encoding/binary"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// fake is a systemd that says what a test has it say.
type fake struct {
	t       *testing.T
	conn    net.Conn
	in      *bufio.Reader
	answers map[string]func(*dbus.Message) // by the method's name

	mu    sync.Mutex
	calls []string // methods with their first arguments
}

const fakeJob = dbus.ObjectPath("/org/freedesktop/systemd1/job/7")

// newFake listens on a socket of systemd's own, or on one with a bus in
// between, and returns a connection to it.
func newFake(t *testing.T, socket string, answers map[string]func(*fake, *dbus.Message)) (*fake, *Manager) {
	t.Helper()
	f := &fake{t: t, answers: map[string]func(*dbus.Message){}}
	f.answers["Get"] = f.get
	f.answers["Hello"] = func(m *dbus.Message) { f.reply(m, ":1.1") }
	for name, answer := range answers {
		f.answers[name] = func(m *dbus.Message) { answer(f, m) }
	}
	path := filepath.Join(t.TempDir(), socket)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	served := make(chan struct{})
	t.Cleanup(func() { <-served })
	go func() {
		defer close(served)
		if conn, err := l.Accept(); err == nil {
			f.serve(conn)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	m, err := ConnectUser(ctx, []string{"unix:path=" + path + ".absent", "unix:path=" + path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return f, m
}

// serve speaks the server's side (D-Bus specification, authentication).
func (f *fake) serve(conn net.Conn) {
	defer conn.Close()
	f.conn, f.in = conn, bufio.NewReader(conn)
	for {
		line, err := f.in.ReadString('\n')
		if err != nil {
			return
		}
		answer := map[string]string{
			"AUTH": "REJECTED EXTERNAL", "AUTH EXTERNAL": "DATA", "DATA": "OK 0123", "NEGOTIATE_UNIX_FD": "ERROR",
		}[strings.Trim(line, "\x00\r\n")]
		if answer == "" {
			break // BEGIN
		}
		if _, err := conn.Write([]byte(answer + "\r\n")); err != nil {
			return
		}
	}
	for {
		m, err := dbus.DecodeMessage(f.in)
		if err != nil {
			return
		}
		f.take(m)
	}
}

// take notes a call and answers it; what has no answer gets an empty one.
func (f *fake) take(m *dbus.Message) {
	name, _ := m.Headers[dbus.FieldMember].Value().(string)
	text := name
	if len(m.Body) > 0 {
		if s, ok := m.Body[0].(string); ok {
			text += " " + s
		}
	}
	f.mu.Lock()
	f.calls = append(f.calls, text)
	f.mu.Unlock()
	if answer := f.answers[name]; answer != nil {
		answer(m)
	} else {
		f.reply(m)
	}
}

// said returns the calls so far, without those that connect.
func (f *fake) said() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.calls), func(s string) bool {
		return s == "Hello" || strings.HasPrefix(s, "Get ")
	})
}

func (f *fake) get(m *dbus.Message) {
	value := "252.39-1~deb12u2"
	if m.Body[1] == "ControlGroup" {
		value = "/user.slice/user-1000.slice/user@1000.service"
	}
	f.reply(m, dbus.MakeVariant(value))
}

func (f *fake) reply(m *dbus.Message, body ...any) {
	f.send(&dbus.Message{Type: dbus.TypeMethodReply, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(m.Serial()), dbus.FieldSender: dbus.MakeVariant(service),
	}}, body...)
}

func (f *fake) refuse(m *dbus.Message, name, text string) {
	f.send(&dbus.Message{Type: dbus.TypeError, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(m.Serial()), dbus.FieldErrorName: dbus.MakeVariant(name),
		dbus.FieldSender: dbus.MakeVariant(service),
	}}, text)
}

// jobRemoved is the signal that ends a job.
func (f *fake) jobRemoved(job dbus.ObjectPath, unit, result string) {
	f.send(&dbus.Message{Type: dbus.TypeSignal, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(root), dbus.FieldInterface: dbus.MakeVariant(manager),
		dbus.FieldMember: dbus.MakeVariant("JobRemoved"), dbus.FieldSender: dbus.MakeVariant(service),
	}}, uint32(7), job, unit, result)
}

func (f *fake) send(m *dbus.Message, body ...any) {
	m.Body = body
	if len(body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	if err := m.EncodeTo(f.conn, binary.LittleEndian); err != nil {
		f.t.Errorf("fake: %v", err)
	}
}

// A connection that is reset in the middle of a message is an error.
func TestReset(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.AcceptUnix()
		if err != nil {
			return
		}
		defer conn.Close() // with something unread, which resets it
		line := []byte{}
		for one := make([]byte, 1); !strings.HasSuffix(string(line), "BEGIN\r\n"); {
			if _, err := conn.Read(one); err != nil {
				return
			}
			line = append(line, one...)
			switch {
			case strings.HasSuffix(string(line), "AUTH EXTERNAL\r\n"):
				_, _ = conn.Write([]byte("DATA\r\n"))
			case strings.HasSuffix(string(line), "AUTH\r\n"):
				_, _ = conn.Write([]byte("REJECTED EXTERNAL\r\n"))
			case strings.HasSuffix(string(line), "DATA\r\n"):
				_, _ = conn.Write([]byte("OK 0123\r\n"))
			case strings.HasSuffix(string(line), "NEGOTIATE_UNIX_FD\r\n"):
				_, _ = conn.Write([]byte("ERROR\r\n"))
			}
		}
		_, _ = conn.Read(make([]byte, 1))
		_, _ = conn.Write([]byte("l\x02\x00\x01\x00\x00\x00\x00\x01\x00\x00\x00\x08\x00\x00\x00")) // the beginning of an answer
	}()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if m, err := ConnectUser(ctx, []string{"unix:path=" + path}); err == nil {
		m.Close()
		t.Error("no error")
	}
}
