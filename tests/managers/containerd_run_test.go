package managers

// ctrRunCases: what a container is made with, seen from inside.
var ctrRunCases = []ctrCase{
	{"Run", func(c *ctr) {
		c.equal("output", c.sh(`echo $$ hello`), "1 hello")
	}},
	{"Environment", func(c *ctr) {
		c.equal("environment", c.sh(`echo $BAKED $ADDED`, "--env", "ADDED=more"), "in more")
	}},
}
