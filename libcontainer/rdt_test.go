package libcontainer

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"skep/libcontainer/internal/resctrltest"
)

// rdtBundle makes a bundle without a process: its init waits to be killed.
func rdtBundle(t *testing.T, r *specs.LinuxIntelRdt, edits ...func(*specs.Spec)) string {
	t.Helper()
	s := &specs.Spec{
		Version: specs.Version, Root: &specs.Root{Path: "rootfs"},
		Linux: &specs.Linux{
			IntelRdt: r, CgroupsPath: "/skep-test-rdt-" + strconv.Itoa(os.Getpid()),
			Namespaces: []specs.LinuxNamespace{{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}},
		},
	}
	for _, edit := range edits {
		edit(s)
	}
	dir := t.TempDir()
	raw, err := json.Marshal(s)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), raw, 0o600)
	}
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "rootfs"), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func on(f *resctrltest.Fake) Option { return func(o *options) { o.resctrl = f.Tree } }

// Init is in the groups when create returns, and a delete by another process knows what to remove.
func TestRdtGroups(t *testing.T) { // RDT-01 RDT-04 RDT-05 RDT-11 RDT-14 RDT-15 RDT-16 RDT-17
	for _, test := range []struct {
		name    string
		r       specs.LinuxIntelRdt
		group   string
		monitor string
		stays   bool
	}{
		{"own", specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f", EnableMonitoring: true}, "c1", "c1/mon_groups/c1", false},
		{"named", specs.LinuxIntelRdt{ClosID: "gold", MemBwSchema: "MB:0=20", EnableMonitoring: true}, "gold", "gold/mon_groups/c1", true},
		{"root", specs.LinuxIntelRdt{ClosID: "/", EnableMonitoring: true}, ".", "mon_groups/c1", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, root := resctrltest.New(t), t.TempDir()
			c, err := Create(t.Context(), root, "c1", rdtBundle(t, &test.r), on(f))
			if err != nil {
				t.Fatal(err)
			}
			init := strconv.Itoa(c.State().Init.Pid) + "\n"
			for _, dir := range []string{test.group, test.monitor} {
				if got := f.Read(dir + "/tasks"); got != init {
					t.Errorf("%s: tasks %q, want %q", dir, got, init)
				}
			}
			if err := Delete(root, "c1", true, on(f)); err != nil {
				t.Fatal(err)
			}
			if f.Has(test.monitor) || f.Has(test.group) != test.stays {
				t.Errorf("%s is there: %v, %s: %v", test.monitor, f.Has(test.monitor), test.group, f.Has(test.group))
			}
		})
	}
}

// What exec runs is where init is, as long as there is such a group.
func TestRdtExec(t *testing.T) { // RDT-01 RDT-16
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal("a static busybox is needed: ", err)
	}
	f, root := resctrltest.New(t), t.TempDir()
	bundle := rdtBundle(t, &specs.LinuxIntelRdt{EnableMonitoring: true})
	program, err := os.ReadFile(busybox)
	if err == nil {
		err = os.WriteFile(filepath.Join(bundle, "rootfs/true"), program, 0o755) //nolint:gosec // a program
	}
	if err != nil {
		t.Fatal(err)
	}
	c, err := Create(t.Context(), root, "c1", bundle, on(f))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := Delete(root, "c1", true, on(f)); err != nil {
			t.Error(err)
		}
	}()
	want := strconv.Itoa(c.State().Init.Pid) + "\n"
	for _, there := range []bool{true, false} {
		p, err := c.Exec(t.Context(), &specs.Process{Args: []string{"/true"}, Cwd: "/"})
		if err != nil {
			t.Fatal(err)
		}
		if status := p.Wait(); status != 0 {
			t.Errorf("status %v", status)
		}
		p.Release()
		if want += strconv.Itoa(p.Pid()) + "\n"; !there {
			want = ""
		}
		for _, dir := range []string{"c1", "c1/mon_groups/c1"} {
			if got := f.Read(dir + "/tasks"); got != want {
				t.Errorf("%s: tasks %q, want %q", dir, got, want)
			}
		}
		if err := os.RemoveAll(filepath.Join(f.Root, "c1")); err != nil {
			t.Fatal(err)
		}
	}
}

// Update changes the group and what is kept of the configuration, or nothing; the stats tell of it.
func TestRdtUpdate(t *testing.T) { // RDT-06 RDT-07
	f, root := resctrltest.New(t), t.TempDir()
	c, err := Create(t.Context(), root, "c1", rdtBundle(t, &specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f", EnableMonitoring: true}), on(f))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := Delete(root, "c1", true, on(f)); err != nil {
			t.Error(err)
		}
	}()
	f.Write("c1/schemata", resctrltest.Schemata)
	if err := c.Update(&specs.LinuxResources{}, &specs.LinuxIntelRdt{MemBwSchema: "MB:0=20"}); err != nil {
		t.Fatal(err)
	}
	want := resctrltest.Schemata + "MB:0=20\n"
	wrong := []specs.LinuxIntelRdt{{MemBwSchema: "L3:0=1"}, {L3CacheSchema: "L3:0=1\nMB:0=1"}}
	for _, r := range wrong {
		if err := c.Update(nil, &r); err == nil || !strings.Contains(err.Error(), "linux.intelRdt.") {
			t.Errorf("%+v: %v", r, err)
		}
	}
	if got := f.Read("c1/schemata"); got != want {
		t.Errorf("schemata %q, want %q", got, want)
	}
	kept, err := keptConfig(&stateDir{path: filepath.Join(root, "c1")})
	if err != nil {
		t.Fatal(err)
	}
	if r := kept.Linux.IntelRdt; r.L3CacheSchema != "L3:0=f" || r.MemBwSchema != "MB:0=20" || !r.EnableMonitoring {
		t.Errorf("%+v is kept", r)
	}
	for _, there := range []bool{true, false} {
		s, err := c.Stats()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(s)
		if err != nil || strings.Contains(string(raw), `"cmt_stats":[{"llc_occupancy":4096}]`) != there || strings.Contains(string(raw), `"intel_rdt":{}`) == there {
			t.Errorf("%s (%v)", raw, err)
		}
		if err := os.RemoveAll(filepath.Join(f.Root, "c1")); err != nil {
			t.Fatal(err)
		}
	}
}

