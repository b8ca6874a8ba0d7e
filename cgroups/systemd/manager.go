package systemd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// patience bounds all that is said to systemd on one connection.
const patience = 30 * time.Second

// busy is the pause before a bus that has no room for a connection is tried
// again.
const busy = 10 * time.Millisecond

const (
	service = "org.freedesktop.systemd1"
	root    = dbus.ObjectPath("/org/freedesktop/systemd1")
	manager = service + ".Manager"
)

// ErrNotRunning means that the host was not booted with systemd.
var ErrNotRunning = errors.New("systemd is not running on this host")

// Where the system's systemd is found: on the bus, and where there is none, as
// early at boot, on its own socket, which only root may use.
var system = [...]string{"unix:path=/run/dbus/system_bus_socket", "unix:path=/run/systemd/private"}

// Manager is a connection to systemd.
type Manager struct {
	ctx     context.Context
	cancel  context.CancelFunc
	conn    *dbus.Conn
	object  dbus.BusObject
	bus     bool // a bus is between, which has to be told what we listen to
	signals chan *dbus.Signal

	// Version is the first number of systemd's version.
	Version int
	// Root is the manager's own cgroup: "/" for the system's.
	Root string
}

// Connect connects to the system's systemd. All that is said on the connection
// together may take 30 s.
func Connect(ctx context.Context) (*Manager, error) {
	if _, err := os.Lstat("/run/systemd/system"); err != nil { // sd_booted(3)
		return nil, ErrNotRunning
	}
	m, err := connect(ctx, system[:])
	if err != nil {
		return nil, fmt.Errorf("connect to systemd: %w", err)
	}
	return m, nil
}

// ConnectUser connects to a user's systemd, which is found at one of the
// addresses.
func ConnectUser(ctx context.Context, addresses []string) (*Manager, error) {
	m, err := connect(ctx, addresses)
	if err != nil {
		return nil, fmt.Errorf("connect to the user's systemd: %w (it takes a login session, XDG_RUNTIME_DIR, "+
			"and the user's D-Bus, in the package dbus-user-session or dbus-daemon)", err)
	}
	return m, nil
}

func connect(ctx context.Context, addresses []string) (*Manager, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	err := errors.New("no address is known")
	for i, address := range addresses {
		conn, failed := dial(ctx, address)
		if failed == nil {
			m := &Manager{
				ctx: ctx, cancel: cancel, conn: conn, object: conn.Object(service, root),
				bus: !isPrivate(address), signals: make(chan *dbus.Signal, 16),
			}
			if failed = m.greet(); failed == nil {
				return m, nil
			}
			conn.Close()
		}
		if i == 0 { // what comes next is only tried in its place
			err = failed
		}
	}
	cancel()
	return nil, err
}

// isPrivate tells whether systemd itself is at the other end.
func isPrivate(address string) bool { return strings.HasSuffix(address, "/systemd/private") }

func dial(ctx context.Context, address string) (*dbus.Conn, error) {
	for {
		socket, err := dialSocket(ctx, address)
		if err == nil {
			return dbus.NewConn(socket, dbus.WithContext(ctx))
		}
		// The kernel does not tell when a listener has room again.
		if !errors.Is(err, unix.EAGAIN) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(busy):
		}
	}
}

// dialSocket connects to the first of the addresses that can be had. It is done here because the library's own
// transport for unix sockets, which can pass descriptors, panics where a read fails (godbus 5.2).
func dialSocket(ctx context.Context, addresses string) (net.Conn, error) {
	err := fmt.Errorf("%q: not the address of a unix socket", addresses)
	for address := range strings.SplitSeq(addresses, ";") {
		options, isUnix := strings.CutPrefix(address, "unix:")
		if !isUnix {
			continue
		}
		for option := range strings.SplitSeq(options, ",") {
			key, value, _ := strings.Cut(option, "=")
			name, malformed := dbus.UnescapeBusAddressValue(value)
			switch {
			case malformed != nil:
				return nil, malformed
			case key == "abstract":
				name = "@" + name
			case key != "path":
				continue
			}
			var conn net.Conn
			if conn, err = (&net.Dialer{}).DialContext(ctx, "unix", name); err == nil {
				return conn, nil
			}
		}
	}
	return nil, err
}

// greet makes the connection usable and learns whom it is to.
func (m *Manager) greet() error {
	if err := m.conn.Auth(nil); err != nil {
		return m.explain("authenticate", err)
	}
	if m.bus {
		if err := m.conn.Hello(); err != nil {
			return m.explain("Hello", err)
		}
	}
	const get = "org.freedesktop.DBus.Properties.Get"
	version := m.object.Go(get, 0, nil, manager, "Version")
	cgroup := m.object.Go(get, 0, nil, manager, "ControlGroup")
	var text string
	if err := (<-version.Done).Store(&text); err != nil {
		return m.explain("read its version", err)
	}
	if err := (<-cgroup.Done).Store(&m.Root); err != nil {
		return m.explain("read its cgroup", err)
	}
	if m.Root == "" {
		m.Root = "/"
	}
	m.Version = parseVersion(text)
	return nil
}

// parseVersion reads "252.39-1~deb12u2" or "v257-rc1"; 0 is unknown.
func parseVersion(text string) int {
	text = strings.TrimPrefix(text, "v")
	if i := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		text = text[:i]
	}
	n, _ := strconv.Atoi(text)
	return n
}

// Close ends the connection.
func (m *Manager) Close() {
	m.conn.Close()
	m.cancel()
}

// call calls a method of the manager and stores the answer.
func (m *Manager) call(method string, args []any, answer ...any) error {
	return m.object.CallWithContext(m.ctx, manager+"."+method, 0, args...).Store(answer...)
}

// explain says what was tried, and whether the time is over.
func (m *Manager) explain(what string, err error) error {
	switch m.ctx.Err() {
	case nil:
	case context.DeadlineExceeded:
		return fmt.Errorf("systemd: %s: no answer within %s", what, patience)
	default:
		err = m.ctx.Err() // which has closed the connection
	}
	return fmt.Errorf("systemd: %s: %w", what, err)
}

// is tells whether systemd's answer is the error of that name.
func is(err error, name string) bool {
	var e dbus.Error
	return errors.As(err, &e) && e.Name == name
}
