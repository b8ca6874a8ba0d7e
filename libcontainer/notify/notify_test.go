package notify

import (
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAbout(t *testing.T) {
	for message, want := range map[string]string{
		"READY=1":                                "READY=1",
		"READY=1\nSTATUS=up\n":                   "READY=1\nSTATUS=up",
		"MAINPID=1\nWATCHDOG=1\nFDSTORE=1":       "WATCHDOG=1",
		"STATUS=a=b\nMAINPID=1":                  "STATUS=a=b",
		"MAINPIDFD=1":                            "",
		"\n\nBARRIER=1\n":                        "",
		"X_READY=1\n READY=1\nready=1\nREADYS=1": "",
		"":                                       "",
	} {
		if got := string(about([]byte(message))); got != want {
			t.Errorf("%q: %q, want %q", message, got, want)
		}
	}
}

// What a program has said before its end is passed on after it.
func TestPassAfterEnd(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "manager")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	program := exec.Command("sleep", "100")
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	pidfd, err := unix.PidfdOpen(program.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	conn, err := dial(filepath.Join(dir, SocketName))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, message := range []string{"STATUS=one", "MAINPID=1", "STATUS=two"} {
		if _, err := conn.Write([]byte(message)); err != nil {
			t.Fatal(err)
		}
	}
	program.Process.Kill()
	program.Wait()
	if err := l.Pass(t.Context(), path, pidfd); err != nil {
		t.Fatal(err)
	}
	if err := manager.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 100)
	for _, want := range []string{"STATUS=one", "STATUS=two"} {
		n, err := manager.Read(buffer)
		if err != nil || string(buffer[:n]) != want {
			t.Errorf("the manager hears %q, %v; want %q", buffer[:n], err, want)
		}
	}
}
