package cgroups

import "testing"

// CLI-16: each kill is told, but of a group that ends as a whole only the one.
func TestOOMWatch(t *testing.T) {
	const none = "low 0\nhigh 0\nmax 7\noom 0\noom_kill 0\n"
	for _, tt := range []struct {
		name, group string
		events      []string
		want        []bool
	}{
		{"single", "0\n", []string{
			"oom 1\noom_kill 0\noom_group_kill 0\n", "oom 1\noom_kill 1\noom_group_kill 0\n", "oom 2\noom_kill 1\noom_group_kill 0\n",
			"oom 2\noom_kill 3\noom_group_kill 0\n",
		}, []bool{false, true, false, true}},
		{"group", "1\n", []string{
			"oom 1\noom_kill 0\noom_group_kill 0\n", // it begins
			"oom 1\noom_kill 1\noom_group_kill 0\n", // is told
			"oom 1\noom_kill 2\noom_group_kill 1\n", // goes on
			"oom 1\noom_kill 5\noom_group_kill 1\n",
			"oom 2\noom_kill 9\noom_group_kill 2\n", // another one
			"oom 2\noom_kill 10\noom_group_kill 2\n",
			"oom 2\noom_kill 11\noom_group_kill 3\n", // the host's, not begun here
		}, []bool{false, true, false, false, true, false, true}},
		{"group of an older kernel", "1\n", []string{"oom_kill 1\n", "oom_kill 1\n", "oom_kill 4\n"}, []bool{true, false, true}},
		{"kernel without groups", "", []string{"oom_kill 1\n", "oom_kill 1\n"}, []bool{true, false}},
	} {
		files := map[string]string{"/memory.events": none}
		if tt.group != "" {
			files["/memory.oom.group"] = tt.group
		}
		g := fixture(t, files)
		w, err := g.WatchOOM()
		if err != nil {
			t.Fatal(err)
		}
		for i, events := range tt.events {
			put(t, g.V2Dir()+"/memory.events", events)
			if got, err := w.Read(); err != nil || got != tt.want[i] {
				t.Errorf("%s: %v, %v after %q, want %v", tt.name, got, err, events, tt.want[i])
			}
		}
		w.Close()
	}
}
