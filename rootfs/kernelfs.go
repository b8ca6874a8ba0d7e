package rootfs

import (
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// kernelFilesystem is one in which nearly all masked and read-only paths are.
type kernelFilesystem struct {
	point, fstype, name string
	magic               uint32
}

func kernelFilesystems() [2]kernelFilesystem {
	return [...]kernelFilesystem{
		{"/proc", "proc", "procfs", unix.PROC_SUPER_MAGIC},
		{"/sys", "sysfs", "sysfs", unix.SYSFS_MAGIC},
	}
}

// note remembers what is mounted on /proc and /sys. A bind mount on /proc is proven to be a procfs.
func (c *compiler) note(m *mount) {
	for i, k := range kernelFilesystems() {
		if m.at.Name == k.point {
			c.kernel[i] = !m.opt.Bind && m.Type == k.fstype || m.opt.Bind && (k.point == "/proc" || path.Clean(m.Source) == k.point)
		}
	}
}

// lookup returns where a masked or read-only path is. A missing one is left alone, so that below /proc and /sys it is
// looked up from a directory proven to be what was mounted there: who can write to the image could have put another one
// in its place for a moment, in which everything is missing.
func (c *compiler) lookup(item, name string) plan.Path {
	for i, k := range kernelFilesystems() {
		if !c.kernel[i] || !below(name, []string{k.point}) {
			continue
		}
		if c.found != k.point {
			if c.looked {
				c.add(item, plan.Close{Slots: []plan.Slot{plan.Mount}})
			}
			c.add(item, plan.Find{At: plan.Real(k.point), Into: plan.Mount},
				plan.ProveFilesystem{Slot: plan.Mount, Type: k.name, Magic: k.magic})
			c.looked = true
		}
		if c.found = k.point; name == k.point {
			c.found = "" // what comes next is below what is about to be mounted there
		}
		return plan.Path{Root: plan.Mount, Name: strings.TrimPrefix(strings.TrimPrefix(name, k.point), "/")}
	}
	return plan.In(name)
}