// A create that fails, early or late, or is killed leaves nothing of what it has made.
func TestRdtUndone(t *testing.T) { // RDT-12 RDT-14 ERR-01
	named := specs.LinuxIntelRdt{ClosID: "gold", MemBwSchema: "MB:0=20", EnableMonitoring: true}
	badMount := func(s *specs.Spec) { s.Mounts = []specs.Mount{{Destination: "/x", Type: "nosuchfs"}} }
	for _, r := range []specs.LinuxIntelRdt{{EnableMonitoring: true}, named} {
		f, root := resctrltest.New(t), t.TempDir()
		if _, err := Create(t.Context(), root, "c1", rdtBundle(t, &r, badMount), on(f)); err == nil || !strings.Contains(err.Error(), "mounts[0]") {
			t.Errorf("%+v: %v", r, err)
		}
		if f.Has("c1") || f.Has("gold") {
			t.Errorf("%+v: a group is left", r)
		}
		// The journal of one that was killed.
		facts, err := f.Plan(&r, "c1")
		if err == nil {
			err = f.Create(&r, &facts)
		}
		d, failed := makeStateDir(root, "c1")
		if err != nil || failed != nil {
			t.Fatal(err, failed)
		}
		err = d.writeState(journalFile, &State{ID: "c1", Bundle: "/b", Rdt: facts})
		d.release()
		if err != nil {
			t.Fatal(err)
		}
		if err := Delete(root, "c1", true, on(f)); err != nil || f.Has("c1") || f.Has("gold") {
			t.Errorf("%+v: a group is left (%v)", r, err)
		}
	}
	// One that does not fit is nobody's to undo.
	f := resctrltest.New(t)
	if err := f.Mkdir(filepath.Join(f.Root, "gold")); err != nil {
		t.Fatal(err)
	}
	_, err := Create(t.Context(), t.TempDir(), "c1", rdtBundle(t, &named), on(f))
	if err == nil || !strings.Contains(err.Error(), "linux.intelRdt.memBwSchema") || !f.Has("gold") {
		t.Errorf("%v", err)
	}
}

// The journal names the groups before they are made.
func TestRdtJournal(t *testing.T) { // RDT-14
	f, root := resctrltest.New(t), t.TempDir()
	mkdir, seen := f.Mkdir, 0
	f.Mkdir = func(path string) error {
		raw, err := os.ReadFile(filepath.Join(root, "c1", journalFile))
		if err != nil || !strings.Contains(string(raw), `"`+path+`"`) {
			t.Errorf("%s is made, and the journal says %s (%v)", path, raw, err)
		}
		seen++
		return mkdir(path)
	}
	if _, err := Create(t.Context(), root, "c1", rdtBundle(t, &specs.LinuxIntelRdt{EnableMonitoring: true}), on(f)); err != nil || seen != 2 {
		t.Errorf("%d groups (%v)", seen, err)
	}
	if err := Delete(root, "c1", true, on(f)); err != nil {
		t.Error(err)
	}
}

// Without linux.intelRdt nothing there is touched: not even a tree that fails at everything hinders.
func TestRdtUntouched(t *testing.T) { // RDT-03
	f, root := resctrltest.New(t), t.TempDir()
	f.Root = "/dev/null"
	f.Mkdir = func(path string) error { t.Errorf("mkdir %s", path); return nil }
	f.Rmdir = func(path string) error { t.Errorf("rmdir %s", path); return nil }
	if _, err := Create(t.Context(), root, "c1", rdtBundle(t, nil), on(f)); err != nil {
		t.Fatal(err)
	}
	if err := Delete(root, "c1", true, on(f)); err != nil {
		t.Fatal(err)
	}
}

// The host's own tree, if it has one, has no such group.
func TestRdtHost(t *testing.T) { // RDT-02 RDT-13
	root := t.TempDir()
	b := rdtBundle(t, &specs.LinuxIntelRdt{ClosID: "skep-test-no-such-group"})
	if _, err := Create(t.Context(), root, "c1", b); err == nil || !strings.Contains(err.Error(), "linux.intelRdt") {
		t.Errorf("%v", err)
	}
	text, err := Plan(b, "c1")
	if err != nil || !strings.Contains(text, "resctrl\n  join  /sys/fs/resctrl/skep-test-no-such-group\n") {
		t.Errorf("%s (%v)", text, err)
	}
	full := rdtBundle(t, &specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f", Schemata: []string{"MB:0=20"}, EnableMonitoring: true})
	const want = "resctrl\n  join  /sys/fs/resctrl/c1\n  write schemata L3:0=f\n  write schemata MB:0=20\n  make  /sys/fs/resctrl/c1/mon_groups/c1\n"
	if text, err = Plan(full, "c1"); err != nil || !strings.Contains(text, want) {
		t.Errorf("%s (%v)", text, err)
	}
}
