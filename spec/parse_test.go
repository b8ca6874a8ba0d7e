package spec

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const bundles = "../tests/testdata/bundles"

// glob lists files and fails when there are none.
func glob(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no files, %v", pattern, err)
	}
	return files
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// base is a valid document into which the tests put members.
func base(members string) string {
	return `{"ociVersion":"1.0.0","root":{"path":"rootfs"}` + members + `}`
}

func process(members string) string {
	return base(`,"process":{"cwd":"/","args":["sh"],"user":{"uid":0,"gid":0}` + members + `}`)
}

// wantProblem checks that err is exactly one problem.
func wantProblem(t *testing.T, err error, path, text string) {
	t.Helper()
	ps, ok := errors.AsType[Problems](err)
	if !ok || len(ps) != 1 || ps[0].Path != path || !strings.Contains(ps[0].Text, text) {
		t.Errorf("got %v\nwant %s: …%s…", err, path, text)
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct{ raw, path, text string }{
		// JSON-05
		{base(",\"hostname\":\"a\xffb\""), "hostname", "invalid UTF-8"},
		{base(",\"annotations\":{\"a\xff\":\"\"}"), "annotations", "invalid UTF-8"},
		// JSON-06
		{`{"ociVersion":"1.0.0","ociVersion":"2"}`, "ociVersion", "appears twice"},
		{process(`,"cwd":"/x"`), "process.cwd", "appears twice"},
		{base(`,"annotations":{"a b":"1","a b":"2"}`), `annotations["a b"]`, "appears twice"},
		{base(`,"annotations":{"5":"1","5":"2"}`), `annotations["5"]`, "appears twice"},
		{base(`,"windows":{"a":{"b":1,"b":2}}`), "windows.a.b", "appears twice"},
		{base(`,"x":[{"b":1,"\u0062":2}]`), `x["0"].b`, "appears twice"},
		// JSON-08
		{base("") + "x", "", "invalid character 'x' after top-level value (line 1, column 48)"},
		{base("") + "\n{}", "", "(line 2, column 1)"},
		// JSON-09
		{"null", "", "null, expected an object"},
		{" null\n", "", "null, expected an object"},
		{"", "", "empty"},
		{" \n\t", "", "empty"},
		{"[]", "", "[] is a list, expected an object"},
		{`"x"`, "", `"x" is a string, expected an object`},
		{"{", "", "unexpected EOF"},
		{`{"process":{"args":["a",`, "process.args", "unexpected EOF"},
		{`{"root":{"path":x}}`, "root.path", "invalid character 'x'"},
		// JSON-11
		{base(`,"process":{"cwd":"/","user":{"uid":-1,"gid":0}}`), "process.user.uid", "-1 is out of range, expected an integer from 0 to 4294967295"},
		{base(`,"process":{"cwd":"/","user":{"uid":4294967296,"gid":0}}`), "process.user.uid", "4294967296 is out of range, expected an integer from 0 to 4294967295"},
		{base(`,"process":{"cwd":"/","user":{"uid":0,"gid":0,"additionalGids":[1,-2]}}`), "process.user.additionalGids[1]", "-2 is"},
		{base(`,"linux":{"resources":{"blockIO":{"weight":70000}}}`), "linux.resources.blockIO.weight", "70000 is out of range, expected an integer from 0 to 65535"},
		{base(`,"linux":{"resources":{"cpu":{"quota":9223372036854775808}}}`), "linux.resources.cpu.quota", "9223372036854775808 is out of range, expected an integer from -9223372036854775808 to 9223372036854775807"},
		{base(`,"linux":{"resources":{"cpu":{"quota":1.5}}}`), "linux.resources.cpu.quota", "1.5 is not an integer"},
		{base(`,"linux":{"resources":{"rdma":{"mlx5.1":{"hcaHandles":"x"}}}}`), `linux.resources.rdma["mlx5.1"].hcaHandles`, `"x" is a string, expected an integer from 0 to`},
		{process(`,"scheduler":{"policy":"SCHED_OTHER","nice":2147483648}`), "process.scheduler.nice", "out of range, expected an integer from -2147483648 to 2147483647"},
		// JSON-12, MNT-12, ANN-01
		{base(`,"process":{"args":"sh"}`), "process.args", `"sh" is a string, expected a list of strings`},
		{base(`,"process":{"args":[1]}`), "process.args[0]", "1 is a number, expected a string"},
		{base(`,"mounts":[{},{},{"options":["a",{"b":  1}]}]`), "mounts[2].options[1]", `{"b":1} is an object, expected a string`},
		{base(`,"mounts":{}`), "mounts", "{} is an object, expected a list of objects"},
		{base(`,"linux":{"uidMappings":7}`), "linux.uidMappings", "7 is a number, expected a list of objects"},
		{base(`,"annotations":{"a.b/c":true}`), `annotations["a.b/c"]`, "true is a boolean, expected a string"},
		{base(`,"annotations":["x"]`), "annotations", `["x"] is a list, expected an object`},
		{process(`,"terminal":"yes"`), "process.terminal", `"yes" is a string, expected true or false`},
		{process(`,"terminal":0`), "process.terminal", "0 is a number, expected true or false"},
		{base(`,"linux":{"devices":[{"path":[]}]}`), "linux.devices[0].path", "[] is a list, expected a string"},
		{process(`,"env":"A=secret"`), "process.env", "the value is a string, expected a list of strings"},
		{base(`,"hooks":{"poststop":[{"path":"/x","env":[["secret"]]}]}`), "hooks.poststop[0].env[0]", "the value is a list, expected a string"},
		{base(`,"process":{"user":{"uid":0,"gid":0,"additionalGids":"5"}}`), "process.user.additionalGids", `"5" is a string, expected a list of integers`},
		{base(`,"hostname":["` + strings.Repeat("é", 50) + `"]`), "hostname", "… is a list"},
	}
	for _, tt := range tests {
		_, _, err := Parse([]byte(tt.raw))
		wantProblem(t, err, tt.path, tt.text)
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("a value of the environment is printed: %v", err)
		}
	}
}

