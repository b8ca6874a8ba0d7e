package resctrl_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/libcontainer/internal/resctrltest"
	"skep/libcontainer/resctrl"
)

// create plans and makes the groups of a container c1.
func create(f *resctrltest.Fake, r specs.LinuxIntelRdt) (resctrl.Facts, error) {
	facts, err := f.Plan(&r, "c1")
	if err == nil {
		err = f.Create(&r, &facts)
	}
	return facts, err
}

func mustCreate(t *testing.T, f *resctrltest.Fake, r specs.LinuxIntelRdt) resctrl.Facts {
	t.Helper()
	facts, err := create(f, r)
	if err != nil {
		t.Fatalf("%+v: %v", r, err)
	}
	return facts
}

// What is written, and in which order.
func TestSchemata(t *testing.T) { // RDT-05 RDT-06 RDT-07 RDT-08 RDT-09 RDT-10 RDT-11
	const old = resctrltest.Schemata
	for _, test := range []struct {
		r    specs.LinuxIntelRdt
		want string
	}{
		{specs.LinuxIntelRdt{}, old},
		{specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f"}, old + "L3:0=f\n"},
		{specs.LinuxIntelRdt{MemBwSchema: "MB:0=20"}, old + "MB:0=20\n"},
		{specs.LinuxIntelRdt{ClosID: "gold", MemBwSchema: "MB:0=20", L3CacheSchema: "L3:0=f"}, old + "L3:0=f\nMB:0=20\n"},
		{specs.LinuxIntelRdt{ClosID: "gold", Schemata: []string{"L2:0=1", "L3:0=3"}, MemBwSchema: "MB:0=20", L3CacheSchema: "L3:0=f"},
			old + "L3:0=f\nMB:0=20\nL2:0=1\nL3:0=3\n"},
	} {
		f := resctrltest.New(t)
		facts := mustCreate(t, f, test.r)
		name := test.r.ClosID
		if name == "" {
			name = "c1"
		}
		if got := f.Read(name + "/schemata"); got != test.want || !facts.Made || facts.Group != filepath.Join(f.Root, name) {
			t.Errorf("%+v: %+v, schemata %q, want %q", test.r, facts, got, test.want)
		}
		if f.Read("schemata") != old {
			t.Errorf("%+v: the root group has changed", test.r)
		}
	}
}

// A group that exists is compared, in whatever form the kernel prints it.
func TestCompare(t *testing.T) { // RDT-12 RDT-13
	const has = "  L3CODE:0=1\n    L3:0=00ff;1=0ff0\n    MB:0=30;1= 70\n"
	for _, test := range []struct {
		r    specs.LinuxIntelRdt
		want string // in the error; empty: none
	}{
		{specs.LinuxIntelRdt{}, ""},
		{specs.LinuxIntelRdt{L3CacheSchema: "L3:0=ff;1=ff0"}, ""},
		{specs.LinuxIntelRdt{L3CacheSchema: "L3:1=FF0; 0=0ff"}, ""},
		{specs.LinuxIntelRdt{L3CacheSchema: "L3:1=ff0"}, ""},
		{specs.LinuxIntelRdt{L3CacheSchema: "L3CODE:0=1", MemBwSchema: "MB:1=70;0=30"}, ""},
		{specs.LinuxIntelRdt{MemBwSchema: "MB:0=21"}, ""}, // rounded up by the kernel
		{specs.LinuxIntelRdt{Schemata: []string{"L3:0=1"}}, ""},
		{specs.LinuxIntelRdt{L3CacheSchema: "L3:0=fe"}, "linux.intelRdt.l3CacheSchema: "},
		{specs.LinuxIntelRdt{L3CacheSchema: "L3:2=ff"}, "linux.intelRdt.l3CacheSchema: "},
		{specs.LinuxIntelRdt{L3CacheSchema: "L2:0=ff"}, "linux.intelRdt.l3CacheSchema: "},
		{specs.LinuxIntelRdt{L3CacheSchema: "L3:x"}, "linux.intelRdt.l3CacheSchema: "},
		{specs.LinuxIntelRdt{L3CacheSchema: "L3:0=ff", MemBwSchema: "MB:0=40"}, "linux.intelRdt.memBwSchema: "},
		{specs.LinuxIntelRdt{MemBwSchema: "MB:0=20"}, "linux.intelRdt.memBwSchema: "},
	} {
		f := resctrltest.New(t)
		if err := f.Mkdir(filepath.Join(f.Root, "gold")); err != nil {
			t.Fatal(err)
		}
		f.Write("gold/schemata", has)
		test.r.ClosID = "gold"
		facts, err := create(f, test.r)
		if facts.Made {
			t.Errorf("%+v: counts as made", test.r)
		}
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)) {
			t.Errorf("%+v: %v", test.r, err)
		}
		if err != nil && f.Read("gold/schemata") != has {
			t.Errorf("%+v: refused, but written: %q", test.r, f.Read("gold/schemata"))
		}
		if err := f.Remove(facts, true, 1); err != nil || !f.Has("gold") {
			t.Errorf("%+v: somebody's group was removed (%v)", test.r, err)
		}
	}
}

