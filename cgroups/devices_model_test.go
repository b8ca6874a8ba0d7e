package cgroups

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// legacy is v1's device controller as the kernel has it (security/device_cgroup.c).
type legacy struct {
	allowed    bool // what no exception is about
	exceptions []Device
}

func (l *legacy) write(t *testing.T, w Write) {
	t.Helper()
	allow := w.File == "devices.allow"
	if strings.HasPrefix(w.Value, "a") {
		*l = legacy{allowed: allow}
		return
	}
	d, err := readDevice(w.Value)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(l.exceptions, func(e Device) bool { return e.within(d) && d.within(e) })
	switch {
	case allow != l.allowed && i < 0:
		l.exceptions = append(l.exceptions, d)
	case allow != l.allowed:
		l.exceptions[i].Access |= d.Access
	case i >= 0:
		l.exceptions[i].Access &^= d.Access
	}
}

func (l *legacy) allows(d Device) bool {
	if l.allowed {
		return !slices.ContainsFunc(l.exceptions, func(e Device) bool { return d.within(e) && d.Access&e.Access != 0 })
	}
	return slices.ContainsFunc(l.exceptions, func(e Device) bool { return d.within(e) && d.Access&^e.Access == 0 })
}

// listed tells whether a list that knows only what is allowed, such as systemd's, allows it.
func listed(allowed []Device, d Device) bool {
	return slices.ContainsFunc(allowed, func(e Device) bool { return d.within(e) && d.Access&^e.Access == 0 })
}

// questions are what the kernel may ask about a few devices.
func questions() (all []Device) {
	for _, kind := range []byte("bc") {
		for n := range int64(9) {
			for _, a := range []Access{mayRead, mayWrite, mayOpen, mayMknod} {
				all = append(all, Device{kind, 6 + n/3, n % 3, a})
			}
		}
	}
	return all
}

// CGD-01 CGD-05 CGD-08: whatever the rules, both versions decide alike about whatever the kernel asks, or v1 says that it
// cannot. A list of what is allowed has no less, and no more if v1 can express the rules.
func TestDevicesOnBothVersions(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	one := func(of ...string) string { return of[random.IntN(len(of))] }
	compared := 0
	for range 5000 {
		var list []specs.LinuxDeviceCgroup
		var text []string
		for range 1 + random.IntN(6) {
			line := one("allow", "allow", "deny") + " " + one("a", "b", "c", "c", "c") + " " + one("*", "6", "7") + ":" + one("*", "1", "2") +
				" " + one("r", "w", "m", "rw", "rwm", "rwm")
			if random.IntN(6) == 0 {
				line = one("allow", "deny")
			}
			text, list = append(text, line), append(list, rule(line))
		}
		v2, _, err := Compile(V2, &specs.LinuxResources{Devices: list})
		if err != nil {
			t.Fatal(err)
		}
		v1, _, err := Compile(V1, &specs.LinuxResources{Devices: list})
		both := err == nil
		if both {
			compared++
		}
		var l legacy
		for _, w := range v1 {
			l.write(t, w)
		}
		program := filterProgram(v2[0].rules)
		list1, all := AllowedDevices(v1)
		list2, _ := AllowedDevices(v2)
		for _, d := range questions() {
			filter := program == nil || evaluate(t, program, request(d.String())) == 1
			if both && l.allows(d) != filter || filter && !listed(list2, d) || both && !all && listed(list1, d) != filter {
				t.Fatalf("%s: %v on v1, %v on v2, in their lists %v and %v, by %s",
					d, l.allows(d), filter, listed(list1, d), listed(list2, d), strings.Join(text, ", "))
			}
		}
	}
	if compared < 1000 {
		t.Errorf("only %d lists can be compared", compared)
	}
}
