package cgroups

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// CGP-03 CGP-04 CGP-05 CGP-06
func TestPaths(t *testing.T) {
	l := Layout{
		{"memory", "/cg/memory", "/user/shell"},
		{"name=systemd", "/cg/systemd", "/"},
	}
	for _, tt := range []struct {
		path     string
		rootless bool
		memory   string
		systemd  string
	}{
		{"", false, "/cg/memory/skep/web", "/cg/systemd/skep/web"},
		{"a/b", false, "/cg/memory/skep/a/b", "/cg/systemd/skep/a/b"},
		{"/a/b", false, "/cg/memory/a/b", "/cg/systemd/a/b"},
		{"/../../etc", false, "/cg/memory/etc", "/cg/systemd/etc"},
		{"../../etc", false, "/cg/memory/skep/etc", "/cg/systemd/skep/etc"},
		{"a/../../b/.", false, "/cg/memory/skep/b", "/cg/systemd/skep/b"},
		{"", true, "/cg/memory/user/skep/web", "/cg/systemd/skep/web"},
		{"a", true, "/cg/memory/user/skep/a", "/cg/systemd/skep/a"},
		{"/a", true, "/cg/memory/a", "/cg/systemd/a"},
	} {
		g, err := New(l, tt.path, "web", tt.rootless)
		if err != nil {
			t.Errorf("%q: %v", tt.path, err)
			continue
		}
		want := map[string]string{"memory": tt.memory, "name=systemd": tt.systemd}
		if got := g.Paths(); !reflect.DeepEqual(got, want) {
			t.Errorf("%q, rootless %v: %v", tt.path, tt.rootless, got)
		}
	}
	for _, path := range []string{"/", "/..", ".", "../..", "a/..", "/a\nb"} { // CGP-07
		if _, err := New(l, path, "web", false); err == nil || !strings.Contains(err.Error(), "linux.cgroupsPath") {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestModeAndFiles(t *testing.T) {
	for _, tt := range []struct {
		paths map[string]string
		mode  Mode
		tasks []string
		v2    string
	}{
		{nil, None, nil, ""},
		{map[string]string{"pids": "/p", "cpu,cpuacct": "/c"}, V1, []string{"/c/tasks", "/p/tasks"}, ""},
		{map[string]string{"pids": "/p", "": "/u"}, Hybrid, []string{"/p/tasks"}, "/u"},
		{map[string]string{"": "/u"}, V2, nil, "/u"},
	} {
		g := Open(Facts{Paths: tt.paths})
		if g.Mode() != tt.mode || !slices.Equal(g.TasksFiles(), tt.tasks) || g.V2Dir() != tt.v2 {
			t.Errorf("%v: %v, %v, %q", tt.paths, g.Mode(), g.TasksFiles(), g.V2Dir())
		}
	}
}

// fakeTree is a host whose hierarchies are ordinary directories.
func fakeTree(t *testing.T) Layout {
	root := t.TempDir()
	var l Layout
	for _, name := range []string{"memory", "pids"} {
		if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
		l = append(l, Hierarchy{name, filepath.Join(root, name), "/"})
	}
	return l
}

func newGroup(t *testing.T, l Layout, path string) *Group {
	t.Helper()
	g, err := New(l, path, "id", false)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// CGP-08 CGP-11
func TestCreateRemoveFake(t *testing.T) {
	l := fakeTree(t)
	memory, pids := l[0].Mount, l[1].Mount
	if err := os.Mkdir(memory+"/a", 0o755); err != nil {
		t.Fatal(err)
	}
	g := newGroup(t, l, "/a/b")
	plan, err := g.Plan()
	want := []string{memory + "/a/b", pids + "/a", pids + "/a/b"}
	if err != nil || !slices.Equal(plan.Created, want) {
		t.Fatalf("plan %q, %v", plan.Created, err)
	}
	if exists(pids + "/a") {
		t.Fatal("planning made a directory")
	}
	if err := g.Create(nil); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(g.Facts(), plan) || !exists(memory+"/a/b") || !exists(pids+"/a/b") {
		t.Fatalf("made %v, planned %v", g.Facts(), plan)
	}

	// Another process removes it, and what the container made below.
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	var facts Facts
	if err := json.Unmarshal(text, &facts); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(pids+"/a/b/inner/most", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(pids+"/a/sibling", 0o755); err != nil {
		t.Fatal(err)
	}
	other := Open(facts)
	for range 2 { // absent is done
		if err := other.Remove(); err != nil {
			t.Fatal(err)
		}
	}
	if exists(memory+"/a/b") || exists(pids+"/a/b") {
		t.Error("a directory stays")
	}
	if !exists(memory+"/a") || !exists(pids+"/a/sibling") {
		t.Error("a directory of others is gone")
	}
}

// CGP-11: what somebody else made stays, below the container's cgroup too.
func TestRemoveKeepsExisting(t *testing.T) {
	l := fakeTree(t)
	leaf := l[0].Mount + "/a"
	if err := os.Mkdir(leaf, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(leaf+"/theirs/too", 0o755); err != nil {
		t.Fatal(err)
	}
	g := newGroup(t, l, "/a")
	if err := planAndCreate(g, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(leaf+"/inner/most", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Open(g.Facts()).Remove(); err != nil {
		t.Fatal(err)
	}
	if !exists(leaf+"/theirs/too") || exists(leaf+"/inner") || exists(l[1].Mount+"/a") {
		t.Error("wrong directories removed")
	}
}

// CGP-02: an existing cgroup that is in use or frozen is refused.
func TestPlanRefuses(t *testing.T) {
	l := fakeTree(t)
	inner := l[1].Mount + "/a/inner"
	if err := os.MkdirAll(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, inner+"/cgroup.procs", "12\n0\n34\n")
	if _, err := newGroup(t, l, "/a").Plan(); err == nil || !strings.Contains(err.Error(), "it has 2 process(es)") {
		t.Error(err)
	}
	put(t, l[1].Mount+"/file", "")
	if _, err := newGroup(t, l, "/file").Plan(); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Error(err)
	}
}

// Two containers on one path: the second to arrive gives way, and leaves the
// directories of the first alone.
func TestCreateRace(t *testing.T) {
	l := fakeTree(t)
	first, second := newGroup(t, l, "/a/b"), newGroup(t, l, "/a/b")
	for _, g := range []*Group{first, second} {
		if _, err := g.Plan(); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.Create(nil); err != nil {
		t.Fatal(err)
	}
	if err := second.Create(nil); err == nil || !strings.Contains(err.Error(), "made by somebody else") {
		t.Fatal(err)
	}
	if err := second.Remove(); err != nil {
		t.Fatal(err)
	}
	if !exists(l[0].Mount+"/a/b") || !exists(l[1].Mount+"/a/b") {
		t.Error("the loser removed the winner's directory")
	}
}

func TestCreateFails(t *testing.T) {
	if err := new(Group).Create(nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("no hierarchy: %v", err)
	}
	l := fakeTree(t)
	g := newGroup(t, l, "/a/b")
	err := g.Create([]Write{
		{Controller: "cpu", File: "cpu.idle", Optional: true},
		{Controller: "blkio", File: "blkio.weight", Field: "linux.resources.blockIO.weight"},
	})
	if err == nil || !strings.HasPrefix(err.Error(), "linux.resources.blockIO.weight: cgroup controller blkio") {
		t.Errorf("controller not mounted: %v", err)
	}
	// The second hierarchy fails: what the first has got is taken back.
	g = newGroup(t, l, "/a/b")
	if _, err := g.Plan(); err != nil {
		t.Fatal(err)
	}
	put(t, l[1].Mount+"/a", "")
	if err := g.Create(nil); err == nil {
		t.Error("a file is taken for a cgroup")
	}
	if exists(l[0].Mount+"/a") || len(g.Paths()) != 0 {
		t.Error("something is left of a failed Create")
	}
}

// Only for the reading of writes: real files are in the tests of the host.
func TestApplyFake(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/old", "")
	put(t, dir+"/cpu.max", "max 100000\n")
	put(t, dir+"/usage", "100\n")
	g := Open(Facts{Paths: map[string]string{"": dir}})
	for _, tt := range []struct {
		name   string
		writes []Write
		err    string
		file   string // has the value "5" afterwards
	}{
		{name: "optional", writes: []Write{{File: "no", Optional: true}, {File: "old", Value: "5"}}, file: "old"},
		{name: "missing", writes: []Write{{File: "no", Value: "5", Field: "f"}}, err: "f: open " + dir + "/no: no such file"},
		{name: "alternative", writes: []Write{{File: "no"}, {File: "old", Value: "5", Else: true}}, file: "old"},
		{name: "alternative not needed",
			writes: []Write{{File: "old", Value: "5"}, {File: "no", Else: true}}, file: "old"},
		{name: "both missing", writes: []Write{{File: "no"}, {File: "nor", Else: true, Field: "f"}}, err: "f: open " + dir + "/nor"},
		{name: "usage", writes: []Write{{File: "old", Value: "99", NotBelow: "usage", Field: "f"}},
			err: "f: 99 is below the present usage of 100"}, // CGM-10
		{name: "at the usage", writes: []Write{{File: "old", Value: "100", NotBelow: "usage"}, {File: "old", Value: "5"}}, file: "old"},
		{name: "usage unknown", writes: []Write{{File: "old", Value: "99", NotBelow: "no", Field: "f"}}, err: "f: open"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			put(t, dir+"/old", "-")
			err := g.Apply(tt.writes)
			if tt.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tt.err) {
					t.Errorf("error %v, want %s", err, tt.err)
				}
				if content, _ := readFile(dir + "/old"); content != "-" {
					t.Errorf("written: %q", content)
				}
				return
			}
			if content, _ := readFile(filepath.Join(dir, tt.file)); err != nil || content[:1] != "5" {
				t.Errorf("%q, %v", content, err)
			}
		})
	}
	if err := g.Apply([]Write{{File: "cpu.max", Value: "7", Keep: true}}); err != nil {
		t.Fatal(err)
	}
	if content, _ := readFile(dir + "/cpu.max"); !strings.HasPrefix(content, "max 7") {
		t.Errorf("the quota was not kept: %q", content)
	}
}

// CGH-02: a hybrid host may have a controller in its v2 tree.
func TestHybridV2Controller(t *testing.T) {
	l := fakeTree(t)
	unified := filepath.Join(t.TempDir(), "unified")
	if err := os.Mkdir(unified, 0o755); err != nil {
		t.Fatal(err)
	}
	l = append(l, Hierarchy{Mount: unified, Own: "/"})
	put(t, unified+"/cgroup.controllers", "hugetlb misc\n")
	put(t, unified+"/cgroup.subtree_control", "")
	writes, _, err := Compile(l.Mode(), &specs.LinuxResources{
		HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 7}},
		Pids:           &specs.LinuxPids{Limit: ptr[int64](5)},
	})
	if err != nil {
		t.Fatal(err)
	}
	g := newGroup(t, l, "/a")
	if err := planAndCreate(g, writes); err != nil {
		t.Fatal(err)
	}
	pids := l[1].Mount + "/a/pids.max"
	put(t, pids, "")
	put(t, unified+"/a/hugetlb.2MB.max", "")
	if err := g.Apply(writes); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		pids: "5", unified + "/a/hugetlb.2MB.max": "7", unified + "/cgroup.subtree_control": "+hugetlb +misc",
	} {
		if got, err := readFile(file); got != want || err != nil {
			t.Errorf("%s: %q, %v", file, got, err)
		}
	}
	rdma := Write{Controller: "rdma", Field: "linux.resources.rdma"}
	err = newGroup(t, l, "/b").Create([]Write{rdma})
	if err == nil || !strings.HasPrefix(err.Error(), "linux.resources.rdma: the rdma controller is not available in "+unified) {
		t.Error(err)
	}
}
