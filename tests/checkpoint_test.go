package tests

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
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

// Images that fill the disk lack nothing of what skep adds to them: the container has ended by then.
func TestCheckpointFillsDisk(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t))
	dir := tempDir(t)
	images := filepath.Join(dir, "images")
	if err := os.Mkdir(images, 0o700); err != nil {
		t.Fatal(err)
	}
	// What is to be criu writes until nothing more fits, and answers that the dump has succeeded.
	writeFile(t, filepath.Join(dir, "criu"), "#!/bin/sh\n/bin/dd bs=64k count=1 <&3 >/dev/null 2>&1\n"+
		"/bin/dd if=/dev/zero of="+images+"/fill 2>/dev/null\nprintf '\\010\\001\\020\\001' >&3\n")
	if err := os.Chmod(filepath.Join(dir, "criu"), 0o755); err != nil {
		t.Fatal(err)
	}
	script := "mount -t tmpfs -o size=64k none " + images + ` && "$@" && cat ` + images + "/descriptors.json"
	res := r.succeed(call{wrap: []string{"unshare", "--mount", "/bin/sh", "-ec", script, "sh"},
		env: []string{"PATH=" + dir + ":" + os.Getenv("PATH")}, args: []string{"checkpoint", "--image-path", images, c.id}})
	if !strings.HasPrefix(res.stdout, "[") {
		t.Errorf("the streams are noted as %q", res.stdout)
	}
	r.fails("does not exist", "state", c.id)
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
	for _, flag := range []string{"preserve-fds", "no-new-keyring"} { // of a program that begins
		res := r.call(call{args: []string{"restore", "--" + flag + "=1", "--detach", "--bundle", b.dir, "--image-path", empty, r.id()}})
		if res.code != 1 || !strings.Contains(res.stderr, "flag provided but not defined: -"+flag) {
			t.Errorf("%s: exit %d, %s", flag, res.code, res.stderr)
		}
	}
	makeCgroup(t, "pids", b.cgroup)
	r.fails("exists, which the mode strict refuses", "restore", "--detach", "--manage-cgroups-mode", "strict", "--bundle", b.dir, "--image-path", empty, r.id())
	writeFile(t, filepath.Join(empty, "descriptors.json"), `{`)
	devices := newBundle(t, linux(func(l *specs.Linux) { l.NetDevices = map[string]specs.LinuxNetDevice{"eth7": {}} }))
	r.fails("linux.netDevices", "restore", "--detach", "--bundle", devices.dir, "--image-path", empty, r.id())
	r.fails("descriptors.json", "restore", "--detach", "--bundle", b.dir, "--image-path", empty, r.id())
}

// What sd_notify(3) takes is a mount of the host's, to criu as to everybody: dumped by its name, restored from its source.
func TestCheckpointNotifySocket(t *testing.T) {
	r := newRuntime(t)
	dir, id := tempDir(t), r.id()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := errors.Join(os.Mkdir(target, 0o755), os.Symlink(target, link)); err != nil {
		t.Fatal(err)
	}
	b := newBundle(t, mounts(specs.Mount{Destination: "/volume", Type: "bind", Source: link, Options: []string{"bind"}}))
	writeFile(t, filepath.Join(dir, "descriptors.json"), "[]")
	// What is to be criu keeps what it is asked, and ends without an answer.
	asked := filepath.Join(dir, "asked")
	writeFile(t, filepath.Join(dir, "criu"),
		"#!/bin/sh\n/bin/dd bs=64k count=1 <&3 >"+asked+" 2>/dev/null\n/bin/ls -d "+r.root+"/*/notify >>"+asked+"\n")
	if err := os.Chmod(filepath.Join(dir, "criu"), 0o755); err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=" + dir, "NOTIFY_SOCKET=" + filepath.Join(dir, "manager")}
	wantAsked := func(what ...string) {
		t.Helper()
		request := readFile(t, asked)
		for _, w := range what {
			if !strings.Contains(request, w) {
				t.Errorf("criu is asked %q, without %q", request, w)
			}
		}
	}
	r.succeed(call{args: []string{"create", "--bundle", b.dir, id}, env: env})
	r.live = append(r.live, id)
	r.succeed(call{args: []string{"start", id}})
	r.refuse(call{args: []string{"checkpoint", "--image-path", dir, id}, env: env}, "ended without an answer")
	wantAsked("\x0a\x0b/run/notify\x12\x0b/run/notify") // an ExternalMount: its key and its value
	r.succeed(call{args: []string{"delete", "--force", id}})
	id = r.id()
	r.refuse(call{args: []string{"restore", "--detach", "--bundle", b.dir, "--image-path", dir, id}, env: env}, "ended without an answer")
	wantAsked("\x0a\x0b/run/notify\x12", filepath.Join(r.root, id, "notify")+"\n") // the latter by ls
	wantAsked("/volume\x12", target)                                               // criu would mount the link itself
	// Whoever restores it need not listen.
	writeFile(t, filepath.Join(dir, "notify"), "")
	id = r.id()
	r.refuse(call{args: []string{"restore", "--detach", "--bundle", b.dir, "--image-path", dir, id}, env: env[:1]}, "ended without an answer")
	wantAsked("\x0a\x0b/run/notify\x12", filepath.Join(r.root, id, "notify")+"\n")
}