// What cannot be is refused, with the kernel's reason, and nothing of it is left.
func TestRefusals(t *testing.T) { // RDT-13 RDT-16 RDT-19
	unwritable := func(f *resctrltest.Fake) {
		mkdir := f.Mkdir
		f.Mkdir = func(path string) error {
			err := mkdir(path)
			f.Write("info/last_cmd_status", "Invalid CBM\n")
			os.Remove(filepath.Join(path, "schemata"))
			return errors.Join(err, os.Symlink("/dev/full", filepath.Join(path, "schemata")))
		}
	}
	noMonitor := func(f *resctrltest.Fake) {
		mkdir := f.Mkdir
		f.Mkdir = func(path string) error {
			f.Full = strings.Contains(path, "mon_groups")
			return mkdir(path)
		}
	}
	for _, test := range []struct {
		prepare func(*resctrltest.Fake)
		r       specs.LinuxIntelRdt
		errno   error
		want    []string
	}{
		{nil, specs.LinuxIntelRdt{ClosID: "gold"}, nil, []string{"linux.intelRdt.closID", "no group", "gold"}},
		{nil, specs.LinuxIntelRdt{ClosID: "info"}, nil, []string{"linux.intelRdt.closID", "info"}},
		{func(f *resctrltest.Fake) { f.Full = true }, specs.LinuxIntelRdt{}, unix.ENOSPC, []string{"mkdir", "Out of CLOSIDs"}},
		{unwritable, specs.LinuxIntelRdt{L3CacheSchema: "L3:0=5"}, unix.ENOSPC, []string{"linux.intelRdt.l3CacheSchema", `"L3:0=5"`, "Invalid CBM"}},
		{unwritable, specs.LinuxIntelRdt{ClosID: "gold", Schemata: []string{"MB:0=5"}}, unix.ENOSPC, []string{"linux.intelRdt.schemata", "Invalid CBM"}},
		{noMonitor, specs.LinuxIntelRdt{EnableMonitoring: true}, unix.ENOSPC, []string{"linux.intelRdt.enableMonitoring", "mon_groups/c1", "Out of"}},
		{func(f *resctrltest.Fake) { f.Write("mon_groups/c1/tasks", "") }, specs.LinuxIntelRdt{ClosID: "/", EnableMonitoring: true}, nil,
			[]string{"linux.intelRdt.enableMonitoring", "exists already"}},
	} {
		f := resctrltest.New(t)
		if test.prepare != nil {
			test.prepare(f)
		}
		facts, err := create(f, test.r)
		if err == nil || test.errno != nil && !errors.Is(err, test.errno) {
			t.Errorf("%+v: %v", test.r, err)
			continue
		}
		for _, w := range test.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%+v: the error lacks %q: %v", test.r, w, err)
			}
		}
		foreign := f.Has("mon_groups/c1")
		if err := f.Remove(facts, true, 1); err != nil || f.Has("c1") || f.Has("gold") || f.Has("mon_groups/c1") != foreign {
			t.Errorf("%+v: left something, or too little: %v", test.r, err)
		}
	}
}

// Who removes what, and when.
func TestRemove(t *testing.T) { // RDT-04 RDT-14 RDT-15 RDT-17
	for _, test := range []struct {
		name   string
		r      specs.LinuxIntelRdt
		failed bool
		tasks  string // in the group besides init, 7
		stays  bool   // the control group
	}{
		{"own", specs.LinuxIntelRdt{EnableMonitoring: true}, false, "", false},
		{"own, with processes of others", specs.LinuxIntelRdt{}, false, "8\n", false},
		{"named", specs.LinuxIntelRdt{ClosID: "gold", L3CacheSchema: "L3:0=f", EnableMonitoring: true}, false, "", true},
		{"named, after a failure", specs.LinuxIntelRdt{ClosID: "gold", L3CacheSchema: "L3:0=f", EnableMonitoring: true}, true, "", false},
		{"named, after a failure, used", specs.LinuxIntelRdt{ClosID: "gold", L3CacheSchema: "L3:0=f"}, true, "8\n", true},
		{"root", specs.LinuxIntelRdt{ClosID: "/", EnableMonitoring: true}, true, "", true},
	} {
		f := resctrltest.New(t)
		facts := mustCreate(t, f, test.r)
		if err := f.Join(facts, 7); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{facts.Group, facts.Monitor} {
			if dir == "" {
				continue
			}
			if raw, err := os.ReadFile(filepath.Join(dir, "tasks")); err != nil || string(raw) != "7\n" { // RDT-01 RDT-16
				t.Errorf("%s: %s has tasks %q (%v)", test.name, dir, raw, err)
			}
		}
		f.Write(strings.TrimPrefix(facts.Group, f.Root)+"/tasks", "7\n"+test.tasks)
		raw, err := json.Marshal(facts) // as another process finds them
		var stored resctrl.Facts
		if err = errors.Join(err, json.Unmarshal(raw, &stored)); err != nil || stored != facts {
			t.Errorf("%s: %+v is stored as %+v (%v)", test.name, facts, stored, err)
		}
		for range 2 { // it can be repeated
			if err := f.Remove(stored, test.failed, 7); err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
		}
		if _, err := os.Lstat(facts.Group); (err == nil) != test.stays {
			t.Errorf("%s: control group: %v", test.name, err)
		}
		if _, err := os.Lstat(facts.Monitor); facts.Monitor != "" && err == nil {
			t.Errorf("%s: the monitoring group is left", test.name)
		}
	}
}

