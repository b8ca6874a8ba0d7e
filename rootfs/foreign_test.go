package rootfs_test

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// NS-12: without a mount namespace of the container's own no plan mounts anything, and the root of a namespace is left
// as it is.
func TestForeignMountNamespace(t *testing.T) {
	s := &specs.Spec{
		Process: &specs.Process{Cwd: "/work", Terminal: true, ApparmorProfile: "x"},
		Linux: &specs.Linux{
			Sysctl: map[string]string{"kernel.msgmax": "1"},
		},
	}
	for root, want := range map[string]string{
		"/bundle/rootfs": "make node /dev/null c 1:3",
		"/":              "",
	} {
		h := fakeHost()
		h.NoMounts, h.Root = true, root
		text, err := compile(s, h)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"take " + root + " as root", "change root to root", "open a terminal", want} {
			if !strings.Contains(text, line) {
				t.Errorf("%s: no %q in\n%s", root, line, text)
			}
		}
		for _, word := range []string{"attach", "slaves", "pivot to", "clone", "set "} {
			if strings.Contains(text, word) {
				t.Errorf("%s: %q in\n%s", root, word, text)
			}
		}
		if root == "/" && strings.Contains(text, "make ") {
			t.Errorf("something is made in / in\n%s", text)
		}
	}
	s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229}}
	h := fakeHost()
	h.NoMounts, h.Root = true, "/"
	if _, err := compile(s, h); err == nil || !strings.HasPrefix(err.Error(), "linux.devices: nothing is made in a root") {
		t.Error(err)
	}
}
