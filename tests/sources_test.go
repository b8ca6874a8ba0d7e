package tests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// MNT-27: the source of a bind is the caller's to open: root of a user namespace
// could not.
func TestBindSourceOutOfReach(t *testing.T) {
	r := newRuntime(t)
	private := filepath.Join(tempDir(t), "private")
	if err := os.MkdirAll(filepath.Join(private, "source"), 0o700); err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(private, "source")
	if err := os.Chmod(source, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(source, "file"), "content\n")
	b := newBundle(t, userNamespace(), args("/bin/cat", "/mnt/file"),
		mounts(specs.Mount{Destination: "/mnt", Type: "bind", Source: source, Options: []string{"bind", "ro"}}))
	b.chown(100_000, 100_000)
	wantLines(t, r.output(b), "content")
}

// ROOT-09: a root that is made read-only keeps what its mount forbids besides,
// which a user namespace may not allow again.
func TestReadonlyRootKeepsFlags(t *testing.T) {
	for name, extra := range map[string]edit{"plain": args(), "user namespace": userNamespace()} {
		t.Run(name, func(t *testing.T) {
			r := newRuntime(t)
			b := newBundle(t, extra, args("/bin/sh", "-c", "grep ' / / \\| / ' /proc/self/mountinfo | head -1"),
				func(s *specs.Spec) { s.Root.Readonly = true })
			if err := unix.Mount(b.rootfs, b.rootfs, "", unix.MS_BIND, ""); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := unix.Unmount(b.rootfs, unix.MNT_DETACH); err != nil {
					t.Error(err)
				}
			})
			flags := uintptr(unix.MS_REMOUNT | unix.MS_BIND | unix.MS_NOSUID | unix.MS_NODEV)
			if err := unix.Mount("", b.rootfs, "", flags, ""); err != nil {
				t.Fatal(err)
			}
			options := strings.Fields(r.output(b))[5]
			for _, want := range []string{"ro", "nosuid", "nodev"} {
				if !strings.Contains(","+options+",", ","+want+",") {
					t.Errorf("the root's options are %s", options)
				}
			}
		})
	}
}