// A directory of the container's id that was there before is used, and is not the container's.
func TestForeignGroup(t *testing.T) { // RDT-05 RDT-15
	f := resctrltest.New(t)
	if err := f.Mkdir(filepath.Join(f.Root, "c1")); err != nil {
		t.Fatal(err)
	}
	facts := mustCreate(t, f, specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f"})
	if err := f.Remove(facts, false, 1); err != nil || facts.Made || !f.Has("c1") {
		t.Errorf("%+v (%v)", facts, err)
	}
	// Nor is one that somebody makes between the look and the making.
	r := specs.LinuxIntelRdt{}
	g := resctrltest.New(t)
	facts, err := g.Plan(&r, "c1")
	if err = errors.Join(err, g.Mkdir(facts.Group), g.Create(&r, &facts)); err != nil || facts.Made {
		t.Errorf("%+v (%v)", facts, err)
	}
}

// What update changes is written like what create limits, and can be put back.
func TestSet(t *testing.T) { // RDT-09
	f := resctrltest.New(t)
	facts := mustCreate(t, f, specs.LinuxIntelRdt{})
	undo, err := f.Set(facts, "L3:0=f", "MB:0=50")
	written := resctrltest.Schemata + "L3:0=f\nMB:0=50\n"
	if err != nil || f.Read("c1/schemata") != written {
		t.Fatalf("%q (%v)", f.Read("c1/schemata"), err)
	}
	if err := undo(); err != nil || f.Read("c1/schemata") != written+"L3:0=fffff;1=fffff\nMB:0=100;1=100\n" {
		t.Errorf("%q (%v)", f.Read("c1/schemata"), err)
	}
	if undo, err = f.Set(facts, "", "MB:0=60"); err == nil {
		err = undo()
	}
	if got := f.Read("c1/schemata"); err != nil || !strings.HasSuffix(got, "MB:0=60\nMB:0=100;1=100\n") {
		t.Errorf("%q (%v)", got, err)
	}
	if err := os.RemoveAll(facts.Group); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Set(facts, "L3:0=f", ""); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of a group that is gone: %v", err)
	}
}

func TestStats(t *testing.T) {
	f := resctrltest.New(t)
	facts := mustCreate(t, f, specs.LinuxIntelRdt{EnableMonitoring: true})
	f.Write("c1/schemata", "    L3:0=f;1=f\n    MB:0=20;1=70\n")
	f.Write("c1/mon_groups/c1/mon_data/mon_L3_01/llc_occupancy", "7\n")
	f.Write("c1/mon_data/mon_L3_00/llc_occupancy", "12345\n") // of the whole group
	s, err := f.Stats(facts)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(s)
	const want = `{"l3_cache_info":{"cbm_mask":"fffff","min_cbm_bits":1,"num_closids":16},` +
		`"l3_cache_schema_root":"L3:0=fffff;1=fffff","l3_cache_schema":"L3:0=f;1=f",` +
		`"mem_bw_info":{"bandwidth_gran":10,"delay_linear":1,"min_bandwidth":10,"num_closids":8},` +
		`"mem_bw_schema_root":"MB:0=100;1=100","mem_bw_schema":"MB:0=20;1=70","schemata":["L3:0=f;1=f","MB:0=20;1=70"],` +
		`"mbm_stats":[{"mbm_total_bytes":1000}],"cmt_stats":[{"llc_occupancy":4096},{"llc_occupancy":7}]}`
	if err != nil || string(got) != want {
		t.Errorf("%s (%v)\nwant %s", got, err, want)
	}
	// A CPU with caches alone.
	for _, name := range []string{"info/MB", "c1/mon_groups/c1/mon_data"} {
		if err := os.RemoveAll(filepath.Join(f.Root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if s, err = f.Stats(facts); err != nil || s.MemBwInfo != nil || s.MBM != nil || s.CMT != nil || s.L3CacheInfo == nil {
		t.Errorf("%+v (%v)", s, err)
	}
	if err := os.RemoveAll(facts.Group); err != nil {
		t.Fatal(err)
	}
	if s, err := f.Stats(facts); err == nil {
		t.Errorf("of a group that is gone: %+v", s)
	}
}
