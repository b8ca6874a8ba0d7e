package rootfs_test

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"skep/nsenter/plan"
	"skep/rootfs"
	"skep/spec"
)

var update = flag.Bool("update", false, "write the golden files anew")

// fakeHost is a privileged host with hybrid cgroups.
func fakeHost() rootfs.Host {
	return rootfs.Host{
		Bundle: "/bundle", Root: "/bundle/rootfs", Privileged: true, IsDir: fakeIsDir,
		Cgroups: map[string]string{
			"": "/sys/fs/cgroup/unified/web", "memory": "/sys/fs/cgroup/memory/web",
			"cpu,cpuacct": "/sys/fs/cgroup/cpu,cpuacct/web", "name=systemd": "/sys/fs/cgroup/systemd/web",
		},
	}
}

// fakeIsDir knows names with a dot, of the files that managers bind, as files, and nothing below /missing.
func fakeIsDir(path string) (bool, error) {
	if strings.HasPrefix(path, "/missing") {
		return false, &fs.PathError{Op: "stat", Path: path, Err: errors.New("no such file or directory")}
	}
	switch base := filepath.Base(path); base {
	case "hosts", "hostname", "docker-init", "kcore", "null":
		return false, nil
	default:
		return !strings.Contains(base, "."), nil
	}
}

// compile compiles and prints; the phases have to lower, too.
func compile(s *specs.Spec, h rootfs.Host) (string, error) {
	p, err := rootfs.Compile(s, h)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	var known plan.SlotSet
	for _, phase := range append(p.Rootfs, p.Pivot) {
		if _, err := plan.Lower(phase, &known); err != nil {
			return "", err
		}
		text.WriteString(phase.String())
	}
	return text.String(), nil
}

// TestRecordedBundles pins the plans of what managers write. Where a configuration asks for something that is not
// supported, the error is pinned.
func TestRecordedBundles(t *testing.T) {
	files, err := filepath.Glob("../tests/testdata/bundles/*-[0-9][0-9].json")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d bundles, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, _, err := spec.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			text, err := compile(s, fakeHost())
			if err != nil {
				text = "error: " + err.Error() + "\n"
			}
			golden(t, name+".txt", text)
		})
	}
}

// TestExample pins the plan of what the spec command writes, on different hosts.
func TestExample(t *testing.T) {
	for name, change := range map[string]func(*rootfs.Host, *spec.ExampleOptions){
		"example-v1": func(*rootfs.Host, *spec.ExampleOptions) {},
		"example-v2": func(h *rootfs.Host, o *spec.ExampleOptions) {
			h.Cgroups, o.CgroupNamespace = map[string]string{"": "/sys/fs/cgroup/web"}, true
		},
		"example-no-pivot": func(h *rootfs.Host, _ *spec.ExampleOptions) {
			h.NoPivot, h.Revealing = true, []string{"/sys", "/proc", "/srv/chroot/proc"}
		},
		"example-rootless": func(h *rootfs.Host, o *spec.ExampleOptions) {
			h.Privileged, h.Cgroups, o.Rootless, o.UID, o.GID = false, nil, true, 1000, 1000
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, o := fakeHost(), spec.ExampleOptions{}
			change(&h, &o)
			text, err := compile(spec.Example(o), h)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", text)
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i, line := range gotLines {
		if i >= len(wantLines) || line != wantLines[i] {
			t.Fatalf("%s:%d: got %q; look at the difference that -update makes", file, i+1, line)
		}
	}
	if len(gotLines) < len(wantLines) {
		t.Fatalf("%s: the last %d lines are missing", file, len(wantLines)-len(gotLines))
	}
}
