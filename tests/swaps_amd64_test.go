package tests

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// swapAnywhere runs a bundle again and again. Each time it exchanges the names with others, which "other-" begins, when
// init is about to look a path up, for this once or for good: somebody who writes to the image, and always wins the race.
func (r *ociRuntime) swapAnywhere(b bundle, names []string, look func(result)) {
	r.t.Helper()
	swapped := false
	swap := func() {
		swapped = !swapped
		for _, name := range names {
			if err := b.swap(name); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	for step, once := range map[int]bool{1: true, 5: false} {
		strikeAll(r.t, step, func(n int) bool {
			lookups := 0
			attack := func(call uint64) bool {
				if call != unix.SYS_OPENAT2 {
					return false
				}
				if lookups++; lookups == n || once && lookups == n+1 {
					swap()
				}
				return true
			}
			res, struck := r.trace(fault{n: n, inside: true, on: attack, do: func(int) {}}, r.runLine(b)...)
			if swapped {
				swap()
			}
			look(res)
			return struck
		})
	}
}

// PRP-08 PRP-12: CVE-2025-31133, while the runtime masks paths, somebody swaps /proc and /sys for empty directories. A
// container has all its masks, or does not come to be.
func TestRacingMasks(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/sh", "-c", "for p in /proc /other-proc; do [ -e $p/self ] && cat $p/self/mountinfo && exit; done"), linux(func(l *specs.Linux) {
		l.ReadonlyPaths = append(l.ReadonlyPaths, "/sys/kernel")
	}))
	want := mountKinds(r.output(b))
	names := []string{"proc", "sys"}
	for _, name := range names {
		if err := os.Mkdir(filepath.Join(b.rootfs, "other-"+name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	made, refused := 0, 0
	r.swapAnywhere(b, names, func(res result) {
		if res.code != 0 {
			checkError(t, "run", res.stderr)
			refused++
			return
		}
		if got := mountKinds(res.stdout); !slices.Equal(got, want) {
			t.Errorf("the container has the mounts\n%q\nnot\n%q", got, want)
		}
		made++
	})
	if made == 0 || refused == 0 {
		t.Errorf("%d containers were made, %d refused", made, refused)
	}
}

// mountKinds lists what is mounted, wherever it is.
func mountKinds(table string) (kinds []string) {
	for _, m := range parseMounts(table) {
		kinds = append(kinds, m.fstype+" "+m.root+" "+m.options)
	}
	slices.Sort(kinds)
	return kinds
}
