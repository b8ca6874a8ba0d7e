package process

import (
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// CAP-01 CAP-02 CAP-03 CAP-04 CAP-05 CAP-06 CAP-07 CAP-08 CAP-09
func TestCapabilities(t *testing.T) {
	k := []string{"CAP_KILL"}
	kc := []string{"CAP_KILL", "CAP_CHOWN"}
	without := func(m uint64) Host { return Host{Grantable: fullHost.Grantable &^ m, LastCap: 40} }
	for name, c := range map[string]struct {
		caps     *specs.LinuxCapabilities
		host     Host
		want     capSets
		warnings []string
	}{
		"absent":  {nil, fullHost, capSets{}, nil},
		"empty":   {&specs.LinuxCapabilities{}, fullHost, capSets{}, nil},
		"all":     {allSets(kc...), fullHost, capSets{kill | chown, kill | chown, kill | chown, kill | chown, kill | chown}, nil},
		"each":    {&specs.LinuxCapabilities{Bounding: kc, Permitted: kc, Effective: k}, fullHost, capSets{bounding: kill | chown, permitted: kill | chown, effective: kill}, nil},
		"unknown": {allSets("CAP_KILL", "CAP_NO_SUCH", "cap_chown", "CHOWN"), fullHost, capSets{kill, kill, kill, kill, kill}, nil},
		"not grantable": {
			allSets("CAP_SYS_TIME", "CAP_KILL", "CAP_CHOWN", "CAP_BPF"), without(chown | 1<<25 | 1<<39),
			capSets{kill, kill, kill, kill, kill},
			[]string{"process.capabilities: cannot be granted here: CAP_CHOWN CAP_SYS_TIME CAP_BPF"},
		},
		"newer than the kernel": {
			allSets("CAP_KILL", "CAP_BPF"), Host{Grantable: ^uint64(0), LastCap: 38}, capSets{kill, kill, kill, kill, kill},
			[]string{"process.capabilities: cannot be granted here: CAP_BPF"},
		},
		"effective only": {
			&specs.LinuxCapabilities{Bounding: kc, Permitted: k, Effective: kc}, fullHost,
			capSets{bounding: kill | chown, permitted: kill, effective: kill},
			[]string{"process.capabilities.effective: not permitted, so not effective: CAP_CHOWN"},
		},
		"inheritable but not bounding": {
			&specs.LinuxCapabilities{Permitted: k, Inheritable: k, Ambient: k}, fullHost, capSets{permitted: kill},
			[]string{"process.capabilities.inheritable: not in the bounding set, so not inheritable: CAP_KILL"},
		},
		"ambient, not inheritable": {
			&specs.LinuxCapabilities{Bounding: k, Permitted: k, Ambient: k}, fullHost,
			capSets{bounding: kill, permitted: kill}, nil, // the validation has warned
		},
	} {
		got, warnings := capabilities(c.caps, c.host)
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		if !slices.Equal(warnings, c.warnings) {
			t.Errorf("%s: warnings %q, want %q", name, warnings, c.warnings)
		}
	}
}