// Members that decode to zero when they are missing.
func TestParseMissing(t *testing.T) {
	tests := []struct{ raw, path string }{
		{base(`,"process":{"cwd":"/","user":{"gid":1}}`), "process.user.uid"}, // USR-01
		{base(`,"process":{"cwd":"/","user":{"uid":1}}`), "process.user.gid"}, // USR-02
		{base(`,"process":{"cwd":"/","user":{"uid":null,"gid":1}}`), "process.user.uid"},
		{process(`,"rlimits":[{"type":"RLIMIT_CORE","hard":1}]`), "process.rlimits[0].soft"},                                                 // RLIM-02
		{process(`,"rlimits":[{"type":"RLIMIT_CORE","soft":0}]`), "process.rlimits[0].hard"},                                                 // RLIM-03
		{base(`,"linux":{"uidMappings":[{"containerID":0,"hostID":1,"size":1},{"hostID":5,"size":1}]}`), "linux.uidMappings[1].containerID"}, // UIDM-01
		{base(`,"linux":{"gidMappings":[{"containerID":0,"size":1}]}`), "linux.gidMappings[0].hostID"},                                       // UIDM-01
		{base(`,"mounts":[{"destination":"/x","uidMappings":[{"containerID":0,"hostID":0}]}]`), "mounts[0].uidMappings[0].size"},
		{base(`,"linux":{"devices":[{"path":"/a","type":"c","minor":3}]}`), "linux.devices[0].major"}, // DEV-05
		{base(`,"linux":{"devices":[{"path":"/a","type":"p"},{"path":"/b","type":"b","major":3}]}`), "linux.devices[1].minor"},
		{base(`,"linux":{"resources":{"devices":[{"allow":false},{"access":"rwm"}]}}`), "linux.resources.devices[1].allow"}, // CGD-02
		{base(`,"linux":{"resources":{"blockIO":{"weightDevice":[{"major":8,"weight":10}]}}}`), "linux.resources.blockIO.weightDevice[0].minor"},
		{base(`,"linux":{"resources":{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0}]}}}`), "linux.resources.blockIO.throttleReadBpsDevice[0].rate"},
		{base(`,"linux":{"resources":{"hugepageLimits":[{"pageSize":"2MB"}],"pids":{"limit":1}}}`), "linux.resources.hugepageLimits[0].limit"},
		{base(`,"linux":{"resources":{"network":{"priorities":[{"name":"eth0"}]}}}`), "linux.resources.network.priorities[0].priority"},
		{base(`,"linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_TRAP","args":[{"index":0,"op":"SCMP_CMP_EQ"}]}]}}`), "linux.seccomp.syscalls[0].args[0].value"}, // SEC-17
	}
	for _, tt := range tests {
		_, _, err := Parse([]byte(tt.raw))
		wantProblem(t, err, tt.path, "required but missing")
	}
	// Escaped members are there.
	for _, raw := range []string{
		base(`,"process":{"cwd":"/","user":{"\u0075id":0,"gid":0}}`),
		base(`,"process":{"cwd":"/"}`),
		base(`,"linux":{"devices":[{"path":"/a","type":"p"}]}`),
	} {
		if _, _, err := Parse([]byte(raw)); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

// JSON-12, ANN-01: null is no string, no object and no number; a member that is null is absent.
func TestParseNull(t *testing.T) {
	for raw, want := range map[string][2]string{
		`"process":{"cwd":"/","args":["a",null]}`:                                {"process.args[1]", "null, expected a string"},
		`"annotations":{"a":null}`:                                               {"annotations.a", "null, expected a string"},
		`"mounts":[{"destination":"/a"},null]`:                                   {"mounts[1]", "null, expected an object"},
		`"process":{"cwd":"/","user":{"uid":0,"gid":0,"additionalGids":[null]}}`: {"process.user.additionalGids[0]", "null, expected an integer from 0"},
		`"linux":{"netDevices":{"eth0":null}}`:                                   {"linux.netDevices.eth0", "null, expected an object"},
	} {
		_, _, err := Parse([]byte(base("," + raw)))
		wantProblem(t, err, want[0], want[1])
	}
	s, warnings, err := Parse([]byte(base(`,"hostname":null,"mounts":null,"x":[null],"windows":{"a":null},"process":null,
		"linux":{"sysctl":null,"resources":{"memory":{"limit":null}},"devices":null}`)))
	if err != nil || len(warnings) > 0 || s.Process != nil || s.Linux.Resources.Memory.Limit != nil {
		t.Errorf("%+v, %q, %v", s, warnings, err)
	}
}

// JSON-10, EXT-01: an unknown name is ignored, one that differs in case only
// is ignored with a warning.
func TestParseUnknown(t *testing.T) {
	raw := `{"ociVersion":"1.0.0","root":{"path":"rootfs","Path":"x","foo":1},"Hostname":"evil","foo":{"Hostname":[]},
		"process":{"user":{"uid":1,"gid":2,"bar":null},"cwd":"/","ARGS":3},
		"mounts":[{"destination":"/a"},{"destination":"/b","Options":["ro"]}],
		"annotations":{"Root":"x"},
		"linux":{"intelRdt":{"enableCMT":true},"resources":{"unified":{"Memory.max":"1"},"oomScoreAdj":3,
			"blockIO":{"weightDevice":[{"major":8,"minor":0,"Weight":5}]}}},
		"windows":{"Root":1}}`
	s, warnings, err := Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, w := range warnings {
		path, _, _ := strings.Cut(w, ":")
		paths = append(paths, path)
	}
	want := "root.Path Hostname process.ARGS mounts[1].Options linux.resources.blockIO.weightDevice[0].Weight"
	if got := strings.Join(paths, " "); got != want {
		t.Errorf("warnings for %s\nwant %s", got, want)
	}
	if s.Hostname != "" || s.Root.Path != "rootfs" || s.Process.Args != nil || len(s.Mounts[1].Options) != 0 {
		t.Errorf("a member in other case was applied: %+v", s)
	}
	if s.Process.User.UID != 1 || s.Linux.Resources.Unified["Memory.max"] != "1" {
		t.Errorf("a known member was lost: %+v", s)
	}
}

// EXT-04: whatever other platforms' sections hold.
func TestParseOtherPlatforms(t *testing.T) {
	s, warnings, err := Parse([]byte(base(`,"windows":3,"vm":"x","solaris":[1,{}],"zos":{"namespaces":1},"freebsd":null`)))
	if err != nil || len(warnings) != 0 {
		t.Fatal(warnings, err)
	}
	if s.Windows != nil || s.VM != nil || s.Solaris != nil || s.ZOS != nil || s.FreeBSD != nil {
		t.Errorf("a section was decoded: %+v", s)
	}
}

func TestParseFileMode(t *testing.T) { // JSON-11, DEV-06
	tests := []struct {
		in   string
		want uint32
	}{{"438", 0o666}, {"8612", 0o644}, {"24960", 0o600}, {"0", 0}}
	for _, tt := range tests {
		s, _, err := Parse([]byte(base(`,"linux":{"devices":[{"path":"/a","type":"c","major":1,"minor":3,"fileMode":` + tt.in + `}]}`)))
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
		} else if got := uint32(*s.Linux.Devices[0].FileMode); got != tt.want {
			t.Errorf("fileMode %s became %o, want %o", tt.in, got, tt.want)
		}
	}
}

func TestParseOrder(t *testing.T) { // JSON-07
	s, _, err := Parse([]byte(`{"linux":{"namespaces":[{"path":"/x","type":"pid"}]},"root":{"readonly":true,"path":"r"},"ociVersion":"1.0.0"}`))
	if err != nil {
		t.Fatal(err)
	}
	if s.Version != "1.0.0" || !s.Root.Readonly || s.Linux.Namespaces[0] != (specs.LinuxNamespace{Type: "pid", Path: "/x"}) {
		t.Errorf("%+v", s)
	}
}

func TestParseProcess(t *testing.T) {
	for _, file := range glob(t, bundles+"/*.process.json") {
		p, warnings, err := ParseProcess(readFile(t, file))
		if err != nil || len(warnings) != 0 || len(p.Args) == 0 {
			t.Errorf("%s: %v %v", file, warnings, err)
		}
	}
	_, _, err := ParseProcess([]byte(`{"args":[1]}`))
	wantProblem(t, err, "process.args[0]", "expected a string")
	_, _, err = ParseProcess([]byte(`{"args":["a"],"user":{"uid":1}}`))
	wantProblem(t, err, "process.user.gid", "missing")
	_, warnings, err := ParseProcess([]byte(`{"Args":["a"],"user":{"uid":1,"gid":1},"cwd":"/"}`))
	if err != nil || len(warnings) != 1 || !strings.HasPrefix(warnings[0], "process.Args: ") {
		t.Errorf("%q, %v", warnings, err)
	}
}

func TestParseResources(t *testing.T) {
	r, _, err := ParseResources([]byte(`{"memory":{"limit":5,"swap":null},"pids":null}`)) // CLI-15
	if err != nil || *r.Memory.Limit != 5 || r.Memory.Swap != nil || r.Pids != nil {
		t.Errorf("%+v, %v", r, err)
	}
	_, _, err = ParseResources([]byte(`{"memory":{"limit":"5"}}`))
	wantProblem(t, err, "linux.resources.memory.limit", `"5" is a string`)
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	fails := func(text string) {
		t.Helper()
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v, want the path and %q", err, text)
		}
	}
	fails("not found") // JSON-01
	if _, err := Load(dir); strings.Contains(err.Error(), "no such file or directory") {
		t.Errorf("managers will take this for a missing program: %v", err)
	}

	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	fails("not a regular file") // would hang without O_NONBLOCK
	os.Remove(path)
	os.Mkdir(path, 0o700)
	fails("not a regular file")
	os.Remove(path)

	write := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write([]byte("null"))
	fails("null")
	padding := bytes.Repeat([]byte{' '}, MaxSize-len(base("")))
	write(append([]byte(base("")), padding...))
	if _, err := Load(dir); err != nil { // JSON-14
		t.Errorf("exactly %d bytes: %v", MaxSize, err)
	}
	write(append([]byte(base(" ")), padding...))
	fails("larger than 16 MiB") // JSON-14

	write([]byte(base(`,"hostName":"x"`)))
	c, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	write([]byte("{}"))
	if string(c.Raw) != base(`,"hostName":"x"`) || c.Spec.Root.Path != "rootfs" || len(c.Warnings) != 1 { // JSON-13
		t.Errorf("%+v", c)
	}
}

func FuzzParse(f *testing.F) {
	for _, file := range glob(f, bundles+"/*.json") {
		f.Add(readFile(f, file))
	}
	for _, file := range glob(f, "testdata/schema/*/*.json") {
		f.Add(readFile(f, file))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, warnings, err := Parse(raw)
		if (s == nil) != (err != nil) || (err != nil && len(warnings) != 0) {
			t.Errorf("spec %v, warnings %q, error %v", s, warnings, err)
		}
		ParseProcess(raw)
		ParseResources(raw)
	})
}

func BenchmarkParse(b *testing.B) {
	raw := readFile(b, bundles+"/docker-05.json")
	for b.Loop() {
		if _, _, err := Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}
