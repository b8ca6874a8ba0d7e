package libcontainer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestWithin(t *testing.T) {
	has := []specs.LinuxIDMapping{{ContainerID: 1, HostID: 100_000, Size: 99}, {ContainerID: 0, HostID: 1000, Size: 1}, {ContainerID: 200, HostID: 5, Size: 1}}
	for host, want := range map[[2]uint32]bool{
		{0, 1}: true, {1, 99}: true, {1, 100}: false, {200, 1}: true, {199, 2}: false, {4_294_967_290, 10}: false,
	} {
		if got := within([]specs.LinuxIDMapping{{HostID: host[0], Size: host[1]}}, has); got != want {
			t.Errorf("%v: %t", host, got)
		}
	}
	if got := listIDMap(has); got != "0, 1-99, 200" {
		t.Error(got)
	}
}

// Only executable files in absolute directories count.
func TestLookPath(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"plain/newuidmap": 0o644, "good/newuidmap": 0o755, "directory/newuidmap/x": 0o755} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(filepath.Join(dir, "good"))
	list := strings.Join([]string{".", dir + "/plain", dir + "/directory", dir + "/none"}, ":")
	if got, err := lookPath(list, "newuidmap"); err == nil || !strings.Contains(err.Error(), list) {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := lookPath(list+":"+dir+"/good", "newuidmap"); got != dir+"/good/newuidmap" || err != nil {
		t.Errorf("%s, %v", got, err)
	}
}
