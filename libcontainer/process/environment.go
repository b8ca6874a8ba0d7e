package process

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// variable returns the value that counts: that of the last entry with this name.
func variable(env []string, name string) (string, bool) {
	for _, entry := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

// NeedsHome reports whether HOME is to come from the container's /etc/passwd: it is absent or empty in process.env.
func NeedsHome(p *specs.Process) bool {
	home, _ := variable(p.Env, "HOME")
	return home == ""
}

// Environment returns the environment of the program. Of entries with one name the last counts and stays where it
// stands; HOME is added where NeedsHome. Errors name the variable and never tell its value.
func Environment(p *specs.Process, home string) ([]string, error) {
	env := make([]string, 0, len(p.Env)+1) // last entry first
	seen := make(map[string]bool, len(p.Env)+1)
	if NeedsHome(p) {
		env, seen["HOME"] = append(env, "HOME="+home), true
	}
	for i, entry := range slices.Backward(p.Env) {
		name, _, ok := strings.Cut(entry, "=")
		switch {
		case !ok || name == "":
			return nil, fmt.Errorf("process.env[%d]: not of the form NAME=value", i)
		case strings.IndexByte(entry, 0) >= 0:
			return nil, fmt.Errorf("process.env[%d]: NUL byte in %q", i, name)
		case !seen[name]:
			env, seen[name] = append(env, entry), true
		}
	}
	slices.Reverse(env)
	return env, nil
}
