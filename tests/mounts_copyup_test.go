package tests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// fillCovered puts one of everything into a directory of the root filesystem, with ids from base on.
func fillCovered(b bundle, base int) {
	b.t.Helper()
	dir := b.rootfs + "/data"
	b.write("data/file", "content\n", 0o644)
	b.write("data/suid", "", 0o4755)
	b.write("data/deep/er/file", "deep\n", 0o600)
	b.write("data/large", strings.Repeat("x", 300_000), 0o644)
	for i := range 300 { // more than one phase takes
		b.write("data/many/"+itoa(i), itoa(i), 0o644)
	}
	b.link("/etc/passwd", "data/link")
	fail := func(err error) {
		if err != nil {
			b.t.Fatal(err)
		}
	}
	fail(unix.Mkfifo(dir+"/fifo", 0o600))
	// Not user.*, which a tmpfs has only since Linux 6.6.
	fail(unix.Setxattr(dir+"/file", "trusted.mark", []byte("kept"), 0))
	fail(unix.Setxattr(dir+"/deep", "trusted.mark", []byte("dir"), 0))
	fail(filepath.Walk(dir, func(path string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, base, base)
	}))
	fail(os.Lchown(dir+"/file", base+7, base+8))
	fail(os.Lchown(dir+"/link", base+9, base+9))
	fail(os.Chown(dir, base+5, base+6))
	fail(unix.Chmod(dir, 0o2775))
	fail(unix.Chmod(dir+"/suid", 0o4755))
	fail(unix.Utimes(dir+"/file", []unix.Timeval{{Sec: 1000}, {Sec: 1000}}))
}

const showCopies = `cd /data; stat -c '%n %a %u:%g %F %s' . file suid deep deep/er/file large fifo link | sed 's/directory [0-9]*/directory/'
readlink link; cat file deep/er/file; stat -c %Y file; cat many/* | wc -c; ls -A | wc -l`

var copies = []string{
	". 2775 5:6 directory", "file 644 7:8 regular file 8", "suid 4755 0:0 regular empty file 0", "deep 755 0:0 directory",
	"deep/er/file 600 0:0 regular file 5", "large 644 0:0 regular file 300000", "fifo 600 0:0 fifo 0", "link 777 9:9 symbolic link 11",
	"/etc/passwd", "content", "deep", "1000", "790", "7",
}

// MOPT-43 MNT-21: the tmpfs begins with a copy of the directory that it covers.
func TestTmpCopyUp(t *testing.T) {
	for name, test := range map[string]struct {
		options []string
		edit    edit
		base    int
	}{
		"root": {edit: func(*specs.Spec) {}}, "user namespace": {edit: userNamespace(), base: 100_000},
		"read-only": {options: []string{"ro"}, edit: func(*specs.Spec) {}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRuntime(t)
			b := newBundle(t, test.edit, mounts(tmpfsAt("/data", append(test.options, "tmpcopyup")...)),
				args("/bin/sh", "-c", showCopies+"\nexec 2>/dev/null; rm deep/er/file && touch deep/new || echo read-only"))
			b.chown(test.base, test.base)
			fillCovered(b, test.base)
			want := copies
			if test.options != nil {
				want = append(want[:len(want):len(want)], "read-only")
			}
			wantLines(t, r.output(b), want...)
			if !b.exists("data/deep/er/file") || b.exists("data/deep/new") {
				t.Error("the image has changed")
			}
		})
	}
}

// MOPT-43: attributes, the options' own mode, what earlier mounts cover, and a missing directory.
func TestTmpCopyUpDetails(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, mounts(tmpfsAt("/data", "tmpcopyup", "mode=700")))
	fillCovered(b, 0)
	c := r.create(b)
	inside := procPath(c.pid, "root/data")
	value := make([]byte, 10)
	for name, want := range map[string]string{"file": "kept", "deep": "dir"} {
		if n, err := unix.Getxattr(filepath.Join(inside, name), "trusted.mark", value); err != nil || string(value[:n]) != want {
			t.Errorf("%s: %q, %v", name, value[:max(n, 0)], err)
		}
	}
	if st, err := os.Stat(inside); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("the mode is %v, %v", st, err)
	}
	plain := r.create(newBundle(t))
	if with, without := openFiles(t, c.pid), openFiles(t, plain.pid); with != without {
		t.Errorf("%d descriptors are open, otherwise %d", with, without)
	}
	c.delete("--force")
	plain.delete("--force")

	host := tempDir(t)
	writeFile(t, filepath.Join(host, "file"), "of the mount\n")
	b = newBundle(t, mounts(bind(host, "/data"), tmpfsAt("/data", "tmpcopyup"), tmpfsAt("/none", "tmpcopyup")),
		args("/bin/sh", "-c", "cat /data/file; ls -A /data /none; echo changed >/data/file"))
	b.write("data/covered", "", 0o644)
	wantLines(t, r.output(b), "of the mount", "/data:", "file", "", "/none:")
	wantLines(t, readFile(t, filepath.Join(host, "file")), "of the mount")
}

func openFiles(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(procPath(pid, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// MOPT-43: too small, too late, on something else than a tmpfs.
func TestTmpCopyUpErrors(t *testing.T) {
	r := newRuntime(t)
	for want, m := range map[string]specs.Mount{
		"copy large of covered: sendfile: no space left on device": tmpfsAt("/data", "tmpcopyup", "size=64k", "nr_inodes=1000"),
		"tmpcopyup comes too late":                                 tmpfsAt("/data", "tmpcopyup", "iversion"),
		"tmpcopyup is for tmpfs only":                              bind("/tmp", "/data", "tmpcopyup"),
	} {
		b := newBundle(t, mounts(m))
		b.write("data/large", strings.Repeat("x", 300_000), 0o644)
		r.fails(want, "create", "--bundle", b.dir, r.id())
	}
}
