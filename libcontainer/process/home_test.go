package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const passwd = "root:x:0:0:root:/root:/bin/sh\n" +
	"# comment\n" +
	"short:x:1\n" +
	"user:x:1000:1000::/home/user:/bin/sh\n" +
	"second:x:1000:1000::/home/second:/bin/sh\n" +
	"empty:x:5:5:::/bin/sh\n" +
	"relative:x:6:6::home:/bin/sh\n" +
	"nul:x:7:7::/ho\x00me:/bin/sh\n" +
	"noshell:x:8:8::/home/noshell\n" +
	"last:x:9:9::/home/last:/bin/sh"

// homeOf asks for a home below a new root that build fills.
func homeOf(t *testing.T, uid uint32, build func(etc string) error) string {
	t.Helper()
	dir := t.TempDir()
	etc := filepath.Join(dir, "etc")
	if err := os.Mkdir(etc, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := build(etc); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	return Home(root, uid)
}

func content(text string) func(string) error {
	return func(etc string) error { return os.WriteFile(etc+"/passwd", []byte(text), 0o644) }
}

// PROC-11
func TestHome(t *testing.T) {
	for uid, want := range map[uint32]string{
		0: "/root", 1000: "/home/user", 5: "/", 6: "/", 7: "/", 8: "/home/noshell", 9: "/home/last", 1: "/", 4294967294: "/",
	} {
		if got := homeOf(t, uid, content(passwd)); got != want {
			t.Errorf("uid %d: %q, want %q", uid, got, want)
		}
	}
}

// PROC-11: the image chooses what its /etc/passwd is. Nothing of it may hang, lead to the host or fill the memory.
func TestHomeOddFiles(t *testing.T) {
	host := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(host, []byte("root:x:0:0::/host:/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := func(target string) func(string) error {
		return func(etc string) error { return os.Symlink(target, etc+"/passwd") }
	}
	for name, c := range map[string]struct {
		build func(etc string) error
		want  string
	}{
		"missing":   {func(string) error { return nil }, "/"},
		"fifo":      {func(etc string) error { return unix.Mkfifo(etc+"/passwd", 0o644) }, "/"},
		"directory": {func(etc string) error { return os.Mkdir(etc+"/passwd", 0o755) }, "/"},
		"device": {func(etc string) error {
			return unix.Mknod(etc+"/passwd", unix.S_IFCHR|0o644, int(unix.Mkdev(1, 5))) // zero
		}, "/"},
		"link to the host":          {link(host), "/"},
		"relative link to the host": {link(strings.Repeat("../", 20) + host), "/"},
		"link to itself":            {link("passwd"), "/"},
		"link inside": {func(etc string) error {
			if err := os.WriteFile(etc+"/real", []byte("root:x:0:0::/inside:/bin/sh\n"), 0o644); err != nil {
				return err
			}
			return os.Symlink("../../../etc/real", etc+"/passwd")
		}, "/inside"},
		"huge": {func(etc string) error {
			if err := content(passwd + "\n")(etc); err != nil {
				return err
			}
			return os.Truncate(etc+"/passwd", 1<<40)
		}, "/root"},
		"huge line": {func(etc string) error {
			if err := content("")(etc); err != nil {
				return err
			}
			return os.Truncate(etc+"/passwd", 1<<40)
		}, "/"},
		"huge and late": {content(strings.Repeat("#"+strings.Repeat("x", 1022)+"\n", passwdMax>>10) + passwd), "/"},
		"unreadable":    {content("\xff:::\n::::::\n\n\n:"), "/"},
	} {
		if got := homeOf(t, 0, c.build); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A magic link in a procfs below the root would lead out of it.
func TestHomeMagicLink(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "passwd")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(passwd); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenFile("/", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if got, err := openRegular(int(root.Fd()), fmt.Sprintf("proc/self/fd/%d", f.Fd())); err == nil {
		got.Close()
		t.Error("a magic link was followed")
	}
}

func FuzzHome(f *testing.F) {
	f.Add(passwd, uint32(1000))
	f.Fuzz(func(t *testing.T, text string, uid uint32) {
		if home := homeIn(strings.NewReader(text), uid); !strings.HasPrefix(home, "/") || strings.ContainsAny(home, "\x00\n") {
			t.Errorf("home %q", home)
		}
	})
}
