package libcontainer

import (
	"fmt"

	"github.com/moby/sys/mountinfo"
)

// revealing lists where the host has procfs and sysfs mounted, in the order of their mounting.
func revealing() ([]string, error) {
	list, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("proc", "sysfs"))
	if err != nil {
		return nil, fmt.Errorf("mounts of the host: %w", err)
	}
	points := make([]string, len(list))
	for i, m := range list {
		points[i] = m.Mountpoint
	}
	return points, nil
}
