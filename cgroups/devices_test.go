package cgroups

import (
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// rule reads "deny c 1:3 rw"; absent words are absent fields.
func rule(s string) specs.LinuxDeviceCgroup {
	words := append(strings.Split(s, " "), "", "", "")
	r := specs.LinuxDeviceCgroup{Allow: words[0] == "allow", Type: words[1], Access: words[3]}
	number := func(s string) *int64 {
		switch s {
		case "", "*":
			return nil
		case "-2":
			return ptr[int64](-2)
		}
		n := int64(0)
		for _, digit := range s {
			n = n*10 + int64(digit-'0')
		}
		return &n
	}
	major, minor, _ := strings.Cut(words[2], ":")
	r.Major, r.Minor = number(major), number(minor)
	return r
}

func rules(lines ...string) (rs []specs.LinuxDeviceCgroup) {
	for _, line := range lines {
		rs = append(rs, rule(line))
	}
	return rs
}

// What follows every list that denies by default.
var defaults = []string{
	"allow c *:* m", "allow b *:* m",
	"allow c 1:3 rwm", "allow c 1:5 rwm", "allow c 1:7 rwm", "allow c 1:8 rwm", "allow c 1:9 rwm", "allow c 5:0 rwm",
	"allow c 136:* rwm", "allow c 5:2 rwm", "allow c 10:200 rwm",
}

type devicesTest struct {
	name  string
	rules []string
	want  []string // without the defaults at the end
	all   bool     // they are not written: everything is allowed
	err   string
}

func devicesTests() []devicesTest {
	return []devicesTest{
		{name: "deny all", rules: []string{"deny a *:* rwm"}, want: []string{"deny a *:* rwm"}}, // CGD-07
		{name: "unset is all", rules: []string{"deny"}, want: []string{"deny a *:* rwm"}},       // CGD-03 CGD-04 CGD-05
		{name: "privileged", rules: []string{"allow a *:* rwm"}, want: []string{"allow a *:* rwm"}, all: true},
		{name: "order", // CGD-01
			rules: []string{"deny", "allow c 1:3 rwm", "deny c 1:3 w"},
			want:  []string{"deny a *:* rwm", "allow c 1:3 rwm", "deny c 1:3 w"}},
		{name: "last word for all", rules: []string{"allow c 1:3", "deny"},
			want: []string{"deny a *:* rwm", "allow c 1:3 rwm", "deny a *:* rwm"}},
		{name: "each access", rules: []string{"deny", "allow b 8:0 r", "allow b 8:0 m", "allow b 8:0 rm"}, // CGD-05
			want: []string{"deny a *:* rwm", "allow b 8:0 r", "allow b 8:0 m"}},
		{name: "both kinds", rules: []string{"deny", "allow a 8:* r"},
			want: []string{"deny a *:* rwm", "allow b 8:* r", "allow c 8:* r"}},
		{name: "some access of all", rules: []string{"allow a *:* r", "deny", "allow a *:* r"},
			want: []string{"deny a *:* rwm", "allow b *:* r", "allow c *:* r", "deny a *:* rwm", "allow b *:* r", "allow c *:* r"}},
		{name: "a wide rule takes back the narrow ones",
			rules: []string{"deny", "allow c 7:1 rw", "allow c 7:2 r", "allow b 7:1 rw", "deny c 7:* r"},
			want: []string{"deny a *:* rwm", "allow c 7:1 rw", "allow c 7:2 r", "allow b 7:1 rw",
				"deny c 7:1 r", "deny c 7:2 r"}},
		{name: "taken back, it can be given again",
			rules: []string{"deny", "allow c 7:1 rw", "deny c 7:1 rw", "allow c 7:1 r"},
			want:  []string{"deny a *:* rwm", "allow c 7:1 rw", "deny c 7:1 rw", "allow c 7:1 r"}},
		{name: "a narrow rule completes a wide one", rules: []string{"deny", "allow c 7:* r", "allow c 7:1 w"}, // CGD-05
			want: []string{"deny a *:* rwm", "allow c 7:* r", "allow c 7:1 w", "allow c 7:1 rw"}},
		{name: "a wide rule completes a narrow one", rules: []string{"deny", "allow c 7:1 wm", "allow c 7:* r"},
			want: []string{"deny a *:* rwm", "allow c 7:1 wm", "allow c 7:* r", "allow c 7:1 rw"}},
		{name: "crossing rules complete each other", rules: []string{"deny", "allow c 7:* r", "allow c *:1 w"},
			want: []string{"deny a *:* rwm", "allow c 7:* r", "allow c *:1 w", "allow c 7:1 rw"}},
		{name: "nothing to be completed", rules: []string{"deny", "allow c 7:* r", "allow c 7:1 rw", "allow b 7:1 w", "allow c 8:1 w"},
			want: []string{"deny a *:* rwm", "allow c 7:* r", "allow c 7:1 rw", "allow b 7:1 w", "allow c 8:1 w"}},
		{name: "one has it all", rules: []string{"deny", "allow c 7:1 r", "allow c 7:* rw", "allow c 7:2 w"},
			want: []string{"deny a *:* rwm", "allow c 7:1 r", "allow c 7:* rw"}},
		{name: "hole", rules: []string{"deny", "allow c 7:* rw", "deny c 7:1 w"},
			err: "linux.resources.devices[2]: cgroup v1 cannot except c 7:1 w from an earlier rule for c 7:* rw"},
		{name: "no hole for other access", rules: []string{"deny", "allow c 7:* r", "deny c 7:1 w"},
			want: []string{"deny a *:* rwm", "allow c 7:* r"}},
		{name: "crossing", rules: []string{"deny", "allow c *:1 r", "deny c 7:* r"},
			err: "linux.resources.devices[2]: cgroup v1 cannot except"},
		{name: "a default cannot be denied", rules: []string{"allow", "deny c 1:* rwm"},
			err: "linux.resources.devices: cgroup v1 cannot except c 1:3 rwm from an earlier rule for c 1:* rw"},
		{name: "exception from everything", rules: []string{"allow", "deny b 8:0 rw"},
			want: []string{"allow a *:* rwm", "deny b 8:0 rw"}, all: true},
	}
}

func TestCompileDevicesV1(t *testing.T) {
	for _, tt := range devicesTests() {
		t.Run(tt.name, func(t *testing.T) {
			writes, warnings, err := Compile(V1, &specs.LinuxResources{Devices: rules(tt.rules...)})
			if tt.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tt.err) {
					t.Fatalf("error %v, want %s", err, tt.err)
				}
				return
			}
			var got []string
			for _, w := range writes {
				got = append(got, strings.TrimPrefix(w.File, "devices.")+" "+w.Value)
			}
			want := tt.want
			if !tt.all {
				want = append(slices.Clone(want), defaults...)
			}
			if err != nil || len(warnings) != 0 || !slices.Equal(got, want) {
				t.Errorf("%q, %q, %v\nwant %q", got, warnings, err, want)
			}
		})
	}
}

// The engines list the default devices themselves; the kernel need not hear of
// them twice.
func TestCompileDevicesOnce(t *testing.T) {
	writes, _, err := Compile(V1, &specs.LinuxResources{Devices: rules(append([]string{"deny"}, defaults...)...)})
	if err != nil || len(writes) != 1+len(defaults) {
		t.Errorf("%d writes, %v", len(writes), err)
	}
}
