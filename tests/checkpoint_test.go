package tests

import (
	"os"
	"path/filepath"
	"testing"
)

// A machine without criu, and input that criu never sees.
func TestCheckpointRefused(t *testing.T) {
	r := newRuntime(t)
	c := r.create(newBundle(t))
	images := filepath.Join(tempDir(t), "images")
	r.fails("container not running", "checkpoint", "--image-path", images, c.id)
	c.start()
	r.refuse(call{args: []string{"checkpoint", "--image-path", images, c.id}, env: []string{"PATH=/nowhere"}},
		"criu: not found in /nowhere", "package criu")
	for flag, want := range map[string]string{
		"--manage-cgroups-mode=hard": "want soft, full, strict or ignore",
		"--network-lock=rope":        "want iptables, nftables or skip",
		"--empty-ns=pid":             "want network",
		"--page-server=localhost":    "page-server",
		"--page-server=localhost:0":  "want ADDRESS:PORT",
		"--parent-path=/images":      "relative",
		"--status-fd=77":             "not a descriptor",
		"--lazy-pages":               "--page-server",
	} {
		r.fails(want, "checkpoint", "--image-path", images, flag, c.id)
	}
	if got := c.status(); got != "running" {
		t.Errorf("the container is %s", got)
	}
	if _, err := os.Stat(filepath.Join(images, "descriptors.json")); err == nil {
		t.Error("a checkpoint that failed left its list of streams")
	}
	c.stop()
	c.delete()
	r.fails("does not exist", "checkpoint", "--image-path", images, c.id)
}

// A restore that cannot be leaves nothing, cgroups included.
func TestRestoreRefused(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t)
	empty := tempDir(t)
	r.fails("no checkpoint", "restore", "--detach", "--bundle", b.dir, "--image-path", empty, r.id())
	r.fails("no such file", "restore", "--detach", "--bundle", b.dir, "--image-path", filepath.Join(empty, "none"), r.id())
	writeFile(t, filepath.Join(empty, "descriptors.json"), `["/dev/null","/dev/null","/dev/null"]`)
	r.refuse(call{args: []string{"restore", "--detach", "--bundle", b.dir, "--image-path", empty, r.id()}, env: []string{"PATH=/nowhere"}},
		"criu: not found")
	writeFile(t, filepath.Join(empty, "descriptors.json"), `{`)
	r.fails("descriptors.json", "restore", "--detach", "--bundle", b.dir, "--image-path", empty, r.id())
}
