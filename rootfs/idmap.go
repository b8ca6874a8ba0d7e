package rootfs

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// IDMap says as whose the files of a mount appear (uidMappings and gidMappings, config.md#posix-platform-mounts).
// It is a [plan.Source] of the user namespace that says it to the kernel.
type IDMap struct {
	Item       string // of the configuration, for errors
	UIDs, GIDs []specs.LinuxIDMapping
	Recursive  bool // with all that is mounted below
	// Namespace opens the user namespace with these mappings; see Host.
	Namespace func(uids, gids []specs.LinuxIDMapping) (fd int, err error)
}

// Open returns the user namespace.
func (m *IDMap) Open() (int, error) {
	fd, err := m.Namespace(m.UIDs, m.GIDs)
	if err != nil {
		return -1, fmt.Errorf("%s: user namespace for the owners: %w", m.Item, err)
	}
	return fd, nil
}

func (m *IDMap) String() string {
	if len(m.UIDs) == 0 {
		return "the container's user namespace"
	}
	return "user namespace of the uids " + formatIDs(m.UIDs) + " and the gids " + formatIDs(m.GIDs)
}

func formatIDs(ids []specs.LinuxIDMapping) string {
	words := make([]string, len(ids))
	for i, m := range ids {
		words[i] = fmt.Sprintf("%d:%d:%d", m.ContainerID, m.HostID, m.Size)
	}
	return strings.Join(words, ",")
}

// apply maps the owners of a detached mount.
func (m *IDMap) apply(mount int) error {
	namespace, err := m.Open()
	if err != nil {
		return err
	}
	defer unix.Close(namespace)
	flags := uint(unix.AT_EMPTY_PATH)
	if m.Recursive {
		flags |= unix.AT_RECURSIVE
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(namespace)}
	switch err := unix.MountSetattr(mount, "", flags, &attr); err {
	case nil:
		return nil
	case unix.EINVAL:
		var st unix.Statfs_t
		overlay := unix.Fstatfs(mount, &st) == nil && st.Type == unix.OVERLAYFS_SUPER_MAGIC
		return fmt.Errorf("map the owners: mount_setattr: %w (%s)", err, plan.NoIDMaps(overlay))
	case unix.EPERM:
		return fmt.Errorf("map the owners: mount_setattr: %w (are they mapped already, or is the filesystem another user namespace's?)", err)
	default:
		return fmt.Errorf("map the owners: mount_setattr: %w", err)
	}
}

// idmap returns what the mount says about owners, or nil. Mappings without the option mean idmap.
func (c *compiler) idmap(m *mount) (*IDMap, error) {
	switch {
	case !m.opt.IDMap && !m.opt.RIDMap && len(m.UIDMappings) == 0:
		return nil, nil
	case m.opt.Remount:
		return nil, errors.New("the owners of a mount that is in use already cannot be mapped")
	case m.opt.Bind && !c.host.Privileged:
		return nil, errors.New("only the host's root can map the owners of a bind mount")
	case !m.opt.Bind && c.has(specs.UserNamespace):
		return nil, fmt.Errorf("the owners of a %s that is made in a user namespace cannot be mapped", m.Type)
	}
	uids, gids, err := m.opt.Owners(m.Mount, c.linux)
	if err != nil {
		return nil, err
	}
	return &IDMap{
		Item: m.item, UIDs: uids, GIDs: gids, Recursive: m.opt.RIDMap, Namespace: c.host.UserNamespace,
	}, nil
}
