package tests

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// recordedCount is how many configurations there are. All must run.
const recordedCount = 42

// recorded returns the configurations that managers wrote, by name.
func recorded(t *testing.T) map[string]specs.Spec {
	t.Helper()
	paths, err := filepath.Glob("testdata/bundles/*-[0-9][0-9].json")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]specs.Spec)
	for _, path := range paths {
		var spec specs.Spec
		if err := json.Unmarshal([]byte(readFile(t, path)), &spec); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		found[strings.TrimSuffix(filepath.Base(path), ".json")] = spec
	}
	if len(found) != recordedCount {
		t.Fatalf("%d recorded bundles in testdata/bundles, not %d", len(found), recordedCount)
	}
	return found
}

// joinable are the namespaces that pods and --pid=container: share.
var joinable = map[specs.LinuxNamespaceType]uintptr{
	specs.PIDNamespace: unix.CLONE_NEWPID, specs.IPCNamespace: unix.CLONE_NEWIPC,
	specs.NetworkNamespace: unix.CLONE_NEWNET, specs.UTSNamespace: unix.CLONE_NEWUTS,
}

// joinRecorded puts the namespaces of another process in place of those that
// a recorded configuration is to join.
func joinRecorded(t *testing.T, spec *specs.Spec) (joined []specs.LinuxNamespaceType) {
	t.Helper()
	var flags uintptr
	for _, ns := range spec.Linux.Namespaces {
		if ns.Path != "" {
			joined = append(joined, ns.Type)
			flags |= joinable[ns.Type]
		}
	}
	if joined == nil {
		return nil
	}
	pid := holder(t, flags, nil)
	for i := range spec.Linux.Namespaces {
		if ns := &spec.Linux.Namespaces[i]; ns.Path == "JOIN:"+string(ns.Type) {
			ns.Path = procPath(pid, "ns/"+namespaceFiles[ns.Type])
		}
	}
	return joined
}

// makeLayers makes the directories that the options of an overlay name, and
// the names absolute: the kernel takes them from its caller's directory.
func makeLayers(t *testing.T, b bundle, m *specs.Mount) {
	t.Helper()
	if m.Type != "overlay" {
		return
	}
	m.Options = slices.Clone(m.Options)
	for i, option := range m.Options {
		key, layer, _ := strings.Cut(option, "=")
		if !strings.HasPrefix(layer, "binds/") {
			continue
		}
		layer = filepath.Join(b.dir, layer)
		if err := os.MkdirAll(layer, 0o755); err != nil {
			t.Fatal(err)
		}
		m.Options[i] = key + "=" + layer
	}
}

// recordedBundle makes a bundle of a recorded configuration.
func recordedBundle(t *testing.T, spec specs.Spec, edits ...edit) bundle {
	t.Helper()
	replace := func(s *specs.Spec) {
		path := s.Linux.CgroupsPath
		*s = spec
		linux := *spec.Linux // the other runtime's bundle shares it
		process := *spec.Process
		s.Linux, s.Process = &linux, &process
		s.Linux.CgroupsPath = path
	}
	b := newBundle(t, append([]edit{replace}, edits...)...)
	b.spec.Mounts = slices.Clone(spec.Mounts)
	for i := range b.spec.Mounts {
		makeLayers(t, b, &b.spec.Mounts[i])
	}
	b.save()
	for _, m := range spec.Mounts {
		if !strings.HasPrefix(m.Source, "binds/") {
			continue
		}
		// Managers bind their own copies of files below /etc, and directories.
		path := filepath.Join(b.dir, m.Source)
		if strings.HasPrefix(m.Destination, "/etc/") {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			writeFile(t, path, "of the manager\n")
		} else if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if maps := spec.Linux.UIDMappings; len(maps) > 0 {
		b.chown(int(maps[0].HostID), int(spec.Linux.GIDMappings[0].HostID))
	}
	return b
}

// What a manager wrote runs to its end.
func TestRecordedBundles(t *testing.T) {
	ran := 0
	for name, spec := range recorded(t) {
		ran++ // also where only some of them are asked for
		t.Run(name, func(t *testing.T) {
			joinRecorded(t, &spec)
			spec.Process.Terminal = false // the tests have none; TestPeersRecorded and TestConsole show the rest
			res := newRuntime(t).run(recordedBundle(t, spec))
			if _, warned := withoutReference[name]; res.code != 0 || res.stdout != "ready\n" || res.stderr != "" && !warned {
				t.Fatalf("exit %d, %q, %s", res.code, res.stdout, res.stderr)
			}
		})
	}
	if ran != recordedCount {
		t.Errorf("only %d of %d ran", ran, recordedCount)
	}
}
