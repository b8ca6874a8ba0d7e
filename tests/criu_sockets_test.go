package tests

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// entangled holds on to what a dump takes a flag for, and counts by it: each number goes through a connection to a file.
const entangled = `
import fcntl, os, socket, time
lock = open('/dev/shm/lock', 'w')
fcntl.flock(lock, fcntl.LOCK_EX)
with open('/volume/name', 'w') as f: f.write('linked')
os.link('/volume/name', '/volume/other')
linked = open('/volume/name')
os.unlink('/volume/name')
busy = socket.create_server(('127.0.0.1', 7001))
waiting = socket.create_connection(('127.0.0.1', 7001))
server = socket.create_server(('127.0.0.1', 7000))
client = socket.create_connection(('127.0.0.1', 7000))
peer, _ = server.accept()
n = 0
while True:
    n += 1
    linked.seek(0)
    said = b'%d' % n if linked.read() == 'linked' else b'lost'
    try:
        client.sendall(said)
        said = peer.recv(99)
    except OSError:
        said = b'-1'
    with open('/dev/shm/new', 'wb') as f: f.write(said)
    os.rename('/dev/shm/new', '/dev/shm/n')
    time.sleep(0.05)
`

// awaitCount waits until there is something to read for count.
func (c *container) awaitCount() {
	c.t.Helper()
	eventually(c.t, "it counts", func() bool { _, err := os.Lstat(procPath(c.pid, "root/dev/shm/n")); return err == nil })
}

// Each flag lets a dump have what it is about, and without it criu says what there is.
func TestCriuConnections(t *testing.T) {
	r := newRuntime(t)
	volume := tempDir(t)
	c := r.runCounting(newBundle(t, hostPrograms(), args("/usr/bin/python3", "-c", entangled),
		mounts(specs.Mount{Destination: "/volume", Type: "bind", Source: volume, Options: []string{"bind"}})))
	c.awaitCount()
	images := filepath.Join(tempDir(t), "images")
	flags := []string{"--tcp-established", "--tcp-skip-in-flight", "--file-locks", "--link-remap"}
	for i, want := range []string{"tcp-established", "n-flight", "file-locks", "link-remap"} {
		others := slices.Delete(slices.Clone(flags), i, i+1)
		r.fails(want, slices.Concat([]string{"checkpoint", "--image-path", images}, others, []string{c.id})...)
	}
	c.countsFrom(c.count())
	count := c.count()
	c.checkpoint(images, flags...)
	c.restore(images, flags...)
	c.countsFrom(count)
	lock, err := os.Open(procPath(c.pid, "root/dev/shm/lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != unix.EWOULDBLOCK {
		t.Errorf("the file is not locked: %v", err)
	}
	lock.Close()
	if left, _ := filepath.Glob(filepath.Join(volume, "link_remap*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	c.checkpoint(images, flags...)
	c.restore(images, append(slices.Clone(flags[1:]), "--tcp-close")...)
	eventually(t, "the connection is closed", func() bool { return c.count() == -1 })
	c.stop()
	c.delete()
}

// What a program sends to a socket outside goes on to arrive there. criu sees those of the program's network namespace.
func TestCriuExternalSocket(t *testing.T) {
	r := newRuntime(t)
	volume := tempDir(t)
	outside, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(volume, "socket"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	heard := func() (n int, err error) {
		said := make([]byte, 99)
		length, err := outside.Read(said)
		if err == nil {
			n, err = strconv.Atoi(string(said[:length]))
		}
		return n, err
	}
	const program = `
import itertools, socket, sys, time
outside = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
outside.connect(sys.argv[1])
for n in itertools.count(1):
    outside.send(b'%d' % n)
    time.sleep(0.05)
`
	c := r.runCounting(newBundle(t, hostPrograms(), args("/usr/bin/python3", "-c", program, volume+"/socket"), without(specs.NetworkNamespace),
		mounts(specs.Mount{Destination: volume, Type: "bind", Source: volume, Options: []string{"bind"}})))
	last, err := heard()
	if err != nil {
		t.Fatal(err)
	}
	images := filepath.Join(tempDir(t), "images")
	r.fails("ext-unix-sk", "checkpoint", "--image-path", images, c.id)
	c.checkpoint(images, "--ext-unix-sk")
	if err := outside.SetReadDeadline(time.Now().Add(time.Second)); err != nil { // nobody speaks
		t.Fatal(err)
	}
	for n := last; err == nil; n, err = heard() {
		last = n
	}
	c.restore(images, "--ext-unix-sk")
	if err := outside.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if n, err := heard(); err != nil || n <= last {
		t.Errorf("heard %d after %d, %v", n, last, err)
	}
	c.delete("--force")
}
