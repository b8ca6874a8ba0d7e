package systemd

import (
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"skep/cgroups"
)

const procDevices = `Character devices:
  1 mem
  5 /dev/tty
136 pts
137 pts
195 nvidia-frontend

Block devices:
  8 sd
259 blkext
`

// defaults are the devices that every container has.
var defaults = []deviceAllow{
	{"char-*", "m"}, {"block-*", "m"}, {"/dev/char/1:3", "rwm"}, {"/dev/char/1:5", "rwm"}, {"/dev/char/1:7", "rwm"},
	{"/dev/char/1:8", "rwm"}, {"/dev/char/1:9", "rwm"}, {"/dev/char/5:0", "rwm"}, {"char-pts", "rwm"},
	{"/dev/char/5:2", "rwm"}, {"/dev/char/10:200", "rwm"},
}

// CGD-08: systemd's list allows no less than the rules do, and on v1, where there is nothing else, no more.
func TestConvertDevices(t *testing.T) {
	all := specs.LinuxDeviceCgroup{Allow: false, Access: "rwm"}
	rule := func(allow bool, kind string, major, minor int64, access string) specs.LinuxDeviceCgroup {
		r := specs.LinuxDeviceCgroup{Allow: allow, Type: kind, Access: access}
		if major >= 0 {
			r.Major = &major
		}
		if minor >= 0 {
			r.Minor = &minor
		}
		return r
	}
	tests := []struct {
		name   string
		rules  []specs.LinuxDeviceCgroup
		policy string
		v1, v2 []deviceAllow // besides the default ones
	}{
		{"none but the default", []specs.LinuxDeviceCgroup{all}, "strict", nil, nil},
		{"all", []specs.LinuxDeviceCgroup{rule(true, "a", -1, -1, "rwm")}, "auto", nil, nil},
		{"all but one", []specs.LinuxDeviceCgroup{rule(true, "a", -1, -1, "rwm"), rule(false, "b", 8, 0, "rwm")}, "auto", nil, nil},
		{"one", []specs.LinuxDeviceCgroup{all, rule(true, "b", 8, 0, "rw")}, "strict",
			[]deviceAllow{{"/dev/block/8:0", "rw"}}, []deviceAllow{{"/dev/block/8:0", "rw"}}},
		{"a driver", []specs.LinuxDeviceCgroup{all, rule(true, "b", 8, -1, "r"), rule(true, "c", 195, -1, "rw")}, "strict",
			[]deviceAllow{{"block-sd", "r"}, {"char-nvidia-frontend", "rw"}}, []deviceAllow{{"block-sd", "r"}, {"char-nvidia-frontend", "rw"}}},
		{"an unknown driver", []specs.LinuxDeviceCgroup{all, rule(true, "c", 300, -1, "r")}, "strict",
			nil, []deviceAllow{{"char-*", "rm"}}},
		{"one minor of all", []specs.LinuxDeviceCgroup{all, rule(true, "c", -1, 3, "w")}, "strict",
			nil, []deviceAllow{{"char-*", "wm"}}},
		{"allowed and taken back", []specs.LinuxDeviceCgroup{all, rule(true, "b", 8, 0, "rwm"), rule(false, "b", 8, 0, "w")}, "strict",
			[]deviceAllow{{"/dev/block/8:0", "rm"}}, []deviceAllow{{"/dev/block/8:0", "rm"}}},
		{"allowed and wholly taken back", []specs.LinuxDeviceCgroup{all, rule(true, "b", 8, 0, "r"), rule(false, "b", 8, 0, "r")}, "strict", nil, nil},
		{"two taken back by one", []specs.LinuxDeviceCgroup{all, rule(true, "b", 8, 0, "r"), rule(true, "b", 8, 1, "rw"), rule(false, "b", 8, -1, "r")}, "strict",
			[]deviceAllow{{"/dev/block/8:1", "w"}}, []deviceAllow{{"/dev/block/8:1", "w"}}},
		{"reading here, writing there", []specs.LinuxDeviceCgroup{all, rule(true, "c", 195, -1, "r"), rule(true, "c", 195, 0, "w")}, "strict",
			[]deviceAllow{{"char-nvidia-frontend", "r"}, {"/dev/char/195:0", "rw"}},
			[]deviceAllow{{"char-nvidia-frontend", "r"}, {"/dev/char/195:0", "rw"}}},
		{"one after the other", []specs.LinuxDeviceCgroup{all, rule(true, "b", 8, 0, "m"), rule(true, "b", 8, 0, "r")}, "strict",
			[]deviceAllow{{"/dev/block/8:0", "rm"}}, []deviceAllow{{"/dev/block/8:0", "rm"}}},
		{"both kinds", []specs.LinuxDeviceCgroup{all, rule(true, "a", 8, 0, "r")}, "strict",
			[]deviceAllow{{"/dev/block/8:0", "r"}, {"/dev/char/8:0", "r"}}, []deviceAllow{{"/dev/block/8:0", "r"}, {"/dev/char/8:0", "r"}}},
	}
	for _, test := range tests {
		for _, mode := range []cgroups.Mode{cgroups.V1, cgroups.V2} {
			want := test.v1
			if mode == cgroups.V2 {
				want = test.v2
			}
			if test.policy == "strict" {
				rest := slices.DeleteFunc(slices.Clone(defaults), func(d deviceAllow) bool {
					return slices.ContainsFunc(want, func(w deviceAllow) bool { return w.Device == d.Device })
				})
				want = append(slices.Clone(want), rest...)
			}
			policy, got := devicesOf(t, mode, test.rules)
			if policy != test.policy || !slices.Equal(got, want) {
				t.Errorf("%s on %s:\n got %s %v\nwant %s %v", test.name, mode, policy, got, test.policy, want)
			}
		}
	}
}

func devicesOf(t *testing.T, mode cgroups.Mode, rules []specs.LinuxDeviceCgroup) (policy string, list []deviceAllow) {
	t.Helper()
	writes, _, err := cgroups.Compile(mode, &specs.LinuxResources{Devices: rules})
	if err != nil {
		t.Fatal(err)
	}
	props, _ := Convert(writes, Host{Version: newest, V1: mode == cgroups.V1, Read: nothing, Drivers: func(block bool) map[int64]string { return parseDrivers(procDevices, block) }})
	for _, p := range props {
		switch v := p.Value.Value().(type) {
		case string:
			policy = v
		case []deviceAllow:
			list = v
		}
	}
	return policy, list
}

// An update forgets what was allowed before; without rules it leaves the devices alone (CGD-09).
func TestConvertDevicesUpdate(t *testing.T) {
	got, _ := convert(t, cgroups.V2, &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}}, Host{Update: true})
	if want := []string{`DevicePolicy "strict"`, `DeviceAllow @a(ss) []`, `DeviceAllow [("block-*", "rwm",), ("char-*", "rwm",)]`}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got, _ := convert(t, cgroups.V2, &specs.LinuxResources{}, Host{Update: true}); len(got) > 0 {
		t.Errorf("without rules: %q", got)
	}
}
