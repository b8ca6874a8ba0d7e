package tests

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// badConfigs are refused by validation: the error names the place, and
// nothing has been made when it comes.
var badConfigs = []struct {
	name string
	edit edit
	want string
}{
	{"VER-01 no version", func(s *specs.Spec) { s.Version = "" }, "ociVersion"},
	{"VER-02 version", func(s *specs.Spec) { s.Version = "1.0" }, "ociVersion"},
	{"VER-04 major version", func(s *specs.Spec) { s.Version = "2.0.0" }, "ociVersion"},
	{"ROOT-01 no root", func(s *specs.Spec) { s.Root = nil }, "root"},
	{"ROOT-02 no root.path", func(s *specs.Spec) { s.Root.Path = "" }, "root.path"},
	{"PROC-06 relative cwd", func(s *specs.Spec) { s.Process.Cwd = "tmp" }, "process.cwd"},
	{"PROC-06 no cwd", func(s *specs.Spec) { s.Process.Cwd = "" }, "process.cwd"},
	{"PROC-13 no args", func(s *specs.Spec) { s.Process.Args = nil }, "process.args"},
	{"PROC-09 variable", func(s *specs.Spec) { s.Process.Env = []string{"A=1", "BROKEN"} }, "process.env[1]"},
	{"PROC-18 oomScoreAdj", func(s *specs.Spec) { s.Process.OOMScoreAdj = ptr(1001) }, "oomScoreAdj"},
	{"RLIM-01 rlimit type", func(s *specs.Spec) { s.Process.Rlimits[0].Type = "RLIMIT_FOO" }, "RLIMIT_FOO"},
	{"RLIM-02 soft above hard", func(s *specs.Spec) { s.Process.Rlimits[0].Soft = 2048 }, "rlimits[0]"},
	{"RLIM-04 duplicate rlimit", func(s *specs.Spec) { s.Process.Rlimits = append(s.Process.Rlimits, s.Process.Rlimits[0]) }, "rlimits[1]"},
	{"UTS-01 hostname without uts", without(specs.UTSNamespace), "hostname"},
	{"NS-13 duplicate namespace", func(s *specs.Spec) {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.PIDNamespace})
	}, "namespaces[5]"},
	{"NS-14 unknown namespace", namespace("foo", ""), "foo"},
	{"NS-20 masks without mount", func(s *specs.Spec) { without(specs.MountNamespace)(s); s.Linux.ReadonlyPaths = nil }, "maskedPaths"},
	{"UIDM-03 mappings without user", linux(func(l *specs.Linux) { l.UIDMappings = []specs.LinuxIDMapping{{Size: 1}} }), "uidMappings"},
	{"UIDM-04 user without mappings", func(s *specs.Spec) {
		namespace(specs.UserNamespace, "")(s)
		s.Linux.GIDMappings = []specs.LinuxIDMapping{{Size: 10}}
	}, "uidMappings"},
	{"TIME-03 offsets without time", linux(func(l *specs.Linux) { l.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1}} }), "timeOffsets"},
	{"ANN-02 empty annotation key", func(s *specs.Spec) { s.Annotations = map[string]string{"": "x"} }, "annotations"},
	{"SYS-06 host sysctl", linux(func(l *specs.Linux) { l.Sysctl = map[string]string{"vm.swappiness": "1"} }), "vm.swappiness"},
	{"PRP-05 propagation", linux(func(l *specs.Linux) { l.RootfsPropagation = "foo" }), "rootfsPropagation"},
	{"PRP-09 relative mask", linux(func(l *specs.Linux) { l.MaskedPaths = []string{"proc/kcore"} }), "maskedPaths[0]"},
	{"DEV-02 device type", linux(func(l *specs.Linux) { l.Devices = []specs.LinuxDevice{{Path: "/dev/x", Type: "z"}} }), "devices[0]"},
	{"CGD-05 device access", resources(func(r *specs.LinuxResources) { r.Devices[0].Access = "rwx" }), "devices[0]"},
	{"CGM-03 swap below limit", resources(func(r *specs.LinuxResources) { memory(r).Limit, memory(r).Swap = ptr(int64(2<<20)), ptr(int64(1<<20)) }), "swap"},
	{"SEC-15 seccomp action", seccomp(specs.LinuxSeccomp{DefaultAction: "SCMP_ACT_FOO"}), "SCMP_ACT_FOO"},
	{"SEC-14 seccomp names", seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Action: specs.ActErrno}}}), "names"},
	{"HK-01 relative hook", func(s *specs.Spec) { s.Hooks = &specs.Hooks{Poststop: []specs.Hook{{Path: "bin/true"}}} }, "poststop[0]"},
	{"HK-05 hook timeout", func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/true", Timeout: ptr(0)}}}
	}, "timeout"},
}

