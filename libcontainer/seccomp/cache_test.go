package seccomp

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// entryOf returns the path of the only entry in a cache.
func entryOf(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("cache entries %q, %v, want one", names, err)
	}
	return names[0]
}

func mustCached(t *testing.T, dir string, p *specs.LinuxSeccomp) *Filter {
	t.Helper()
	f, err := Cached(dir, p)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// testProfile has all that a cached filter must bring back.
func testProfile() *specs.LinuxSeccomp {
	return profile(specs.ActErrno, rule(specs.ActNotify, "getpid"), rule(specs.ActAllow, "no_such_call"))
}

// SEC-25: the second use reads what the first one wrote.
func TestCached(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "@seccomp")
	p := testProfile()
	want := mustCompile(t, p)
	if got := mustCached(t, dir, p); !reflect.DeepEqual(got, want) {
		t.Errorf("first use: %+v, want %+v", got, want)
	}
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("cache directory: %v, %v", st, err)
	}
	entry := entryOf(t, dir)
	before, err := os.Stat(entry)
	if err != nil || before.Mode().Perm() != 0o600 {
		t.Fatalf("entry: %v, %v", before, err)
	}
	if got := mustCached(t, dir, p); !reflect.DeepEqual(got, want) {
		t.Errorf("second use: %+v, want %+v", got, want)
	}
	if after, err := os.Stat(entry); err != nil || !os.SameFile(before, after) {
		t.Errorf("the second use wrote the entry anew: %v", err)
	}

	// What is stored is what is used: another valid program is taken as well.
	key, bpf := cacheKey(p), encode([]insn{{code: opReturn, k: allow}})
	if err := os.WriteFile(entry, encodeEntry(key, bpf, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := mustCached(t, dir, p); !bytes.Equal(got.BPF, bpf) || got.Notify || got.Warnings != nil {
		t.Errorf("stored program: %+v", got)
	}
}

// SEC-25: flags are not part of an entry.
func TestCachedFlags(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "@seccomp")
	p := profile(specs.ActAllow)
	mustCached(t, dir, p)
	p.Flags = []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog}
	if f := mustCached(t, dir, p); f.Flags != unix.SECCOMP_FILTER_FLAG_LOG {
		t.Errorf("flags %#x", f.Flags)
	}
	entryOf(t, dir)
	p.Flags = []specs.LinuxSeccompFlag{"nonsense"}
	if f, err := Cached(dir, p); f != nil || err == nil {
		t.Errorf("unknown flag: %v, %v", f, err)
	}
}

// SEC-25: each field that the program depends on changes the key.
func TestCacheKey(t *testing.T) {
	base := func() *specs.LinuxSeccomp {
		p := profile(specs.ActErrno, rule(specs.ActAllow, "ab", specs.LinuxSeccompArg{Op: specs.OpEqualTo}), rule(specs.ActAllow, "c"))
		p.Architectures = []specs.Arch{specs.ArchX86}
		return p
	}
	keys := [][32]byte{cacheKey(base())}
	if keys[0] != cacheKey(base()) {
		t.Error("the key is not stable")
	}
	for i, change := range []func(*specs.LinuxSeccomp){
		func(p *specs.LinuxSeccomp) { p.DefaultAction = specs.ActKill },
		func(p *specs.LinuxSeccomp) { p.DefaultErrnoRet = ref(0) },
		func(p *specs.LinuxSeccomp) { p.DefaultErrnoRet = ref(1) },
		func(p *specs.LinuxSeccomp) { p.Architectures = nil },
		func(p *specs.LinuxSeccomp) { p.Architectures = []specs.Arch{specs.ArchX32} },
		func(p *specs.LinuxSeccomp) { p.Syscalls = p.Syscalls[:1] },
		func(p *specs.LinuxSeccomp) { p.Syscalls[0].Names = []string{"a", "b"} },
		func(p *specs.LinuxSeccomp) { p.Syscalls[0].Names = []string{"abc"} },
		func(p *specs.LinuxSeccomp) { p.Syscalls[0].Action = specs.ActLog },
		func(p *specs.LinuxSeccomp) { p.Syscalls[0].ErrnoRet = ref(0) },
		func(p *specs.LinuxSeccomp) { p.Syscalls[0].Args = nil },
		func(p *specs.LinuxSeccomp) { p.Syscalls[0].Args[0].Index = 1 },
		func(p *specs.LinuxSeccomp) { p.Syscalls[0].Args[0].Value = 1 },
		func(p *specs.LinuxSeccomp) { p.Syscalls[0].Args[0].ValueTwo = 1 },
		func(p *specs.LinuxSeccomp) { p.Syscalls[0].Args[0].Op = specs.OpNotEqual },
		func(p *specs.LinuxSeccomp) { slices.Reverse(p.Syscalls) },
	} {
		p := base()
		change(p)
		key := cacheKey(p)
		if slices.Contains(keys, key) {
			t.Errorf("change %d: a key that occurred before", i)
		}
		keys = append(keys, key)
	}
	// A field that a later specification adds must be thought of in cacheKey.
	for v, fields := range map[reflect.Type]int{
		reflect.TypeFor[specs.LinuxSeccomp]():    7, // three of them not in the key
		reflect.TypeFor[specs.LinuxSyscall]():    4,
		reflect.TypeFor[specs.LinuxSeccompArg](): 4,
	} {
		if v.NumField() != fields {
			t.Errorf("%v has %d fields, cacheKey knows %d", v, v.NumField(), fields)
		}
	}
}

