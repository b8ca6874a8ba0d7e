package managers

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// systemd is a service manager: the host's or a user's.
type systemd struct {
	before []string // what runs systemctl as the user
	flags  []string
	env    []string
}

// host is the service manager that is process 1.
var host = systemd{flags: []string{"--system"}}

// systemctl is a command for the service manager.
func (m systemd) systemctl(args ...string) call {
	return call{line: slices.Concat(m.before, []string{"systemctl"}, m.flags, args), env: m.env}
}

// show returns properties of a unit, one NAME=VALUE per line.
func (m systemd) show(t *testing.T, unit string, properties ...string) string {
	t.Helper()
	return m.systemctl("show", "--property", strings.Join(properties, ","), unit).succeed(t)
}

// units lists what is loaded and not inactive, one per line. Devices come and go by themselves.
func (m systemd) units(t *testing.T) []string {
	t.Helper()
	var names []string
	types := "--type=service,scope,slice,timer,socket,path"
	for line := range strings.Lines(m.systemctl("list-units", types, "--plain", "--no-legend", "--full").succeed(t)) {
		fields := strings.Fields(line) // UNIT LOAD ACTIVE SUB DESCRIPTION
		names = append(names, fields[0]+" "+fields[2])
	}
	return names
}

// systemdRuns tells whether these tests see a systemd that runs the host.
func systemdRuns() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil
}

// unit is the unit that holds a container, which three show: systemd, the kernel's files on the host, and
// these files in the container.
type unit struct {
	checks
	systemd
	name   string
	dir    string // the cgroup
	inside func(line ...string) string
}

// newUnit finds the unit of a container by its init.
func newUnit(c checks, m systemd, proc func(name string) string, inside func(line ...string) string) unit {
	c.Helper()
	_, path, found := strings.Cut(readFile(c.T, proc("cgroup")), "0::")
	if !found {
		c.Fatal("no cgroup v2")
	}
	return unit{c, m, filepath.Base(path), filepath.Join("/sys/fs/cgroup", path), inside}
}

// limit is a limit of a container's: a property of the unit, and a file of the cgroup.
type limit struct{ property, value, file, content string }

func memoryLimit(bytes int) limit {
	return limit{"MemoryMax", fmt.Sprint(bytes), "memory.max", fmt.Sprint(bytes)}
}

func pidsLimit(n int) limit { return limit{"TasksMax", fmt.Sprint(n), "pids.max", fmt.Sprint(n)} }

// cpuLimit is a part of one processor's time, in percent.
func cpuLimit(percent int) limit {
	return limit{"CPUQuotaPerSecUSec", fmt.Sprint(percent*10, "ms"), "cpu.max", fmt.Sprint(percent*1000, " 100000")}
}

func cpusLimit(cpus string) limit {
	return limit{"AllowedCPUs", cpus, "cpuset.cpus", cpus}
}

// has tests that all three show the limits.
func (u unit) has(limits ...limit) {
	u.Helper()
	var properties, shown, files, contents []string
	for _, l := range limits {
		properties, shown = append(properties, l.property), append(shown, l.property+"="+l.value)
		files, contents = append(files, "/sys/fs/cgroup/"+l.file), append(contents, l.content)
		u.equal(l.file, readFile(u.T, filepath.Join(u.dir, l.file)), l.content)
	}
	u.equal("inside", u.inside(append([]string{"cat"}, files...)...), strings.Join(contents, "\n"))
	u.contains("systemctl show", "\n"+u.show(u.T, u.name, properties...)+"\n", shown...)
}

// keeps tests that the limits, and the rules of devices, are there, and still are after systemd has
// read its configuration again.
func (u unit) keeps(limits ...limit) {
	u.Helper()
	u.has(limits...)
	u.devices()
	u.systemctl("daemon-reload").succeed(u.T)
	u.has(limits...)
	u.devices()
}

// devices tests that the container has the devices that everybody has, and no others. It needs CAP_MKNOD.
func (u unit) devices() {
	u.Helper()
	script := `head -c 1 /dev/zero | wc -c; [ -e /dev/log-of-kernel ] || mknod /dev/log-of-kernel c 1 11; cat /dev/log-of-kernel 2>&1 || :`
	u.equal("devices", u.inside("sh", "-c", script), "1\ncat: can't open '/dev/log-of-kernel': Operation not permitted")
}

// isGone tests that neither systemd nor the kernel has any of it.
func (u unit) isGone() {
	u.Helper()
	eventually(u.T, u.name+" is gone", func() bool {
		_, err := os.Stat(u.dir)
		return os.IsNotExist(err) && u.show(u.T, u.name, "ActiveState") == "ActiveState=inactive"
	})
}
