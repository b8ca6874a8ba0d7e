package process

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// PROC-13
func TestCandidates(t *testing.T) {
	for _, c := range []struct {
		name string
		env  []string
		want []string
	}{
		{"sh", []string{"PATH=/usr/bin:/bin"}, []string{"/usr/bin/sh", "/bin/sh"}},
		{"sh", []string{"PATH=/a", "PATH=/b"}, []string{"/b/sh"}},
		{"sh", []string{"PATHS=/a"}, []string{"/bin/sh", "/usr/bin/sh"}},
		{"sh", []string{"PATH=:/:/b/::rel:"}, []string{"./sh", "/sh", "/b/sh", "./sh", "rel/sh", "./sh"}},
		{"sh", []string{"PATH="}, []string{"./sh"}},
		{"/bin/sh", []string{"PATH=/a"}, []string{"/bin/sh"}},
		{"./sh", []string{"PATH=/a"}, []string{"./sh"}},
		{"dir/sh", nil, []string{"dir/sh"}},
	} {
		got := candidates(&specs.Process{Args: []string{c.name}, Env: c.env})
		if !slices.Equal(got, c.want) {
			t.Errorf("%s with %q: %q, want %q", c.name, c.env, got, c.want)
		}
	}
}

// A found is what a phase's probe answers about a file: access(2) of it, and of the name "." in it.
type found [2]unix.Errno

var (
	program    = found{0, unix.ENOTDIR}
	directory  = found{0, 0}
	missing    = found{unix.ENOENT, unix.ENOENT}
	data       = found{unix.EACCES, unix.ENOTDIR}
	closed     = found{unix.EACCES, unix.EACCES} // below a directory that may not be searched
	notDir     = found{unix.ENOTDIR, unix.ENOTDIR}
	roundabout = found{unix.ELOOP, unix.ELOOP}
)

// answers spreads what was found over phases, as MoreProbes does.
func answers(all ...found) []func(plan.Slot) unix.Errno {
	var phases []func(plan.Slot) unix.Errno
	for some := range slices.Chunk(all, 8) {
		phases = append(phases, func(s plan.Slot) unix.Errno {
			i := int(s) - int(plan.Result(0))
			return some[i/2][i%2]
		})
	}
	return phases
}

// PROC-13 PROC-14: callers match these texts.
func TestChoose(t *testing.T) {
	path := func(n int) string { return "PATH=" + strings.Join(slices.Repeat([]string{"/d"}, n-1), ":") + ":/last" }
	for _, c := range []struct {
		name, env string
		found     []found
		want, err string
	}{
		{"x", "PATH=/a:/b", []found{program, program}, "/a/x", ""},
		{"x", "PATH=/a:/b", []found{missing, program}, "/b/x", ""},
		{"x", "PATH=/a:/b", []found{data, program}, "/b/x", ""},
		{"x", "PATH=/a:/b", []found{directory, program}, "/b/x", ""},
		{"x", "PATH=/a:/b", []found{closed, missing}, "", `exec: "x": executable file not found in $PATH`},
		{"x", "PATH=/a:/b", []found{notDir, roundabout}, "", `exec: "x": executable file not found in $PATH`},
		{"x", "PATH=/a:/b", []found{data, missing}, "", `exec: "x": permission denied`},
		{"x", "PATH=/a:/b", []found{missing, directory}, "", `exec: "x": permission denied`},
		{"x", path(20), append(slices.Repeat([]found{missing}, 19), program), "/last/x", ""},
		{"x", path(8), append(slices.Repeat([]found{missing}, 7), program), "/last/x", ""},
		{"x", path(9), slices.Repeat([]found{missing}, 9), "", `exec: "x": executable file not found in $PATH`},
		{"/x", "PATH=/a", []found{program}, "/x", ""},
		{"./x", "PATH=/a", []found{program}, "./x", ""},
		{"/x", "PATH=/a", []found{missing}, "", `exec: "/x": stat /x: no such file or directory`},
		{"/x", "PATH=/a", []found{notDir}, "", `exec: "/x": stat /x: not a directory`},
		{"/x", "PATH=/a", []found{roundabout}, "", `exec: "/x": stat /x: too many levels of symbolic links`},
		{"/x", "PATH=/a", []found{data}, "", `exec: "/x": permission denied`},
		{"/x", "PATH=/a", []found{closed}, "", `exec: "/x": permission denied`},
		{"/x", "PATH=/a", []found{directory}, "", `exec: "/x": is a directory: permission denied`},
	} {
		p := &specs.Process{Args: []string{c.name}, Env: []string{c.env}}
		all := answers(c.found...)
		if more := len(MoreProbes(p)) + 1; more != len(all) {
			t.Fatalf("%s: %d phases, want %d", c.env, more, len(all))
		}
		got, err := Choose(p, all...)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != c.want || text != c.err {
			t.Errorf("%s with %s and %v: %q, %s", c.name, c.env, c.found, got, text)
		}
	}
}

// A user with CAP_DAC_OVERRIDE executes what access(2) denies to the user as such.
func TestChooseOverride(t *testing.T) {
	for _, c := range []struct {
		uid  uint32
		caps *specs.LinuxCapabilities
		ok   bool
	}{
		{1000, allSets("CAP_DAC_OVERRIDE"), true},
		{1000, allSets("CAP_DAC_READ_SEARCH"), true},
		{1000, allSets("CAP_KILL"), false},
		{1000, nil, false},
		{0, allSets("CAP_DAC_OVERRIDE"), false},
	} {
		p := &specs.Process{Args: []string{"/x"}, User: specs.User{UID: c.uid}, Capabilities: c.caps}
		got, err := Choose(p, answers(closed)...)
		if ok := err == nil; ok != c.ok || ok && got != "/x" {
			t.Errorf("uid %d with %+v: %q, %v", c.uid, c.caps, got, err)
		}
	}
}

// PROC-15: the words that callers match stay, and a hint says where to look.
func TestExecError(t *testing.T) {
	for errno, want := range map[unix.Errno][2]string{
		unix.ENOENT:  {"no such file or directory", "interpreter"},
		unix.ENOEXEC: {"exec format error", "architecture"},
		unix.EACCES:  {"permission denied", "noexec"},
		unix.EPERM:   {"operation not permitted", "bounding set"},
		unix.ETXTBSY: {"text file busy", "writing"},
		unix.E2BIG:   {"argument list too long", "process.env"},
		unix.ENOMEM:  {"cannot allocate memory", "memory limit"},
		unix.EAGAIN:  {"resource temporarily unavailable", "RLIMIT_NPROC"},
		unix.ENOSYS:  {"function not implemented", "seccomp"},
		unix.ENOTDIR: {"not a directory", "interpreter"},
		unix.ELOOP:   {"too many levels of symbolic links", "interpreter"},
		unix.ELIBBAD: {"accessing a corrupted shared library", "loader"},
	} {
		err := ExecError("/bin/x", errno)
		text := err.Error()
		if !strings.HasPrefix(text, `exec: "/bin/x": `+want[0]+" (") || !strings.Contains(text, want[1]) {
			t.Errorf("%v: %s", errno, text)
		}
		if !errors.Is(err, errno) {
			t.Errorf("%v is not wrapped", errno)
		}
	}
	if text := ExecError("/x", unix.EIO).Error(); text != `exec: "/x": input/output error` {
		t.Errorf("EIO: %s", text)
	}
}
