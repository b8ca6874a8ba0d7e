package systemd

import (
	"strings"
	"testing"
)

// CGP-10: what linux.cgroupsPath and its defaults mean with systemd.
func TestNewUnit(t *testing.T) {
	tests := []struct {
		path string
		user bool
		want Unit
	}{
		{"", false, Unit{"skep-web+1.scope", "system.slice", "/system.slice/skep-web+1.scope"}},
		{"", true, Unit{"skep-web+1.scope", "user.slice", "/user.slice/skep-web+1.scope"}},
		{":p:n", false, Unit{"p-n.scope", "system.slice", "/system.slice/p-n.scope"}},
		{":p:n", true, Unit{"p-n.scope", "user.slice", "/user.slice/p-n.scope"}},
		{"::n", false, Unit{"n.scope", "system.slice", "/system.slice/n.scope"}},
		{"-.slice:p:n", false, Unit{"p-n.scope", "-.slice", "/p-n.scope"}},
		{"kubepods-besteffort-pod1_2.slice:cri-containerd:0a1b", false, Unit{"cri-containerd-0a1b.scope", "kubepods-besteffort-pod1_2.slice",
			"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1_2.slice/cri-containerd-0a1b.scope"}},
		{"machine.slice:libpod-conmon:a.b@c", false, Unit{"libpod-conmon-a.b@c.scope", "machine.slice", "/machine.slice/libpod-conmon-a.b@c.scope"}},
		{`:p:a\x2db`, false, Unit{`p-a\x2db.scope`, "system.slice", `/system.slice/p-a\x2db.scope`}},
		{"::a-b.slice", false, Unit{"a-b.slice", "a.slice", "/a.slice/a-b.slice"}},
		{"a.slice:ignored:a-b.slice", false, Unit{"a-b.slice", "a.slice", "/a.slice/a-b.slice"}},
		{"memory_x.slice:cpu:pids.max", false, Unit{"cpu-pids.max.scope", "memory_x.slice", "/memory_x.slice/cpu-pids.max.scope"}},
		{"-.slice::a.slice", true, Unit{"a.slice", "-.slice", "/a.slice"}},
	}
	for _, test := range tests {
		got, err := NewUnit(test.path, "web+1", test.user)
		test.want.Name = strings.ReplaceAll(test.want.Name, "+", `\x2b`)
		test.want.Path = strings.ReplaceAll(test.want.Path, "+", `\x2b`)
		if err != nil || got != test.want {
			t.Errorf("%q, user %v: %+v, %v, want %+v", test.path, test.user, got, err, test.want)
		}
		if got.IsSlice() != strings.HasSuffix(test.path, "slice") {
			t.Errorf("%q: a slice: %v", test.path, got.IsSlice())
		}
	}
}

// CGP-07
func TestNewUnitRefused(t *testing.T) {
	tests := []struct{ path, want string }{
		{"/skep/web", "slice:prefix:name"},
		{"web", "slice:prefix:name"},
		{"a:b", "slice:prefix:name"},
		{"a.slice:b:c:d", "slice:prefix:name"},
		{"::", "is empty"},
		{"a.slice:p:", "is empty"},
		{"system:p:n", `"system" is not the name of a slice`},
		{".slice:p:n", `".slice" is not the name of a slice`},
		{"/a.slice:p:n", `"/" cannot be`},
		{"../a.slice:p:n", `"/" cannot be`},
		{"a--b.slice:p:n", "empty part"},
		{"-a.slice:p:n", "empty part"},
		{"a-.slice:p:n", "empty part"},
		{":p:a/b", `"/" cannot be`},
		{"memory.slice:p:n", `"memory.slice" looks like a file of a cgroup`},
		{"cpu-a.slice:p:n", `"cpu.slice" looks like a file of a cgroup`},
		{"_a.slice:p:n", `"_a.slice" looks like`},
		{"::_a", `"_a.scope" looks like`},
		{"::.a", `".a.scope" looks like`},
		{"::cgroup.procs", `"cgroup.procs.scope" looks like`},
		{"::pids", `"pids.scope" looks like`},
		{"::io.slice", `"io.slice" looks like`},
		{":p:a b", `" " cannot be`},
		{":p:a\x00b", `"\x00" cannot be`},
		{":p:ä", `"\xc3" cannot be`},
		{":p:" + strings.Repeat("n", 248), "longer than 255 bytes"},
		{"::-.slice", "the root slice"},
		{"::a--b.slice", "empty part"},
		{"system.slice::a-b.slice", "is in a.slice by its name, not in system.slice"},
	}
	for _, test := range tests {
		if u, err := NewUnit(test.path, "id", false); err == nil || !strings.Contains(err.Error(), test.want) ||
			!strings.HasPrefix(err.Error(), "linux.cgroupsPath: ") {
			t.Errorf("%q: %+v, %v, want an error with %q", test.path, u, err, test.want)
		}
	}
}
