package spec

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

func exampleBuild() Build {
	return Build{
		Version: "1.2.3", Commit: "abc", Libseccomp: "2.6.0",
		SeccompArchs: []string{"SCMP_ARCH_X86_64"}, SeccompFlags: []string{"SECCOMP_FILTER_FLAG_LOG"},
	}
}

// The specification's own schema judges the features, and shows on its own examples that it can.
func TestFeaturesSchema(t *testing.T) { // FT-01, FT-03, FT-04, FT-09
	schema, err := jsonschema.NewCompiler().Compile("testdata/schema/features-schema.json")
	if err != nil {
		t.Fatal(err)
	}
	judge := func(document []byte) error {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(v)
	}
	for _, file := range glob(t, "testdata/features/*/*.json") {
		good := filepath.Base(filepath.Dir(file)) == "good"
		if err := judge(readFile(t, file)); (err == nil) != good {
			t.Errorf("%s: %v", file, err)
		}
	}
	document, err := json.Marshal(Features(exampleBuild()))
	if err != nil {
		t.Fatal(err)
	}
	if err := judge(document); err != nil {
		t.Errorf("%s: %v", document, err)
	}
	// The same with one thing wrong is no longer valid.
	for _, wrong := range [][2]string{{`"ociVersionMax"`, `"x"`}, {"FILTER_FLAG_LOG", "FOO"}, {`"uts"`, `"foo"`}} {
		if judge(bytes.Replace(document, []byte(wrong[0]), []byte(wrong[1]), 1)) == nil {
			t.Errorf("with %s instead of %s it is still valid", wrong[1], wrong[0])
		}
	}
}

// Every name is accepted where a configuration uses it.
func TestFeaturesAccepted(t *testing.T) { // VER-05, FT-07, FTL-01, FTL-02, FTL-04, FTL-05, FTL-07
	f := Features(exampleBuild())
	for _, version := range []string{f.OCIVersionMin, f.OCIVersionMax} {
		if _, err := Validate(&specs.Spec{Version: version, Root: &specs.Root{Path: "/"}}, Options{}); err != nil {
			t.Errorf("ociVersion %s: %v", version, err)
		}
	}
	for _, option := range f.MountOptions {
		if o, err := ParseMountOptions([]string{option}); err != nil || len(o.Data) > 0 {
			t.Errorf("mount option %s: data %q, %v", option, o.Data, err)
		}
	}
	linux := func(members string) {
		t.Helper()
		if warnings, err := check(t, base(`,"linux":{`+members+`}`), Options{}); err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v, warnings %q", members, err, warnings)
		}
	}
	for _, name := range f.Linux.Namespaces {
		linux(`"namespaces":[{"type":"` + name + `","path":"/x"}]`)
	}
	s := f.Linux.Seccomp
	for _, name := range s.Actions {
		linux(`"seccomp":{"defaultAction":"` + name + `","listenerPath":"/a"}`)
	}
	const rule = `"seccomp":{"defaultAction":"SCMP_ACT_ALLOW",`
	for _, name := range s.Operators {
		linux(rule + `"syscalls":[{"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":0,"value":1,"op":"` + name + `"}]}]}`)
	}
	for _, name := range s.Archs {
		linux(rule + `"architectures":["` + name + `"]}`)
	}
	for _, name := range s.KnownFlags {
		linux(rule + `"flags":["` + name + `"]}`)
	}
	for _, name := range f.Linux.MemoryPolicy.Flags {
		linux(`"memoryPolicy":{"mode":"MPOL_BIND","nodes":"0","flags":["` + name + `"]}`)
	}
	for _, name := range f.Linux.MemoryPolicy.Modes {
		nodes := `,"nodes":"0"`
		if name == string(specs.MpolDefault) || name == string(specs.MpolLocal) {
			nodes = ""
		}
		linux(`"memoryPolicy":{"mode":"` + name + `"` + nodes + `}`)
	}
	if len(f.Linux.Capabilities) != 41 || slices.ContainsFunc(f.Linux.Capabilities, func(c string) bool { return !Capabilities.Has(c) }) {
		t.Errorf("capabilities %q", f.Linux.Capabilities)
	}
}

// Lists are there even when they are empty: a missing one means that nobody knows.
func TestFeaturesKnown(t *testing.T) { // FT-05, FT-06, FT-08, FT-09, FT-10
	f := Features(exampleBuild())
	if !slices.Equal(f.PotentiallyUnsafeConfigAnnotations, []string{"org.criu.config", "org.systemd.property.", "run.oci.mount_context_type"}) || len(f.Hooks) != 6 {
		t.Errorf("annotations %v, hooks %q", f.PotentiallyUnsafeConfigAnnotations, f.Hooks)
	}
	for _, name := range []string{"size", "size=1", "mode", "lowerdir", ""} {
		if slices.Contains(f.MountOptions, name) {
			t.Errorf("%q is a mount option", name)
		}
	}
	want := map[string]string{"skep.version": "1.2.3", "skep.commit": "abc", "io.github.seccomp.libseccomp.version": "2.6.0"}
	if got := f.Annotations; len(got) != len(want) {
		t.Errorf("annotations %q", got)
	}
	for key, value := range want {
		if f.Annotations[key] != value {
			t.Errorf("%s is %q", key, f.Annotations[key])
		}
	}
	b := exampleBuild()
	b.Commit = ""
	if got := Features(b).Annotations; len(got) != 2 {
		t.Errorf("without a commit: %q", got)
	}
	if l := f.Linux; strings.Join(l.Seccomp.SupportedFlags, "") != "SECCOMP_FILTER_FLAG_LOG" || len(l.Seccomp.KnownFlags) != 4 {
		t.Errorf("seccomp %+v", l.Seccomp)
	}
}
