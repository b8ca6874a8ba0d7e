package criu

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A session that is closed again leaves the descriptor alone that has its number by then.
func TestCloseTwice(t *testing.T) {
	s, theirs, err := NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	number := s.socket
	s.Close()
	if err := unix.Dup3(int(theirs.Fd()), number, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(number)
	s.Close()
	if _, err := unix.FcntlInt(uintptr(number), unix.F_GETFD, 0); err != nil {
		t.Errorf("the other descriptor: %v", err)
	}
}

func TestExplain(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "dump.log")
	for content, want := range map[string]string{
		"": "criu failed (log: " + path + ")",
		"(00.1) Warn  (a.c:1): w\n(00.2) Error (b.c:22): no such file\n(00.3) Error (c.c:3): gave up\n": "criu failed: no such file; gave up (log: " + path + ")",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := Explain(ErrFailed, dir, "dump.log"); got.Error() != want || !errors.Is(got, ErrFailed) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := Explain(ErrFailed, dir, "none.log"); got != ErrFailed {
		t.Errorf("without a log: %v", got)
	}
}
