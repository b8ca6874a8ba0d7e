package libcontainer

import (
	"golang.org/x/sys/unix"

	"skep/cgroups"
)

// Pause stops all processes of a running container where they are, and returns when they have stopped. If some do
// not within 10 seconds, the others run on. The error is ErrNotRunning for any other status.
func (c *Container) Pause() error {
	return c.exclusively(func() error {
		if err := c.Status().allows().pause; err != nil {
			return err
		}
		if len(c.state.Cgroup.Paths) == 0 {
			return noCgroups()
		}
		return cgroups.Open(c.state.Cgroup).Freeze()
	})
}

// Resume lets the processes of a paused container run on, also where a Pause was ended before all had stopped. The error
// is ErrNotPaused for any other status.
func (c *Container) Resume() error {
	return c.exclusively(func() error {
		if err := c.Status().allows().resume; err != nil {
			return err
		}
		return cgroups.Open(c.state.Cgroup).Thaw()
	})
}

// exclusively does what changes the container, one at a time.
func (c *Container) exclusively(change func() error) error {
	if err := c.dir.acquire(unix.LOCK_EX); err != nil {
		return err
	}
	defer c.dir.release()
	return change()
}

// Processes returns the pids of all processes of the container, as this process's pid namespace has them, in
// ascending order; none of a container that has stopped. Those in cgroups that the container made count too.
func (c *Container) Processes() ([]int, error) {
	group := cgroups.Open(c.state.Cgroup)
	if group.Mode() != cgroups.None {
		return group.Procs()
	}
	pids, err := processesBeside(c.state.Init.Pid)
	if !c.state.Init.Alive() { // and with it all that was in its namespace
		return nil, nil
	}
	return pids, err
}
