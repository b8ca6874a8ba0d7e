package managers

import (
	"strings"
	"testing"
)

// checks are what the cases of all suites assert with.
type checks struct{ *testing.T }

// equal fails the case unless both are the same.
func (c checks) equal(what, got, want string) {
	c.Helper()
	if got != want {
		c.Errorf("%s: %q, want %q", what, got, want)
	}
}

// contains fails the case unless the text has all the parts.
func (c checks) contains(what, text string, parts ...string) {
	c.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			c.Errorf("%s lacks %q: %s", what, part, text)
		}
	}
}

// ok fails the case, and ends it, when there is an error.
func (c checks) ok(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// onV1 tells whether the controller is in a v1 hierarchy.
func (c checks) onV1(controller string) bool {
	c.Helper()
	hierarchies, err := findHierarchies()
	c.ok(err)
	for _, h := range hierarchies {
		if h.controls(controller) {
			return true
		}
	}
	return false
}

// lastCPU is a processor of this machine, which need not have more than one.
func (c checks) lastCPU() string {
	c.Helper()
	_, list, _ := strings.Cut(readFile(c.T, "/proc/self/status"), "Cpus_allowed_list:\t")
	list, _, _ = strings.Cut(list, "\n")
	return list[strings.LastIndexAny(list, ",-")+1:]
}
