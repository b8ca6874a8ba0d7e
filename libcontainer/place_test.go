package libcontainer

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"skep/cgroups"
	"skep/nsenter/plan"
	"skep/spec"
)

// placed makes a blueprint of words: a namespace type alone is new, with @host or @user joined and owned by the
// host's or the joined user namespace.
func placed(t *testing.T, words string) *blueprint {
	t.Helper()
	b := &blueprint{spec: &specs.Spec{Linux: &specs.Linux{}}, group: cgroups.Open(cgroups.Facts{Paths: map[string]string{"": "/cg"}})}
	for word := range strings.FieldsSeq(words) {
		kind, owner, isJoined := strings.Cut(word, "@")
		ns := specs.LinuxNamespace{Type: specs.LinuxNamespaceType(kind)}
		row, ok := spec.Namespaces.Lookup(ns.Type)
		if !ok {
			t.Fatal(word)
		}
		if isJoined {
			ns.Path = "/ns/" + kind
			b.joins = append(b.joins, &joined{LinuxNamespace: ns, flag: row.Flag, item: "x", fd: -1, inside: owner == "user"})
		}
		b.spec.Linux.Namespaces = append(b.spec.Linux.Namespaces, ns)
	}
	return b
}

// NS-15 NS-16: who is cloned into what, and what is joined and made in which order.
func TestPlacement(t *testing.T) {
	for _, test := range []struct {
		namespaces string
		clone      string // namespaces of the clone
		steps      string // of the phases before "enter"
		enter      string // of "enter", as far as namespaces go
	}{
		{"pid network mount", "mount network pid", "", ""},
		{"user pid ipc mount cgroup", "cgroup mount pid user", "", "ids new-ipc"},
		{"pid mount network@host ipc@host", "mount pid", "", "join-network join-ipc"},
		{"pid@host mount", "", "join-pid new-mount | fork-cgroup", ""},
		{"pid@host mount cgroup@host", "", "join-pid join-cgroup new-mount | fork", ""},
		{"time mount cgroup", "", "new-mount new-time | fork-cgroup", "new-cgroup"},
		{"time pid mount user", "", "new-user | ids new-mount new-pid new-time | fork", ""},
		{"user pid mount network@host", "", "join-network new-user | ids new-mount new-pid | fork", ""},
		{"user@host mount network@user uts@host", "", "join-uts join-user | ids join-network new-mount", ""},
		{"pid@user user@host mount ipc", "", "join-user | ids join-pid new-ipc new-mount | fork", ""},
	} {
		b := placed(t, test.namespaces)
		clone, _, _ := b.namespaceFlags()
		var made []string
		for _, row := range spec.Namespaces {
			if clone&uintptr(row.Value.Flag) != 0 {
				made = append(made, string(row.Name))
			}
		}
		if got := strings.Join(made, " "); got != test.clone {
			t.Errorf("%s: the clone makes %q, want %q", test.namespaces, got, test.clone)
		}
		var steps []string
		for _, p := range b.placement() {
			steps = append(steps, inShort(p))
		}
		// Without a user namespace nothing has to happen between joining and making.
		got := strings.Join(steps, " | ")
		if spec.FindNamespace(b.spec.Linux, specs.UserNamespace) == nil {
			got = strings.TrimPrefix(strings.Replace(got, " | ", " ", 1), " ")
		}
		if got != test.steps {
			t.Errorf("%s: %q, want %q", test.namespaces, got, test.steps)
		}
		if got := inShort(b.enter(nil)); got != test.enter {
			t.Errorf("%s: enters by %q, want %q", test.namespaces, got, test.enter)
		}
	}
}

// inShort names the steps that have to do with namespaces.
func inShort(p *plan.Phase) string {
	var words []string
	for _, s := range p.Steps {
		if f, ok := s.(plan.For); ok {
			s = f.Step
		}
		switch s := s.(type) {
		case plan.JoinNamespace:
			words = append(words, "join-"+s.Name)
		case plan.Unshare:
			words = append(words, "new-"+s.Name)
		case plan.SetIDs:
			words = append(words, "ids")
		case plan.Fork:
			if s.Cgroup != plan.Control {
				words = append(words, "fork-cgroup")
			} else {
				words = append(words, "fork")
			}
		}
	}
	return strings.Join(words, " ")
}
