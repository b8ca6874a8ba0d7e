package process

import (
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// PROC-09 PROC-10 PROC-11 PROC-12
func TestEnvironment(t *testing.T) {
	for _, c := range []struct {
		env   []string
		needs bool
		want  []string
	}{
		{nil, true, []string{"HOME=/h"}},
		{[]string{"A=1", "B=2"}, true, []string{"A=1", "B=2", "HOME=/h"}},
		{[]string{"A=1", "B=2", "A=3", "C=", "B=4=5"}, true, []string{"A=3", "C=", "B=4=5", "HOME=/h"}},
		{[]string{"HOME=/x", "A=1"}, false, []string{"HOME=/x", "A=1"}},
		{[]string{"HOME=", "A=1"}, true, []string{"A=1", "HOME=/h"}},
		{[]string{"HOME=/x", "HOME="}, true, []string{"HOME=/h"}},
		{[]string{"HOME=", "HOME=/x"}, false, []string{"HOME=/x"}},
		{[]string{"HOMELESS=1", "home=2"}, true, []string{"HOMELESS=1", "home=2", "HOME=/h"}},
	} {
		p := &specs.Process{Env: c.env}
		if got := NeedsHome(p); got != c.needs {
			t.Errorf("NeedsHome of %q is %v", c.env, got)
		}
		if got, err := Environment(p, "/h"); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q becomes %q (%v), want %q", c.env, got, err, c.want)
		}
	}
}

// PROC-09: a value may be a secret.
func TestBadEnvironment(t *testing.T) {
	for entry, want := range map[string]string{
		"secret":         "process.env[1]: not of the form NAME=value",
		"=secret":        "process.env[1]: not of the form NAME=value",
		"KEY=sec\x00ret": `process.env[1]: NUL byte in "KEY"`,
	} {
		_, err := Environment(&specs.Process{Env: []string{"A=1", entry}}, "/")
		if err == nil || err.Error() != want || strings.Contains(err.Error(), "sec") {
			t.Errorf("%q: %v, want %s", entry, err, want)
		}
	}
}
