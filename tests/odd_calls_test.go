package tests

import (
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
