package cgroups

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// legacy is v1's device controller as the kernel has it (security/device_cgroup.c).
type legacy struct {
	allowed    bool // what no exception is about
	exceptions []device
}

func (l *legacy) write(t *testing.T, w Write) {
	t.Helper()
	r := rule("ask " + w.Value)
	allow := w.File == "devices.allow"
	if r.Type == "a" {
		*l = legacy{allowed: allow}
		return
	}
	var c compiler
	d, ok := parseDevice(&c, "", r)
	if !ok {
		t.Fatalf("%q: %v", w.Value, c.errs)
	}
	i := slices.IndexFunc(l.exceptions, func(e device) bool { return e.kind == d.kind && e.major == d.major && e.minor == d.minor })
	switch {
	case allow != l.allowed && i < 0:
		l.exceptions = append(l.exceptions, d)
	case allow != l.allowed:
		l.exceptions[i].access |= d.access
	case i >= 0:
		l.exceptions[i].access &^= d.access
	}
}

func (l *legacy) allows(d device) bool {
	if l.allowed {
		return !slices.ContainsFunc(l.exceptions, func(e device) bool { return d.within(e) && d.access&e.access != 0 })
	}
	return slices.ContainsFunc(l.exceptions, func(e device) bool { return d.within(e) && d.access&^e.access == 0 })
}

// CGD-01 CGD-05: whatever the rules, both versions decide alike about whatever the kernel asks, or v1 says that it cannot.
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
		v1, _, err := Compile(V1, &specs.LinuxResources{Devices: list})
		if err != nil {
			continue
		}
		v2, _, err := Compile(V2, &specs.LinuxResources{Devices: list})
		if err != nil {
			t.Fatal(err)
		}
		compared++
		var l legacy
		for _, w := range v1 {
			l.write(t, w)
		}
		for _, kind := range "bc" {
			for n := range 9 {
				for _, letters := range []string{"r", "w", "rw", "m"} {
					major, minor := int64(6+n/3), int64(n%3)
					a, _ := accessOf(letters)
					asked := string(kind) + " " + strconv.FormatInt(major, 10) + ":" + strconv.FormatInt(minor, 10) + " " + letters
					filter := v2[0].program == nil || evaluate(t, v2[0].program, request(asked)) == 1
					if got := l.allows(device{byte(kind), major, minor, a}); got != filter {
						t.Fatalf("%s: %v on v1, %v on v2, by %s", asked, got, filter, strings.Join(text, ", "))
					}
				}
			}
		}
	}
	if compared < 1000 {
		t.Errorf("only %d lists can be compared", compared)
	}
}
