package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestShares(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]share{
		dir: {dir, dir, false}, dir + ":/x": {dir, "/x", false}, dir + ":/x:ro": {dir, "/x", true}, dir + "::ro": {dir, dir, true},
	} {
		var j job
		if err := j.addShare(text); err != nil || !slices.Equal(j.shares, []share{want}) {
			t.Errorf("%s: %v, %v", text, j.shares, err)
		}
	}
	full := job{shares: make([]share, slots)}
	for text, j := range map[string]*job{dir: &full, dir + "/absent": {}, dir + ":/x:rx": {}} {
		if err := j.addShare(text); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
}

// What the command sees is what was given, whatever characters are in it.
func TestScriptQuotes(t *testing.T) {
	words := []string{"a b", "it's", `"$HOME"`, "new\nline", "", "*"}
	script, err := job{args: append([]string{"printf", "%s|"}, words...), env: []string{"A=x y"}}.script()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(script, "export 'A=x y'\n") {
		t.Errorf("the variable is not in\n%s", script)
	}
	_, command, _ := strings.Cut(script, "cd '/tmp'\n") // what comes before needs the machine
	out, err := exec.Command("bash", "-c", command).Output()
	if want := strings.Join(words, "|") + "|"; err != nil || string(out) != want {
		t.Errorf("%q, %v; want %q", out, err, want)
	}
}

func TestComplete(t *testing.T) {
	for _, test := range []struct {
		machine machine
		kernel  string // empty: refused
	}{
		{machine{cgroup: "v2"}, "6.12"}, {machine{cgroup: "v1"}, "6.1"}, {machine{cgroup: "hybrid"}, "6.1"},
		{machine{cgroup: "v2", kernel: "6.1"}, "6.1"}, {machine{cgroup: "v3"}, ""},
		{machine{cgroup: "v2", kernel: "5.10"}, ""}, {machine{cgroup: "v2", accel: "fast"}, ""},
	} {
		m := test.machine
		if err := m.complete(); (err == nil) != (test.kernel != "") || err == nil && m.kernel != test.kernel {
			t.Errorf("%+v: kernel %q, %v", test.machine, m.kernel, err)
		}
	}
}

// Each kind of machine has a snapshot of its own.
func TestKeys(t *testing.T) {
	base := machine{cgroup: "v2", systemd: true, kernel: "6.1", accel: "tcg", cpus: 2, memory: 2048}
	seen := map[string]bool{base.key(): true}
	for _, change := range []func(*machine){
		func(m *machine) { m.cgroup = "v1" }, func(m *machine) { m.cgroup = "hybrid" }, func(m *machine) { m.systemd = false },
		func(m *machine) { m.kernel = "6.12" }, func(m *machine) { m.accel = "kvm" },
		func(m *machine) { m.cpus = 1 }, func(m *machine) { m.memory = 1024 },
	} {
		m := base
		change(&m)
		if seen[m.key()] {
			t.Errorf("%+v has the key of another machine", m)
		}
		seen[m.key()] = true
	}
}

// What fails runs once more, alone; a machine that breaks down runs all of its tests again. A sentence of a test's is
// counted as left out, once.
func TestRun(t *testing.T) {
	s := suite{outcomes: make([]outcome, len(configurations))}
	left := notePrefix + "TestX: no such controller\n"
	fails := &result{out: left + "--- FAIL: TestY (0.1s)\n    --- FAIL: TestY/sub\n--- FAIL: TestZ (0.2s)\nFAIL\n", code: 1}
	for _, results := range [][]*result{
		{{out: left + "PASS\n"}},
		{fails, {out: "PASS\n"}},
		{fails, {out: "--- FAIL: TestZ (0.1s)\n", code: 1}},
		{{code: 2}, {code: 2}},
	} {
		n := 0
		s.run(piece{program: "tests", tests: []string{"TestX", "TestY", "TestZ"}}, func(p piece) *result {
			want := []string{"TestX", "TestY", "TestZ"}
			if n == 1 && results[0].out != "" {
				want = []string{"TestY", "TestZ"}
			}
			if !slices.Equal(p.tests, want) {
				t.Errorf("attempt %d of %d runs %q", n+1, len(results), p.tests)
			}
			n++
			return results[n-1]
		})
		if n != len(results) {
			t.Errorf("%d attempts, want %d", n, len(results))
		}
	}
	got := s.outcomes[0]
	if got.failed != 2 || !slices.Equal(got.notes, []string{"TestX: no such controller"}) || !slices.Equal(got.late, []string{"TestY", "TestZ"}) {
		t.Errorf("%+v", got)
	}
}

func TestDeal(t *testing.T) {
	hands := deal([]string{"a", "b", "c", "d", "e"}, 2)
	if len(hands) != 2 || !slices.Equal(hands[0], []string{"a", "c", "e"}) || !slices.Equal(hands[1], []string{"b", "d"}) {
		t.Errorf("%q", hands)
	}
}
