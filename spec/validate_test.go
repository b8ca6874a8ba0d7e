package spec

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wantProblems compares the problems with "path: fragment" lines, in order.
func wantProblems(t *testing.T, name string, err error, want ...string) {
	t.Helper()
	ps, _ := errors.AsType[Problems](err)
	ok := len(ps) == len(want)
	for i := 0; ok && i < len(ps); i++ {
		path, text, _ := strings.Cut(want[i], ": ")
		ok = ps[i].Path == path && strings.Contains(ps[i].Text, text)
	}
	if !ok {
		t.Errorf("%s\n got %v\nwant %q", name, err, want)
	}
}

// check parses and validates a document.
func check(t *testing.T, raw string, opt Options) ([]string, error) {
	t.Helper()
	s, warnings, err := Parse([]byte(raw))
	if err != nil {
		return warnings, err
	}
	more, err := Validate(s, opt)
	return append(warnings, more...), err
}

// The configurations that managers made are valid and cause no warnings.
func TestRecordedBundles(t *testing.T) {
	n := 0
	for _, file := range glob(t, bundles+"/*.json") {
		if strings.HasSuffix(file, ".process.json") {
			p, _, err := ParseProcess(readFile(t, file))
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			if warnings, err := ValidateProcess(p, nil, Options{}); err != nil || len(warnings) != 0 {
				t.Errorf("%s: %q, %v", file, warnings, err)
			}
			continue
		}
		n++
		raw := strings.ReplaceAll(string(readFile(t, file)), "JOIN:", "/run/ns/")
		s, warnings, err := Parse([]byte(raw))
		if err != nil || len(warnings) != 0 {
			t.Errorf("%s: %q, %v", file, warnings, err)
			continue
		}
		if warnings, err := Validate(s, Options{Detached: true, ConsoleSocket: s.Process.Terminal}); err != nil || len(warnings) != 0 {
			t.Errorf("%s: %q, %v", file, warnings, err)
		}
	}
	if n != 42 {
		t.Errorf("%d bundles instead of 42", n)
	}
}

// The samples of the specification's schema. Those listed break a rule that a
// schema cannot express; what is wrong with another platform's section does
// not matter (EXT-04).
func TestSchemaSamples(t *testing.T) {
	want := map[string][]string{
		"good/spec-example.json":    {"ociVersion: only 1.x.y"},
		"good/zos-example.json":     {"ociVersion: only 1.x.y", "hostname: uts namespace"},
		"good/freebsd-example.json": {"hostname: uts namespace"},
		"good/linux-netdevice.json": {"linux.netDevices: network namespace"},
		"bad/invalid-json.json":     {": invalid character ']'"},
		"bad/linux-hugepage.json":   {`linux.resources.hugepageLimits[0].pageSize: "64kB" is not a size`},
		"bad/linux-netdevice.json":  {"linux.netDevices.eth0.name: 23 is a number, expected a string"},
		"bad/linux-rdma.json":       {"linux.resources.rdma.mlx5_1.hcaHandles: expected an integer"},
	}
	for _, file := range glob(t, "testdata/schema/*/*.json") {
		name, _ := filepath.Rel("testdata/schema", file)
		_, err := check(t, string(readFile(t, file)), Options{})
		wantProblems(t, name, err, want[name]...)
	}
}

func TestProblemsError(t *testing.T) { // OPC-09
	_, err := check(t, `{"ociVersion":"x","root":{"path":"r"},"process":{"user":{"uid":0,"gid":0},"cwd":"x","args":["a"]}}`, Options{})
	want := "2 problems in the configuration:\n" +
		"  ociVersion: \"x\" is not a version of the form MAJOR.MINOR.PATCH (SemVer 2.0.0)\n" +
		"  process.cwd: \"x\" is not an absolute path"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	_, err = check(t, `{"ociVersion":"1.0.0"}`, Options{})
	if err == nil || err.Error() != "root: required but missing" {
		t.Errorf("got %v", err)
	}
}

func TestVersion(t *testing.T) {
	for version, text := range map[string]string{
		"1.0.0": "", "1.0.2-dev": "", "1.1.0+dev": "", "1.3.0": "", "1.99.0": "", "1.0.0-rc.1+b.01": "", // VER-03, VER-05
		"":    "required",                                                                                               // VER-01
		"foo": "SemVer", "1.0": "SemVer", "v1.0.0": "SemVer", "1.0.0.0": "SemVer", "1.00.0": "SemVer", "1..0": "SemVer", // VER-02
		"1.0.0-": "SemVer", "1.0.0-01": "SemVer", "1.0.0+": "SemVer", "1.0.0-a..b": "SemVer", "1.0.0 ": "SemVer", "1.0.-1": "SemVer", // VER-02
		"2.0.0": "not supported", "0.9.0": "not supported", "10.0.0": "not supported", // VER-04
	} {
		_, err := check(t, `{"ociVersion":"`+version+`","root":{"path":"r"}}`, Options{})
		if text == "" {
			wantProblems(t, version, err)
		} else {
			wantProblems(t, version, err, "ociVersion: "+text)
		}
	}
}

// The kernel reads a map with one write of less than a page, so that fewer long lines fit than short ones.
func TestLongMappings(t *testing.T) { // UIDM-06, IDM-12
	for host, long := range map[string]bool{"1": false, "1000000": os.Getpagesize() == 4096} {
		lines := make([]string, maxMappings)
		for i := range lines {
			lines[i] = fmt.Sprintf(`{"containerID":%d,"hostID":%s%03d,"size":1}`, i, host, i)
		}
		list := `[` + strings.Join(lines, ",") + `]`
		_, err := check(t, base(`,"linux":{"namespaces":[{"type":"user"}],"uidMappings":`+list+`,"gidMappings":[`+idMaps(1, 1)+`]}`), Options{})
		if long {
			wantProblems(t, host, err, "linux.uidMappings: 340 mappings make 5670 bytes, and the kernel takes less than a page (4096)")
		} else {
			wantProblems(t, host, err)
		}
	}
}

func TestExample(t *testing.T) { // CLI-17, MNT-16
	for _, opt := range []ExampleOptions{{}, {CgroupNamespace: true}, {Rootless: true, UID: 1000, GID: 1001, CgroupNamespace: true}} {
		text, err := ExampleJSON(opt)
		if err != nil {
			t.Fatal(err)
		}
		warnings, err := check(t, string(text), Options{Rootless: opt.Rootless})
		if err != nil || len(warnings) != 0 {
			t.Errorf("%+v: %q, %v", opt, warnings, err)
		}
		for fragment, want := range map[string]bool{
			"{\n\t\"ociVersion\": \"1.3.0\",\n\t\"process\": {\n\t\t\"terminal\": true,\n\t\t\"user\": {\n\t\t\t\"uid\": 0,\n": true,
			"\"hostname\": \"skep\"":  true,
			"\"type\": \"cgroup\"\n":  opt.CgroupNamespace,
			"\"type\": \"network\"\n": !opt.Rootless,
			"\"allow\": false":        !opt.Rootless,
			"\"gid=5\"":               !opt.Rootless,
			"\"rbind\"":               opt.Rootless,
			"\"hostID\": 1001":        opt.Rootless,
			"null":                    false,
			"\"readonly\": false":     false,
		} {
			if strings.Contains(string(text), fragment) != want {
				t.Errorf("%+v: %q is there: %t", opt, fragment, !want)
			}
		}
	}
}
