package cli

import (
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"skep/libcontainer"
)

// systemdOptions say who makes cgroups, if anybody, and where an unprivileged user's systemd is found: also for a
// container that has a unit already, whatever the flags are now.
func systemdOptions(c *cli.Context) []libcontainer.Option {
	var options []libcontainer.Option
	if ofSession() {
		options = append(options, libcontainer.UserBus(userBus()...))
	}
	if c.Bool("systemd-cgroup") || c.String("cgroup-manager") == "systemd" {
		options = append(options, libcontainer.SystemdCgroup())
	}
	if c.String("cgroup-manager") == "disabled" {
		options = append(options, libcontainer.NoCgroups())
	}
	return options
}

// userBus are the addresses of the session bus and, without one, of the socket of the user's systemd.
func userBus() []string {
	var addresses []string
	if bus := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); bus != "" {
		addresses = append(addresses, bus)
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		for _, socket := range [...]string{"bus", "systemd/private"} {
			addresses = append(addresses, "unix:path="+filepath.Join(dir, socket))
		}
	}
	return addresses
}