// SEC-25: whatever is wrong with an entry, it is compiled again and replaced.
func TestCachedBrokenEntry(t *testing.T) {
	p := testProfile()
	want := mustCompile(t, p)
	good := encodeEntry(cacheKey(p), want.BPF, want.Warnings)
	replace := func(content []byte) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	flip := func(i int) []byte {
		b := slices.Clone(good)
		b[i] ^= 1
		return b
	}
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	stolen := encodeEntry(cacheKey(p), encode([]insn{{code: opReturn, k: allow}}), nil)
	if err := os.WriteFile(elsewhere, stolen, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		put  func(*testing.T, string)
	}{
		{"empty", replace(nil)},
		{"truncated", replace(good[:len(good)-9])},
		{"header only", replace(good[:headerSize])},
		{"magic", replace(flip(0))},
		{"checksum", replace(flip(10))},
		{"program", replace(flip(headerSize + 5))},
		{"warnings", replace(flip(len(good) - 1))},
		{"of another profile", replace(encodeEntry(cacheKey(profile(specs.ActAllow)), stolen[headerSize:], nil))},
		{"no program", replace(encodeEntry(cacheKey(p), nil, nil))},
		{"program of 12 bytes", replace(encodeEntry(cacheKey(p), make([]byte, 12), nil))},
		{"program too long", replace(encodeEntry(cacheKey(p), make([]byte, (maxInsns+1)*insnSize), nil))},
		{"huge", replace(append(slices.Clone(good), make([]byte, maxEntrySize)...))},
		{"symlink", func(t *testing.T, path string) {
			if err := os.Symlink(elsewhere, path); err != nil {
				t.Fatal(err)
			}
		}},
		{"fifo", func(t *testing.T, path string) {
			if err := unix.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "@seccomp")
			mustCached(t, dir, p)
			path := entryOf(t, dir)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			tt.put(t, path)
			if got := mustCached(t, dir, p); !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
			st, err := os.Lstat(path)
			if err != nil || !st.Mode().IsRegular() {
				t.Fatalf("entry: %v, %v", st, err)
			}
			if content, err := os.ReadFile(path); err != nil || !bytes.Equal(content, good) {
				t.Errorf("the entry was not replaced: %v", err)
			}
		})
	}
	if content, err := os.ReadFile(elsewhere); err != nil || !bytes.Equal(content, stolen) {
		t.Errorf("a symlink was followed: %v", err)
	}
}

// SEC-25: a directory that others could have written to is not used.
func TestCachedUntrustedDir(t *testing.T) {
	p := testProfile()
	tests := []struct {
		name, reason string
		make         func(t *testing.T, dir string) error
	}{
		{"group may read", "mode 0750", func(t *testing.T, dir string) error {
			return os.Mkdir(dir, 0o750)
		}},
		{"others may write", "mode 0702", func(t *testing.T, dir string) error {
			return firstErr(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o702))
		}},
		{"symlink", "open: not a directory", func(t *testing.T, dir string) error {
			return os.Symlink(t.TempDir(), dir)
		}},
		{"file", "open: not a directory", func(t *testing.T, dir string) error {
			return os.WriteFile(dir, nil, 0o600)
		}},
		{"no parent", "mkdir: no such file or directory", func(t *testing.T, dir string) error {
			return os.Remove(filepath.Dir(dir))
		}},
		{"foreign", "owned by uid 1234", func(t *testing.T, dir string) error {
			return firstErr(os.Mkdir(dir, 0o700), os.Chown(dir, 1234, -1))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			parent := filepath.Join(t.TempDir(), "root")
			dir := filepath.Join(parent, "@seccomp")
			if err := firstErr(os.Mkdir(parent, 0o700), tt.make(t, dir)); err != nil {
				t.Fatal(err)
			}
			want := mustCompile(t, p)
			for range 2 {
				got := mustCached(t, dir, p)
				n := len(got.Warnings) - 1
				if n < 0 || !strings.HasPrefix(got.Warnings[n], "seccomp cache "+dir+": ") || !strings.Contains(got.Warnings[n], tt.reason) {
					t.Fatalf("warnings %q, want the reason %q", got.Warnings, tt.reason)
				}
				if got.Warnings = got.Warnings[:n]; !reflect.DeepEqual(got, want) {
					t.Errorf("got %+v, want %+v", got, want)
				}
			}
			if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 0 {
				t.Errorf("entries in a directory that is not trusted: %q", names)
			}
		})
	}
}

func firstErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// SEC-25: the oldest entries go, and so does what crashed writers left.
func TestCachePrune(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	age := func(i int) string {
		name := filepath.Join(dir, fmt.Sprintf("%03d", i))
		when := time.Unix(1_000_000+int64(i), 0)
		if err := firstErr(os.WriteFile(name, nil, 0o600), os.Chtimes(name, when, when)); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for i := range maxEntries + 3 {
		age(i)
	}
	if err := os.Rename(filepath.Join(dir, "003"), filepath.Join(dir, ".tmp-left")); err != nil {
		t.Fatal(err)
	}
	mustCached(t, dir, testProfile())
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != maxEntries {
		t.Errorf("%d entries, %v, want %d", len(entries), err, maxEntries)
	}
	for name, want := range map[string]bool{"000": false, ".tmp-left": false, "004": true, "258": true} {
		if _, err := os.Lstat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("entry %s: %v", name, err)
		}
	}
}
