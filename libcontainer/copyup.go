package libcontainer

import (
	"skep/nsenter/plan"
)

// copyUp fills the tmpfs that a phase prepares, if it prepares one, with what it is going to cover.
func (c *creation) copyUp(p *plan.Phase) error {
	up := c.mounts.CopyUps[p]
	if up == nil {
		return nil
	}
	results, err := c.child.Play()
	if err != nil {
		return err
	}
	covered := results.Files[plan.Covered]
	defer covered.Close()
	phases, err := up.Compile(covered)
	if err != nil {
		return err
	}
	for _, copies := range phases {
		c.child.Queue(copies)
	}
	return nil
}
