package tests

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// CLI-10
func TestListEmpty(t *testing.T) {
	r := newRuntime(t)
	if got := strings.TrimSpace(r.ok("list", "--format", "json").stdout); got != "[]" {
		t.Errorf("list --format json of nothing: %q", got)
	}
	if got := r.ok("list", "-q").stdout; got != "" {
		t.Errorf("list -q of nothing: %q", got)
	}
	r.fails("format", "list", "--format", "xml")
}

func TestList(t *testing.T) {
	r := newRuntime(t)
	created := r.create(newBundle(t))
	running := r.runDetached(newBundle(t))
	stopped := r.runDetached(newBundle(t))
	stopped.stop()
	want := map[string]string{created.id: "created", running.id: "running", stopped.id: "stopped"}

	var listed []struct {
		state
		Owner string `json:"owner"`
	}
	if err := json.Unmarshal([]byte(r.ok("list", "-f", "json").stdout), &listed); err != nil {
		t.Fatal(err)
	}
	if len(listed) != len(want) {
		t.Errorf("%d containers are listed", len(listed))
	}
	for _, s := range listed {
		one := r.state(s.ID)
		if s.Status != want[s.ID] || s.Pid != one.Pid || s.Bundle != one.Bundle || !s.Created.Equal(one.Created) || s.Owner != "root" {
			t.Errorf("listed: %+v, state: %+v", s, one)
		}
	}

	lines := strings.Split(strings.TrimSpace(r.ok("list").stdout), "\n")
	wantLines(t, strings.Join(strings.Fields(lines[0]), " "), "ID PID STATUS BUNDLE CREATED OWNER")
	for _, line := range lines[1:] {
		columns := strings.Fields(line)
		if len(columns) != 6 || want[columns[0]] != columns[2] || columns[5] != "root" {
			t.Errorf("row %q", line)
		}
	}
	ids := strings.Fields(r.ok("list", "--quiet").stdout)
	all := []string{created.id, running.id, stopped.id}
	slices.Sort(ids)
	slices.Sort(all)
	wantLines(t, strings.Join(ids, "\n"), all...)
}

// CLI-17 MNT-16: what spec writes can be run.
func TestSpec(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t)
	r.fails("config.json", "spec", "--bundle", b.dir) // never overwritten
	if err := os.Remove(b.config()); err != nil {
		t.Fatal(err)
	}
	r.ok("spec", "--bundle", b.dir)
	var written specs.Spec
	if err := json.Unmarshal([]byte(readFile(t, b.config())), &written); err != nil {
		t.Fatal(err)
	}
	if written.Hostname != "skep" || !written.Root.Readonly || !written.Process.Terminal || !written.Process.NoNewPrivileges {
		t.Errorf("hostname %q, root %+v, terminal %v", written.Hostname, written.Root, written.Process.Terminal)
	}
	wantLines(t, strings.Join(written.Process.Args, " "), "sh")
	written.Process.Terminal = false
	written.Process.Args = []string{"cat", "/proc/self/mountinfo"}
	written.Linux.CgroupsPath = b.spec.Linux.CgroupsPath
	*b.spec = written
	b.save()
	inside := r.output(b)
	for point, fstype := range map[string]string{"/proc": "proc", "/sys": "sysfs", "/dev/pts": "devpts", "/dev/shm": "tmpfs"} {
		if m := mustMountAt(t, inside, point); m.fstype != fstype {
			t.Errorf("%s is %s", point, m.fstype)
		}
	}
}

func TestSpecRootless(t *testing.T) {
	r := newRuntime(t)
	dir := tempDir(t)
	r.succeed(call{args: []string{"spec", "--rootless"}, dir: dir})
	var written specs.Spec
	if err := json.Unmarshal([]byte(readFile(t, filepath.Join(dir, "config.json"))), &written); err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, n := range written.Linux.Namespaces {
		kinds = append(kinds, string(n.Type))
	}
	if !slices.Contains(kinds, "user") || slices.Contains(kinds, "network") {
		t.Errorf("namespaces: %v", kinds)
	}
	want := specs.LinuxIDMapping{ContainerID: 0, HostID: 0, Size: 1}
	if len(written.Linux.UIDMappings) != 1 || written.Linux.UIDMappings[0] != want {
		t.Errorf("uid mappings: %v", written.Linux.UIDMappings)
	}
	for _, m := range written.Mounts {
		for _, o := range m.Options {
			if strings.HasPrefix(o, "gid=") || strings.HasPrefix(o, "uid=") {
				t.Errorf("%s has the option %s", m.Destination, o)
			}
		}
	}
	if written.Linux.Resources != nil && len(written.Linux.Resources.Devices) > 0 {
		t.Errorf("resources: %+v", written.Linux.Resources)
	}
}

// plan explains a bundle: it needs no root and changes nothing.
func TestPlan(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, mounts(specs.Mount{Destination: "/a/data", Source: "/tmp", Options: []string{"rbind", "ro"}}))
	before := listTree(t, b.dir)
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	res := r.call(call{args: []string{"plan", "--bundle", b.dir}, user: nobody, bare: true})
	if res.code != 0 || res.stderr != "" {
		t.Fatalf("plan: exit %d, %s", res.code, res.stderr)
	}
	for _, want := range []string{"/a/data", "/dev/pts", "tmpfs", "/bin/sh"} {
		if !strings.Contains(res.stdout, want) {
			t.Errorf("the plan lacks %s:\n%s", want, res.stdout)
		}
	}
	if after := listTree(t, b.dir); !slices.Equal(before, after) {
		t.Errorf("the bundle changed from %v to %v", before, after)
	}
}

func TestPlanRefusesBadConfig(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, func(s *specs.Spec) { s.Process.Cwd = "relative" })
	r.fails("process.cwd", "plan", "--bundle", b.dir)
}

func listTree(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		names = append(names, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// CLI-17: every flag that runc's help has, skep's has too.
func TestPeersFlags(t *testing.T) {
	help := func(binary, command string) []string {
		out, err := childOutput(exec.Command(binary, strings.Fields(command+" --help")...))
		if err != nil {
			t.Fatalf("%s %s: %v", binary, command, err)
		}
		return regexp.MustCompile(`--[a-z0-9-]+`).FindAllString(out, -1)
	}
	r := newRuntime(t)
	for _, command := range []string{
		"", "create", "start", "state", "kill", "delete", "run", "exec", "list", "ps", "pause", "resume", "update", "spec", "features", "events",
		"checkpoint", "restore",
	} {
		ours := help(r.binary, command)
		for _, word := range help("runc", command) {
			// The path of criu is runc's former affair, and list has an example.
			if !slices.Contains(ours, word) && word != "--criu" && (command != "list" || word != "--root") {
				t.Errorf("%s has no %s", command, word)
			}
		}
	}
}

// CLI-01: go-runc wants "runc version" from a link of that name.
func TestVersion(t *testing.T) {
	r := newRuntime(t)
	link := filepath.Join(tempDir(t), "runc")
	if err := os.Symlink(r.binary, link); err != nil {
		t.Fatal(err)
	}
	for binary, want := range map[string]string{r.binary: "skep version ", link: "runc version "} {
		r.binary = binary
		out := r.succeed(call{args: []string{"--version"}, bare: true}).stdout
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if !strings.HasPrefix(lines[0], want) || len(lines[0]) == len(want) {
			t.Errorf("line 1 is %q, want %q first", lines[0], want)
		}
		if !slices.Contains(lines, "spec: 1.3.0") {
			t.Errorf("no spec line:\n%s", out)
		}
	}
}
