package socket

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// listen makes a socket whose backlog holds one connection.
func listen(t *testing.T) (path string, fd int) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	}
	if err == nil {
		err = unix.Listen(fd, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return path, fd
}

// SEC-10: whoever listens but does not take what comes is an error, after a while.
func TestSendToNobody(t *testing.T) {
	const little = 50 * time.Millisecond
	for name, payload := range map[string][]byte{
		"does not read":   make([]byte, 16<<20),
		"does not accept": []byte("state"),
	} {
		path, _ := listen(t)
		if name == "does not accept" {
			if err := send(path, []byte("fills the backlog"), os.Stdin, little); err != nil {
				t.Fatal(err)
			}
		}
		err := send(path, payload, os.Stdin, little)
		if err == nil || !strings.Contains(err.Error(), "has not taken it for 50ms") {
			t.Errorf("%s: %v", name, err)
		}
	}
	path, fd := listen(t)
	unix.Close(fd)
	if err := Send(path, []byte("x"), os.Stdin); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("nobody listens: %v", err)
	}
}

// A payload that the kernel takes in several parts comes whole, its descriptor with the first byte, once.
func TestSendLong(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("long", 20), strings.Repeat("name", 20))
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Dir(path))
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Base(path), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	payload := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	sent := make(chan error)
	go func() { sent <- Send(path, payload, os.Stdin) }()
	conn, err := listener.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var got []byte
	descriptors := 0
	for buf, rights := make([]byte, 1<<16), make([]byte, 64); ; {
		n, rn, _, _, err := conn.ReadMsgUnix(buf, rights)
		if n == 0 {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if rn > 0 {
			descriptors++
			if len(got) > 0 {
				t.Error("the descriptor came later")
			}
			messages, _ := unix.ParseSocketControlMessage(rights[:rn])
			for _, m := range messages {
				fds, _ := unix.ParseUnixRights(&m)
				for _, fd := range fds {
					unix.Close(fd)
				}
			}
		}
		got = append(got, buf[:n]...)
	}
	if err := <-sent; err != nil || !bytes.Equal(got, payload) || descriptors != 1 {
		t.Errorf("%v; %d bytes of %d, %d descriptors", err, len(got), len(payload), descriptors)
	}
}
