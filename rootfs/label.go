package rootfs

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"skep/nsenter/plan"
	"skep/spec"
)

var (
	contextKinds = spec.List[string]{"context", "defcontext", "fscontext", "rootcontext"}
	// unlabelled are the filesystems of which the kernel has one superblock, for the host too, or that label their
	// files themselves: it takes no context for them. The root of an mqueue is labelled as a file.
	unlabelled = spec.List[string]{
		"cgroup", "cgroup2", "configfs", "debugfs", "efivarfs", "mqueue", "proc", "pstore", "securityfs", "selinuxfs", "sysfs", "tracefs",
	}
	// labelledInUserNamespace are those for which the kernel takes a context in a user namespace (sb_set_mnt_opts of
	// SELinux).
	labelledInUserNamespace = spec.List[string]{"devpts", "overlay", "ramfs", "tmpfs"}
)

// checkContext checks the annotation.
func (c *compiler) checkContext() error {
	kind, given := c.spec.Annotations[spec.MountContextType]
	if given && c.linux.MountLabel != "" && !contextKinds.Has(kind) {
		return fmt.Errorf("annotations[%q]: %q is none of %s", spec.MountContextType, kind, strings.Join(contextKinds, " "))
	}
	return nil
}

// context returns the parameters by which linux.mountLabel labels a new filesystem: one, or none where the kernel
// would take none, or the configuration has one of its own.
func (c *compiler) context(fstype string, options ...string) []string {
	switch {
	case c.linux.MountLabel == "", unlabelled.Has(fstype),
		c.has(specs.UserNamespace) && !labelledInUserNamespace.Has(fstype),
		slices.ContainsFunc(options, func(option string) bool {
			key, _, _ := strings.Cut(option, "=")
			return contextKinds.Has(key)
		}):
		return nil
	}
	kind := "context"
	if k := c.spec.Annotations[spec.MountContextType]; k != "" {
		kind = k
	}
	return []string{kind + "=" + c.linux.MountLabel}
}

// labelRoot labels the root of a filesystem that takes no context, but stores labels.
func (c *compiler) labelRoot(m *mount) {
	if c.linux.MountLabel != "" && m.Type == "mqueue" {
		c.add(m.item, plan.LabelMount{Mount: plan.Mount, Label: c.linux.MountLabel})
	}
}
