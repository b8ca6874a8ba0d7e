package tests

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// freePort is a port of the loopback device that nobody uses.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// runCriu starts one of criu's servers, whose end is awaited.
func runCriu(t *testing.T, arguments ...string) (wait func()) {
	t.Helper()
	cmd := exec.Command("criu", arguments...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := startChild(cmd); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := waitChild(cmd); err != nil {
			t.Errorf("criu %s: %v\n%s", arguments[0], err, out.String())
		}
	}
}

// listening tells whether somebody listens at a port.
func listening(t *testing.T, port string) bool {
	t.Helper()
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(readFile(t, "/proc/net/tcp"), ":"+strings.ToUpper(strconv.FormatInt(int64(n)+0x10000, 16))[1:]+" 00000000:0000 0A")
}

// blocks is the space that the memory in a directory of images takes.
func blocks(t *testing.T, images string) (n int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(images, "pages-*.img"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no memory in %s: %v", images, err)
	}
	for _, f := range files {
		var st unix.Stat_t
		if err := unix.Stat(f, &st); err != nil {
			t.Fatal(err)
		}
		n += st.Blocks
	}
	return n
}

// The memory goes to a page server instead of the images.
func TestCriuPageServer(t *testing.T) {
	r := newRuntime(t)
	c := r.runCounting(counting(t))
	c.countsFrom(1)
	dir, port := tempDir(t), freePort(t)
	images, pages := filepath.Join(dir, "images"), filepath.Join(dir, "pages")
	if err := os.Mkdir(pages, 0o700); err != nil {
		t.Fatal(err)
	}
	wait := runCriu(t, "page-server", "--images-dir", pages, "--port", port)
	eventually(t, "the server listens", func() bool { return listening(t, port) })
	count := c.count()
	c.checkpoint(images, "--page-server", "127.0.0.1:"+port)
	wait()
	if here, _ := filepath.Glob(filepath.Join(images, "pages-*.img")); len(here) > 0 {
		t.Errorf("the memory is in the images: %v", here)
	}
	there, err := os.ReadDir(pages)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range there {
		if err := os.Rename(filepath.Join(pages, f.Name()), filepath.Join(images, f.Name())); err != nil {
			t.Fatal(err)
		}
	}
	c.restore(images)
	c.countsFrom(count)
	c.delete("--force")
}

// The memory stays where it is until the restored processes ask for it.
func TestCriuLazyPages(t *testing.T) {
	r := newRuntime(t)
	c := r.runCounting(counting(t))
	c.countsFrom(1)
	count := c.count()
	dir, port := tempDir(t), freePort(t)
	images, work := filepath.Join(dir, "images"), filepath.Join(dir, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		t.Fatal(err)
	}
	ready, status, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	dumped := r.start(call{args: []string{"checkpoint", "--image-path", images, "--lazy-pages", "--page-server", "127.0.0.1:" + port,
		"--status-fd", "3", c.id}, extra: []*os.File{status}})
	status.Close()
	told := make([]byte, 9)
	if n, err := ready.Read(told); err != nil || string(told[:n]) != "\x00" {
		t.Fatalf("the status is %q, %v", told[:n], err)
	}
	served := runCriu(t, "lazy-pages", "--page-server", "--address", "127.0.0.1", "--port", port, "--images-dir", images, "--work-dir", work)
	eventually(t, "lazy pages are served", func() bool { _, err := os.Lstat(filepath.Join(work, "lazy-pages.socket")); return err == nil })
	other := &container{ociRuntime: r, id: r.id(), bundle: counting(t)}
	r.live = append(r.live, other.id)
	other.restore(images, "--lazy-pages", "--work-path", work)
	other.countsFrom(count)
	served()
	if res, err := dumped(); err != nil || res.code != 0 {
		t.Errorf("checkpoint: exit %d, %s%v", res.code, res.stderr, err)
	}
	r.fails("does not exist", "state", c.id)
	other.delete("--force")
}

// What a later image has again the earlier one loses.
func TestCriuDedup(t *testing.T) {
	r := newRuntime(t)
	c := r.runCounting(counting(t))
	c.countsFrom(1)
	dir := tempDir(t)
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	c.checkpoint(first, "--pre-dump")
	c.countsFrom(c.count())
	before, count := blocks(t, first), c.count()
	c.checkpoint(second, "--parent-path", "../first", "--auto-dedup")
	if after := blocks(t, first); after >= before {
		t.Errorf("the earlier memory takes %d blocks, and took %d", after, before)
	}
	c.restore(second)
	c.countsFrom(count)
	c.delete("--force")
}
