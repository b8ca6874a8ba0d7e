package systemd

import (
	"strings"
	"testing"
)

func TestAnnotated(t *testing.T) {
	tests := []struct{ key, text, want string }{
		{"CollectMode", "'inactive-or-failed'", `CollectMode "inactive-or-failed"`},
		{"CollectMode", `"inactive"`, `CollectMode "inactive"`},
		{"TimeoutStopUSec", "uint64 123456789", "TimeoutStopUSec @t 123456789"},
		{"TimeoutStopSec", "uint64 5", "TimeoutStopUSec @t 5000000"},
		{"TimeoutStopSec", "5", "TimeoutStopUSec @t 5000000"},
		{"TimeoutStopSec", "byte 5", "TimeoutStopUSec @t 5000000"},
		{"TimeoutStopSec", "int16 5", "TimeoutStopUSec @t 5000000"},
		{"TimeoutStopSec", "uint16 5", "TimeoutStopUSec @t 5000000"},
		{"TimeoutStopSec", "uint32 5", "TimeoutStopUSec @t 5000000"},
		{"TimeoutStopSec", "int64 5", "TimeoutStopUSec @t 5000000"},
		{"TimeoutStopSec", "1.5", "TimeoutStopUSec @t 1500000"},
		{"After", "['a.service', 'b.service']", `After ["a.service", "b.service"]`},
		{"SendSIGHUP", "true", "SendSIGHUP true"},
		{"DeviceAllow", "[('/dev/null', 'rwm')]", ""},
	}
	for _, test := range tests {
		got, err := Annotated(map[string]string{"org.systemd.property." + test.key: test.text, "org.systemd": "x", "other": "y"})
		if test.want == "" { // tuples are not in godbus's grammar
			if err == nil {
				t.Errorf("%s %s: accepted", test.key, test.text)
			}
			continue
		}
		if err != nil || len(got) != 1 || got[0].String() != test.want {
			t.Errorf("%s %s: %v, %v, want %s", test.key, test.text, got, err, test.want)
		}
	}
}

func TestAnnotatedRefused(t *testing.T) {
	tests := []struct{ key, text, want string }{
		{"", "1", "not the name of a property"},
		{"Ab", "1", "not the name of a property"},
		{"A1b", "1", "not the name of a property"},
		{"Memory-Max", "1", "not the name of a property"},
		{"Größe", "1", "not the name of a property"},
		{"PIDs", "[uint32 1]", "the runtime itself sets"},
		{"Slice", "'a.slice'", "the runtime itself sets"},
		{"Delegate", "false", "the runtime itself sets"},
		{"MemoryMax", "", "GVariant"},
		{"MemoryMax", "inactive", "GVariant"},
		{"MemoryMax", "uint64 -1", "GVariant"},
		{"MemoryMax", "uint64 1 2", "GVariant"},
		{"TimeoutStopSec", "'5'", "is no number of seconds"},
		{"TimeoutStopSec", "-1", "out of range"},
		{"TimeoutStopSec", "-1.5", "out of range"},
		{"TimeoutStopSec", "1e300", "out of range"},
		{"TimeoutStopSec", "uint64 18446744073709551615", "out of range"},
	}
	for _, test := range tests {
		key := "org.systemd.property." + test.key
		got, err := Annotated(map[string]string{key: test.text})
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), `annotations["`+key+`"]: `) {
			t.Errorf("%s %q: %v, %v, want an error with %q", test.key, test.text, got, err, test.want)
		}
	}
}
