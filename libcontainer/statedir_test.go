package libcontainer

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// OPD-08: a create that was killed between mkdir and its first write leaves an empty directory. It is no container,
// and takes no id away.
func TestEmptyStateDir(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "one")
	leave := func() {
		if err := os.Mkdir(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	leave()
	if _, err := Load(root, "one"); !errors.Is(err, ErrNotExist) {
		t.Errorf("Load: %v", err)
	}
	if all, broken, err := List(root); err != nil || len(all)+len(broken) != 0 {
		t.Errorf("List: %v, %v", all, broken)
	}
	if err := Delete(root, "one", true); err != nil {
		t.Errorf("Delete: %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("Delete left it")
	}
	leave()
	d, err := makeStateDir(root, "one")
	if err != nil {
		t.Fatalf("makeStateDir: %v", err)
	}
	d.release()
}

// ERR-01 OPC-02: a file, or a link to nowhere, of the container's name is in the way, and stays.
func TestStateDirInTheWay(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"file", "link"} {
		if _, err := makeStateDir(root, id); !errors.Is(err, ErrExist) {
			t.Errorf("%s: %v", id, err)
		}
		if _, err := os.Lstat(filepath.Join(root, id)); err != nil {
			t.Error(err)
		}
	}
}

// A container whose create or delete is at work and has no state, yet or any more, does not exist: no list warns of it.
func TestStateDirAtWork(t *testing.T) {
	root := t.TempDir()
	d, err := makeStateDir(root, "one")
	if err != nil {
		t.Fatal(err)
	}
	defer d.release()
	if err := d.write(configFile, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(root, "one"); !errors.Is(err, ErrNotExist) {
		t.Errorf("Load: %v", err)
	}
	if all, broken, err := List(root); err != nil || len(all)+len(broken) != 0 {
		t.Errorf("List: %v, %v", all, broken)
	}
	d.release()
	if _, err := Load(root, "one"); !errors.Is(err, errNoState) {
		t.Errorf("abandoned: %v", err)
	}
}

// A FIFO or a directory in place of the state is an error, not a wait for a writer.
func TestStateIsNoFile(t *testing.T) {
	for name, obstruct := range map[string]func(path string) error{
		"fifo":      func(path string) error { return unix.Mkfifo(path, 0o600) },
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			dir := filepath.Join(root, "one")
			if err := errors.Join(os.Mkdir(dir, 0o711), obstruct(filepath.Join(dir, stateFile))); err != nil {
				t.Fatal(err)
			}
			if _, broken, err := List(root); err != nil || len(broken) != 1 {
				t.Errorf("List: %v", broken)
			}
			if err := Delete(root, "one", true); err != nil {
				t.Errorf("Delete: %v", err)
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("Delete left it")
			}
		})
	}
}
