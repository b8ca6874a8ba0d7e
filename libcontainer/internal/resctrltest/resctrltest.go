// Package resctrltest imitates a resctrl filesystem by a directory, for tests on machines without one. What is written
// to a file of the kernel is appended to it: a test sees every write in its order.
package resctrltest

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"skep/libcontainer/resctrl"
)

// Schemata is what a new group has.
const Schemata = "    L3:0=fffff;1=fffff\n    MB:0=100;1=100\n"

// Fake is such a directory.
type Fake struct {
	*resctrl.Tree
	// Full lets the kernel have no room for another group.
	Full bool
	t    testing.TB
}

// New makes one.
func New(t testing.TB) *Fake {
	t.Helper()
	f := &Fake{t: t}
	f.Tree = &resctrl.Tree{Root: t.TempDir(), Mkdir: f.mkdir, Rmdir: f.rmdir}
	f.fill(".", true)
	for name, text := range map[string]string{
		"info/last_cmd_status": "ok\n",
		"info/L3/cbm_mask":     "fffff\n", "info/L3/min_cbm_bits": "1\n", "info/L3/num_closids": "16\n",
		"info/MB/bandwidth_gran": "10\n", "info/MB/delay_linear": "1\n", "info/MB/min_bandwidth": "10\n", "info/MB/num_closids": "8\n",
	} {
		f.Write(name, text)
	}
	return f
}

// Write replaces a file.
func (f *Fake) Write(name, text string) {
	f.t.Helper()
	path := filepath.Join(f.Root, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// Read returns a file's text, or an empty one where there is none.
func (f *Fake) Read(name string) string {
	raw, err := os.ReadFile(filepath.Join(f.Root, name))
	if err != nil && !os.IsNotExist(err) {
		f.t.Error(err)
	}
	return string(raw)
}

// Has reports whether there is a file or a group.
func (f *Fake) Has(name string) bool {
	_, err := os.Lstat(filepath.Join(f.Root, name))
	return err == nil
}

// fill does what the kernel does with a new group.
func (f *Fake) fill(name string, control bool) {
	f.t.Helper()
	f.Write(filepath.Join(name, "tasks"), "")
	f.Write(filepath.Join(name, "mon_data/mon_L3_00/llc_occupancy"), "4096\n")
	f.Write(filepath.Join(name, "mon_data/mon_L3_00/mbm_total_bytes"), "1000\n")
	f.Write(filepath.Join(name, "mon_data/mon_L3_00/mbm_local_bytes"), "Unavailable\n")
	if !control {
		return
	}
	f.Write(filepath.Join(name, "schemata"), Schemata)
	if err := os.Mkdir(filepath.Join(f.Root, name, "mon_groups"), 0o755); err != nil {
		f.t.Fatal(err)
	}
}

func (f *Fake) mkdir(path string) error {
	if f.Full {
		f.Write("info/last_cmd_status", "Out of CLOSIDs\n")
		return unix.ENOSPC
	}
	if err := unix.Mkdir(path, 0o755); err != nil {
		return err
	}
	name, err := filepath.Rel(f.Root, path)
	if err != nil {
		f.t.Fatal(err)
	}
	f.fill(name, filepath.Base(filepath.Dir(path)) != "mon_groups")
	return nil
}

func (f *Fake) rmdir(path string) error {
	if _, err := os.Lstat(path); err != nil {
		return err
	}
	return os.RemoveAll(path)
}
