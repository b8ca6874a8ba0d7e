package rootfs

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
	"skep/spec"
)

// pivot makes the root mount init's root and takes away what the program must not have.
func (c *compiler) pivot() error {
	c.masks()
	if c.host.NoPivot {
		c.withdraw()
		c.phase.Add(plan.MoveRoot{})
	} else {
		c.phase.Add(plan.Pivot{})
	}
	if err := c.sysctls(); err != nil {
		return err
	}
	c.readonlyPaths()
	if err := c.maskedPaths(); err != nil {
		return err
	}
	c.propagation()
	if c.spec.Root != nil && c.spec.Root.Readonly {
		c.add("root.readonly", plan.SetAttr{Mount: plan.Root, Set: unix.MOUNT_ATTR_RDONLY})
	}
	c.close()
	return nil
}

// withdraw takes the mounts away that reveal what is masked. Below a root that is attached at its own path the
// container's are in their place.
func (c *compiler) withdraw() {
	attached := c.attachPoint()
	for _, point := range slices.Backward(c.host.Revealing) {
		if attached == "/" || !below(point, []string{attached}) {
			c.phase.Add(plan.Withdraw{Path: point})
		}
	}
}

// close lets go of the descriptors that nobody needs any more. A procfs for labels stays open for them.
func (c *compiler) close() {
	var slots []plan.Slot
	if c.writesProcfs() != "" && c.label() == "" {
		slots = append(slots, plan.Procfs)
	}
	if len(c.linux.MaskedPaths) > 0 {
		slots = append(slots, plan.Mask, plan.Null)
	}
	if c.looked {
		slots = append(slots, plan.Mount)
	}
	if len(slots) > 0 {
		c.phase.Add(plan.Close{Slots: slots})
	}
}

// masks prepares what hides paths: one empty tmpfs for all directories, and the host's /dev/null, while it can
// still be reached, proven to be one: an image's could be anything (CVE-2025-31133).
func (c *compiler) masks() {
	const item = "linux.maskedPaths"
	if len(c.linux.MaskedPaths) == 0 {
		return
	}
	null := specs.LinuxDevice{Type: "c", Major: 1, Minor: 3}
	slot := c.clone(Tree{Item: item, Path: "/dev/null", Device: &null, Changes: []plan.SetAttr{
		{Set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC, Propagation: unix.MS_PRIVATE},
	}})
	c.add(item, plan.Keep{From: slot, As: plan.Null},
		plan.Filesystem{Type: "tmpfs", Source: "tmpfs", Params: append([]string{"ro", "size=4k", "nr_inodes=1"}, c.context("tmpfs")...),
			Attr: hardened | unix.MOUNT_ATTR_RDONLY, Into: plan.Mask})
}

// sysctls writes the kernel parameters, in the order of their names.
func (c *compiler) sysctls() error {
	for _, name := range slices.Sorted(maps.Keys(c.linux.Sysctl)) {
		item := "linux.sysctl[" + strconv.Quote(name) + "]"
		file, err := spec.SysctlPath(name)
		if err != nil {
			return fmt.Errorf("%s: not the name of a kernel parameter: %w", item, err)
		}
		if file == "kernel/domainname" && c.has(specs.UserNamespace) {
			// Only the host's root may write the file; the call asks for a capability over the uts namespace.
			c.add(item, plan.Domainname{Name: c.linux.Sysctl[name]})
			continue
		}
		c.add(item, plan.WriteFile{Name: "sys/" + file, Value: c.linux.Sysctl[name]})
	}
	return nil
}

func (c *compiler) readonlyPaths() {
	for i, name := range c.linux.ReadonlyPaths {
		item := at("linux.readonlyPaths", i, name)
		if name = path.Clean(name); name == "/" { // a mount on the root would be out of the program's sight
			c.add(item, plan.SetAttr{Mount: plan.Root, Set: unix.MOUNT_ATTR_RDONLY, Recursive: true})
			continue
		}
		c.add(item, plan.Protect{At: c.lookup(item, name)})
	}
}

func (c *compiler) maskedPaths() error {
	for i, name := range c.linux.MaskedPaths {
		item := at("linux.maskedPaths", i, name)
		if name = path.Clean(name); name == "/" {
			return fmt.Errorf("%s: nothing would be left", item)
		}
		c.add(item, plan.Hide{At: c.lookup(item, name)})
	}
	return nil
}

// propagation makes the root what rootfsPropagation says. Not earlier: what is attached below a shared mount becomes
// shared, and an unbindable one can be neither cloned nor protected.
func (c *compiler) propagation() {
	if flags, ok := spec.Propagations.Lookup(c.linux.RootfsPropagation); ok {
		c.add("linux.rootfsPropagation", plan.SetAttr{Mount: plan.Root, Propagation: flags &^ unix.MS_REC,
			Recursive: flags&unix.MS_REC != 0})
	}
}
