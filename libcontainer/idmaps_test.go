package libcontainer

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// UIDM-05: what is listed besides a path is compared with what the user namespace has.
func TestCheckIDMap(t *testing.T) {
	const path = "/run/userns/pod"
	for _, test := range []struct{ name, listed, found, want string }{
		{"none listed", "", "0 100000 65536\n", ""},
		{"equal", "0 100000 65536\n", "         0     100000      65536\n", "warning"},
		{"in another order", "1000 5 1\n0 100000 10\n", "0 100000 10\n1000 5 1\n", "warning"},
		{"in pieces", "0 100000 10\n10 100010 10\n", "0 100000 20\n", "warning"},
		{"neighbours inside only", "0 100000 10\n10 200000 10\n", "0 100000 20\n", "error"},
		{"other host ids", "0 200000 65536\n", "0 100000 65536\n", "error"},
		{"fewer", "0 100000 1\n", "0 100000 65536\n", "error"},
	} {
		listed, err := parseIDMap(test.listed)
		if err != nil {
			t.Fatal(err)
		}
		found, err := parseIDMap(test.found)
		if err != nil {
			t.Fatal(err)
		}
		warning, err := checkIDMap("linux.uidMappings", listed, found, path)
		got := ""
		switch {
		case err != nil:
			got = "error"
			if text := err.Error(); !strings.HasPrefix(text, "linux.uidMappings: ") || !strings.Contains(text, path) || !strings.Contains(text, "0 100000 ") {
				t.Errorf("%s: %s", test.name, text)
			}
		case len(warning) > 0:
			got = "warning"
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestParseIDMap(t *testing.T) {
	for _, text := range []string{"0 1\n", "0 1 2 3\n", "0 -1 1\n", "0 4294967296 1\n"} {
		if ids, err := parseIDMap(text); err == nil {
			t.Errorf("%q is %v", text, ids)
		}
	}
	ids, err := parseIDMap("0 1000 1\n1 100000 65536\n")
	want := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 1}, {ContainerID: 1, HostID: 100_000, Size: 65_536}}
	if err != nil || len(ids) != 2 || ids[0] != want[0] || ids[1] != want[1] {
		t.Errorf("%v, %v", ids, err)
	}
}
