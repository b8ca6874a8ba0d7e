package libcontainer

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/spec"
)

// A joined namespace is one that the configuration names by a path (linux.namespaces, config-linux.md#namespaces). It
// is opened once: what its path comes to mean afterwards does not matter. It may be /proc/PID/ns/X or a bind mount.
type joined struct {
	specs.LinuxNamespace
	flag   uint64 // CLONE_NEW*
	item   string // JSON path
	fd     int    // -1 where `skep plan` may not open it
	inside bool   // belongs to the joined user namespace: there, and maybe only there, it may be joined
}

// source hands the namespace to the child.
func (j *joined) source() descriptor { return descriptor{j.fd, j.Path} }

// designNamespaces opens and checks the namespaces that the container joins.
func (b *blueprint) designNamespaces(o *options) error {
	for i, ns := range b.spec.Linux.Namespaces {
		if ns.Path == "" {
			continue
		}
		row, _ := spec.Namespaces.Lookup(ns.Type)
		j := &joined{LinuxNamespace: ns, flag: row.Flag, item: fmt.Sprintf("linux.namespaces[%d].path", i), fd: -1}
		b.joins = append(b.joins, j)
		err := j.open()
		if err == nil {
			err = b.checkOwn(j, row.File)
		}
		if err != nil && o.planning {
			b.warn(err.Error())
		} else if err != nil {
			return err
		}
	}
	if user := b.joinedNamespace(specs.UserNamespace); user != nil {
		for _, j := range b.joins {
			j.inside = user.owns(j)
		}
	}
	return nil
}

// open opens the namespace and proves its type.
func (j *joined) open() error {
	// O_NONBLOCK only keeps a fifo at the path from holding up create.
	fd, err := unix.Open(j.Path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("%s: open %s: %w", j.item, j.Path, err)
	}
	flag, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	if err == nil && uint64(flag) == j.flag {
		j.fd = fd
		return nil
	}
	unix.Close(fd)
	if err != nil {
		return fmt.Errorf("%s: %s is not a namespace, let alone a %s one", j.item, j.Path, j.Type)
	}
	return fmt.Errorf("%s: %s is a %s namespace, not a %s one", j.item, j.Path, typeOf(uint64(flag)), j.Type)
}

// typeOf names the namespace type of a CLONE_NEW* flag.
func typeOf(flag uint64) specs.LinuxNamespaceType {
	for _, row := range spec.Namespaces {
		if row.Value.Flag == flag {
			return row.Name
		}
	}
	return specs.LinuxNamespaceType("unknown (" + strconv.FormatUint(flag, 16) + ")")
}

// checkOwn refuses what would change the host through a path that leads back to this process's own namespace.
func (b *blueprint) checkOwn(j *joined, file string) error {
	var own, named unix.Stat_t
	if err := unix.Stat("/proc/self/ns/"+file, &own); err != nil {
		return fmt.Errorf("%s: /proc/self/ns/%s: %w", j.item, file, err)
	}
	if err := unix.Fstat(j.fd, &named); err != nil {
		return fmt.Errorf("%s: %w", j.item, err)
	}
	if !sameFile(&own, &named) {
		return nil
	}
	refuse := func(what string) error {
		return fmt.Errorf("%s: %s is the runtime's own %s namespace: %s", j.item, j.Path, j.Type, what)
	}
	switch {
	case j.Type == specs.UserNamespace:
		return refuse("nobody can join it again; leave it out")
	case j.Type == specs.UTSNamespace && (b.spec.Hostname != "" || b.spec.Domainname != ""):
		return refuse("hostname and domainname would rename the host")
	case j.Type == specs.NetworkNamespace && len(b.spec.Linux.NetDevices) > 0:
		return refuse("linux.netDevices would go nowhere")
	}
	for _, name := range slices.Sorted(maps.Keys(b.spec.Linux.Sysctl)) {
		path, err := spec.SysctlPath(name)
		if err != nil {
			return err
		}
		if kind, _ := spec.SysctlNamespace(path); kind == j.Type {
			return refuse("linux.sysctl " + name + " would change the host")
		}
	}
	return nil
}

// owns tells whether a namespace belongs to this user namespace. The kernel does not say it of those that belong to a
// user namespace outside of our own.
func (j *joined) owns(other *joined) bool {
	if other == j || other.fd < 0 || j.fd < 0 {
		return false
	}
	owner, err := unix.IoctlRetInt(other.fd, unix.NS_GET_USERNS)
	if err != nil {
		return false
	}
	defer unix.Close(owner)
	var a, b unix.Stat_t
	return unix.Fstat(owner, &a) == nil && unix.Fstat(j.fd, &b) == nil && sameFile(&a, &b)
}

func sameFile(a, b *unix.Stat_t) bool { return a.Dev == b.Dev && a.Ino == b.Ino }

// joinedNamespace returns the namespace of this type that the container joins, or nil.
func (b *blueprint) joinedNamespace(t specs.LinuxNamespaceType) *joined {
	for _, j := range b.joins {
		if j.Type == t {
			return j
		}
	}
	return nil
}

// foreignNetwork tells whether the network namespace, unless it is a new one, belongs to others than the user namespace
// that the container joins or, without one, is made in.
func (b *blueprint) foreignNetwork() bool {
	network := b.joinedNamespace(specs.NetworkNamespace)
	switch {
	case spec.FindNamespace(b.spec.Linux, specs.UserNamespace) != nil:
		return network != nil && network.fd >= 0 && !network.inside
	case b.rights.host:
		return false
	case network != nil:
		return !isOurs(network.fd)
	}
	fd, err := unix.Open("/proc/self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	return !isOurs(fd)
}

// makes tells whether the container gets a namespace of this type of its own.
func (b *blueprint) makes(t specs.LinuxNamespaceType) bool {
	ns := spec.FindNamespace(b.spec.Linux, t)
	return ns != nil && ns.Path == ""
}

// close closes what design has opened.
func (b *blueprint) close() {
	b.rootDir.Close()
	b.unit.close()
	for _, j := range b.joins {
		if j.fd >= 0 {
			unix.Close(j.fd)
		}
	}
}