// OPC-08 OPC-09 ERR-01 ERR-03 EXT-02
func TestBadConfigs(t *testing.T) {
	for _, bad := range badConfigs {
		t.Run(bad.name, func(t *testing.T) {
			r := newRuntime(t)
			b := newBundle(t, bad.edit)
			line := []string{"create", "--bundle", b.dir, r.id()}
			r.fails(bad.want, line...)
			if left := r.entries(); len(left) > 0 {
				t.Errorf("made before it was refused: %v", left)
			}
			res := r.do(line...)
			if n := strings.Count(strings.TrimSpace(res.stderr), "\n"); n > 0 {
				t.Errorf("one problem, %d lines: %s", n+1, res.stderr)
			}
		})
	}
}

// OPC-09: every problem is told at once.
func TestBadConfigAllProblems(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, func(s *specs.Spec) {
		s.Process.Cwd = "relative"
		s.Version = "x"
		s.Linux.RootfsPropagation = "foo"
	})
	r.refuse(call{args: []string{"create", "--bundle", b.dir, r.id()}}, "process.cwd", "ociVersion", "rootfsPropagation")
}

// JSON-05 JSON-06 JSON-08 JSON-09 JSON-11 JSON-12 JSON-14
func TestBadJSON(t *testing.T) {
	for name, bad := range map[string]struct {
		change func(config []byte) []byte
		want   string
	}{
		"empty":     {func([]byte) []byte { return nil }, "config.json"},
		"null":      {func([]byte) []byte { return []byte("null") }, "null"},
		"cut":       {func(c []byte) []byte { return c[:len(c)/2] }, "config.json"},
		"trailing":  {func(c []byte) []byte { return append(c, 'x') }, "config.json"},
		"utf-8":     {replace(`"skep-test"`, "\"\xff\""), "UTF-8"},
		"duplicate": {replace(`"hostname":`, `"hostname":"other","hostname":`), "hostname"},
		"type":      {replace(`"cwd":"/"`, `"cwd":1`), "process.cwd"},
		"range":     {replace(`"uid":0`, `"uid":-1`), "process.user.uid"},
		"huge":      {func(c []byte) []byte { return append(c, bytes.Repeat([]byte(" "), 17<<20)...) }, "config.json"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRuntime(t)
			b := newBundle(t)
			config, err := json.Marshal(b.spec)
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, b.config(), string(bad.change(config)))
			r.fails(bad.want, "create", "--bundle", b.dir, r.id())
		})
	}
}

func replace(from, to string) func([]byte) []byte {
	return func(config []byte) []byte { return bytes.Replace(config, []byte(from), []byte(to), 1) }
}

// A FIFO as config.json must not hang.
func TestConfigFifo(t *testing.T) {
	r := newRuntime(t)
	dir := tempDir(t)
	if err := unix.Mkfifo(dir+"/config.json", 0o644); err != nil {
		t.Fatal(err)
	}
	r.fails("config.json", "create", "--bundle", dir, r.id())
}

// VER-03 EXT-01 EXT-04 ANN-06 JSON-10 PROC-16: what must not be refused.
func TestToleratedConfigs(t *testing.T) {
	r := newRuntime(t)
	for _, version := range []string{"1.0.0", "1.0.2-dev", "1.1.0+dev", "1.3.0", "1.99.0"} {
		r.sh("true", func(s *specs.Spec) { s.Version = version })
	}
	b := newBundle(t, args("/bin/hostname"), func(s *specs.Spec) {
		s.Annotations = map[string]string{"org.example.unknown": "x", "org.opencontainers.unknown": "y"}
		s.Process.CommandLine = "ignored"
	})
	config, err := json.Marshal(b.spec)
	if err != nil {
		t.Fatal(err)
	}
	config = replace(`"hostname":`, `"foo":{"a":[1]},"Hostname":"other","windows":{"layerFolders":["x"]},"hostname":`)(config)
	config = replace(`"cwd":`, `"unknown":null,"cwd":`)(config)
	writeFile(t, b.config(), string(config))
	log := filepath.Join(tempDir(t), "log")
	id := r.id()
	wantLines(t, r.ok("--log", log, "run", "--bundle", b.dir, id).stdout, "skep-test")
	if warning := readFile(t, log); !strings.Contains(warning, "level=warning") || !strings.Contains(warning, "Hostname") {
		t.Errorf("the log is %q", warning)
	}
}
