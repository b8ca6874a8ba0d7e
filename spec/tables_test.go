package spec

import (
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestParseSignal(t *testing.T) { // OPK-04
	tests := []struct {
		in   string
		want unix.Signal
		ok   bool
	}{
		{"KILL", 9, true}, {"SIGKILL", 9, true}, {"9", 9, true}, {"kill", 9, true}, {"sigterm", 15, true},
		{"0", 0, true}, {"64", 64, true}, {"35", 35, true},
		{"IOT", 6, true}, {"POLL", 29, true}, {"CLD", 17, true}, {"WINCH", 28, true},
		{"RTMIN", 34, true}, {"SIGRTMIN", 34, true}, {"RTMIN+1", 35, true}, {"rtmin+30", 64, true},
		{"RTMAX", 64, true}, {"RTMAX-0", 64, true}, {"SIGRTMAX-14", 50, true},
		{"", 0, false}, {"SIG", 0, false}, {"FOO", 0, false}, {"65", 0, false}, {"-1", 0, false}, {"+9", 0, false},
		{"300", 0, false}, {"RTMIN+31", 0, false}, {"RTMIN-1", 0, false}, {"RTMAX+1", 0, false},
		{"RTMIN+", 0, false}, {"RTMIN+-1", 0, false}, {"RTMINX1", 0, false}, {"9 ", 0, false},
	}
	for _, tt := range tests {
		got, err := ParseSignal(tt.in)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("ParseSignal(%q) = %d, %v", tt.in, got, err)
		}
	}
	for _, e := range Signals {
		if got := unix.SignalNum("SIG" + e.Name); got != 0 && got != e.Value {
			t.Errorf("SIG%s is %d here, the table says %d", e.Name, got, e.Value)
		}
	}
}

func TestCapabilities(t *testing.T) { // FTL-02, CAP-09
	if len(Capabilities) != 41 {
		t.Errorf("%d capabilities", len(Capabilities))
	}
	for i, e := range Capabilities {
		if e.Value != uint(i) {
			t.Errorf("%s has number %d at index %d", e.Name, e.Value, i)
		}
	}
	for _, name := range []string{"cap_chown", "CHOWN", "", "CAP_FOO"} {
		if Capabilities.Has(name) {
			t.Errorf("%q is taken for a capability", name)
		}
	}
}

func TestNamespaces(t *testing.T) { // FTL-01
	want := []string{"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"}
	if got := Namespaces.Names(); !slices.Equal(got, want) {
		t.Errorf("names %q", got)
	}
	for _, e := range Namespaces {
		var st unix.Stat_t
		if err := unix.Stat("/proc/self/ns/"+e.Value.File, &st); err != nil {
			t.Errorf("%s: /proc/self/ns/%s: %v", e.Name, e.Value.File, err)
		}
	}
	if ns, _ := Namespaces.Lookup(specs.MountNamespace); ns != (Namespace{unix.CLONE_NEWNS, "mnt"}) {
		t.Errorf("mount is %+v", ns)
	}
	l := &specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: "pid"}, {Type: "network", Path: "/x"}}}
	if ns := FindNamespace(l, specs.NetworkNamespace); ns == nil || ns.Path != "/x" {
		t.Errorf("network: %+v", ns)
	}
	if FindNamespace(l, specs.UserNamespace) != nil || FindNamespace(nil, specs.UserNamespace) != nil {
		t.Error("found a namespace that is not there")
	}
}

// The sizes are those of the specification's schema: a row lost by accident shows.
func TestTableSizes(t *testing.T) { // RLIM-01, SCHED-01, SCHED-04, IOP-01, MPOL-01, MPOL-03, SEC-03, SEC-15, SEC-17, FTL-04, FTL-05, FTL-07
	tests := []struct {
		name  string
		names []string
		want  int
	}{
		{"rlimits", Rlimits.Names(), 16},
		{"policies", SchedulerPolicies.Names(), 7},
		{"scheduler flags", SchedulerFlags.Names(), 7},
		{"ioprio classes", IOPriorityClasses.Names(), 3},
		{"memory policy modes", MemoryPolicyModes.Names(), 7},
		{"memory policy flags", MemoryPolicyFlags.Names(), 3},
		{"personalities", Personalities.Names(), 2},
		{"propagation", Propagations.Names(), 8},
		{"seccomp actions", SeccompActions.Names(), 9},
		{"seccomp operators", SeccompOperators.Names(), 7},
		{"seccomp architectures", SeccompArchs.Names(), 23},
		{"seccomp flags", SeccompFlags.Names(), 4},
	}
	for _, tt := range tests {
		unique := slices.Compact(slices.Sorted(slices.Values(tt.names)))
		if len(tt.names) != tt.want || len(unique) != tt.want || unique[0] == "" {
			t.Errorf("%s: %d names, %d different, want %d", tt.name, len(tt.names), len(unique), tt.want)
		}
	}
}
