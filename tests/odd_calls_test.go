package tests

import (
	"os"
	"path/filepath"
	"testing"
)

// ERR-03: a root that is none, and flags that contradict each other, are an error of every command.
func TestOddFlags(t *testing.T) {
	r := newRuntime(t)
	b, file := newBundle(t), filepath.Join(tempDir(t), "file")
	writeFile(t, file, "")
	for _, line := range [][]string{
		{"--root", file, "list"}, {"--root", file + "/below", "list"}, {"--root", file, "list", "--quiet"},
		{"--root", file, "run", "--bundle", b.dir, "x"}, {"--root", file, "state", "x"}, {"--root", file, "delete", "x"},
	} {
		want := "not a directory"
		if line[2] == "delete" {
			want = "does not exist"
		}
		r.refuse(call{args: line, bare: true}, want)
	}
	for _, manager := range []string{"cgroupfs", "disabled"} {
		r.refuse(call{args: []string{"--systemd-cgroup", "--cgroup-manager", manager, "list"}, bare: true}, "--systemd-cgroup", manager)
	}
}

// ERR-03: paths that cannot be told of, or that a caller has left empty.
func TestOddPaths(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t)
	link := filepath.Join(tempDir(t), "\xff")
	if err := os.Symlink(b.dir, link); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"create", "run"} {
		r.refuse(call{args: []string{command, "--bundle", link, r.id()}}, `\xff" is not UTF-8`)
	}
	c := r.runDetached(b)
	images := []string{"--image-path", ""}
	r.refuse(call{args: append(append([]string{"checkpoint"}, images...), c.id)}, "--image-path")
	r.refuse(call{args: append(append([]string{"restore", "--detach", "--bundle", b.dir}, images...), r.id())}, "--image-path")
	c.delete("--force")
}

// ERR-03: what cannot be printed is an error.
func TestFullOutput(t *testing.T) {
	r := newRuntime(t)
	c := r.create(newBundle(t))
	for _, line := range [][]string{
		{"--version"}, {"list"}, {"list", "--quiet"}, {"list", "--format", "json"}, {"state", c.id}, {"ps", c.id}, {"ps", "--format", "json", c.id},
		{"events", "--stats", c.id}, {"features"}, {"plan", "--bundle", c.bundle.dir},
	} {
		full := []string{"/bin/sh", "-c", `exec "$@" >/dev/full`, "sh"}
		r.refuse(call{args: line, wrap: full}, "no space left on device")
	}
}
