package resctrl

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A schema is a line of a file schemata, such as L3:0=7ff;1=1f: the share of one resource, by the id of each cache or
// other domain. The kernel prints it with other blanks and zeros than it was written with.

// setting is one of linux.intelRdt that limits something.
type setting struct{ path, value string }

// schemas returns the settings in the order in which the specification wants them written.
func schemas(r *specs.LinuxIntelRdt) []setting {
	return slices.DeleteFunc([]setting{
		{"l3CacheSchema", r.L3CacheSchema},
		{"memBwSchema", r.MemBwSchema},
		{"schemata", strings.Join(r.Schemata, "\n")},
	}, func(s setting) bool { return s.value == "" })
}

// cut takes a schema apart.
func cut(line string) (resource string, shares []string) {
	resource, list, _ := strings.Cut(strings.TrimSpace(line), ":")
	return resource, strings.Split(list, ";")
}

// find returns the line of a resource, or the empty string.
func find(schemata, resource string) string {
	for line := range strings.Lines(schemata) {
		if name, _ := cut(line); name == resource {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// share takes the share of one domain apart. Bandwidth is decimal, a cache's bit mask hexadecimal.
func share(resource, text string) (domain, value uint64, err error) {
	base := 16
	if strings.HasSuffix(resource, "MB") || strings.HasSuffix(resource, "MBA") { // MB, and SMBA of AMD
		base = 10
	}
	id, number, _ := strings.Cut(text, "=")
	if domain, err = strconv.ParseUint(strings.TrimSpace(id), 10, 64); err == nil {
		value, err = strconv.ParseUint(strings.TrimSpace(number), base, 64)
	}
	return domain, value, err
}

// compare wants a group that exists to have the cache and bandwidth shares of the configuration, which it must not
// change for those who use the group already. Domains that the configuration does not name are left open.
func (t *Tree) compare(r *specs.LinuxIntelRdt, group string) error {
	shares := schemas(&specs.LinuxIntelRdt{L3CacheSchema: r.L3CacheSchema, MemBwSchema: r.MemBwSchema})
	if len(shares) == 0 {
		return nil
	}
	raw, err := os.ReadFile(filepath.Join(group, schemataFile))
	if err != nil {
		return fmt.Errorf("linux.intelRdt.closID: %w", err)
	}
	for _, s := range shares {
		resource, list := cut(s.value)
		has := find(string(raw), resource)
		same, err := t.covers(has, resource, list)
		if err != nil {
			return fmt.Errorf("linux.intelRdt.%s: %q: %w", s.path, s.value, err)
		}
		if !same {
			return fmt.Errorf("linux.intelRdt.%s: the group %s exists and has %q, not %q", s.path, group, has, s.value)
		}
	}
	return nil
}

// covers reports whether a line of schemata has all these shares.
func (t *Tree) covers(line, resource string, shares []string) (bool, error) {
	step := t.step(resource)
	has := map[uint64]uint64{}
	_, list := cut(line)
	for _, text := range list {
		if domain, value, err := share(resource, text); err == nil {
			has[domain] = value
		}
	}
	for _, text := range shares {
		domain, want, err := share(resource, text)
		if err != nil {
			return false, err
		}
		value, ok := has[domain]
		if !ok || value != want && value != (want+step-1)/step*step {
			return false, nil
		}
	}
	return true, nil
}

// step is what the kernel rounds bandwidth up to.
func (t *Tree) step(resource string) uint64 {
	if resource == "MB" {
		if n, err := readNumber(filepath.Join(t.Root, "info", resource, "bandwidth_gran")); err == nil && n > 0 {
			return n
		}
	}
	return 1
}

func readNumber(path string) (uint64, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(raw)), 10, 64)
}
