package libcontainer

import (
	"os"
	"path/filepath"
	"testing"
)

// LSM-03
func TestAppArmorEnabled(t *testing.T) {
	for _, c := range []struct {
		parameter  string
		interfaced bool
		want       bool
	}{
		{"Y\n", true, true}, {"N\n", true, false}, {"", true, false}, {"Y\n", false, false},
	} {
		sysfs := t.TempDir()
		dir := filepath.Join(sysfs, "module/apparmor/parameters")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "enabled"), []byte(c.parameter), 0o644); err != nil {
			t.Fatal(err)
		}
		if c.interfaced {
			if err := os.MkdirAll(filepath.Join(sysfs, "kernel/security/apparmor"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if got := appArmorEnabled(sysfs); got != c.want {
			t.Errorf("%q, securityfs %v: %v", c.parameter, c.interfaced, got)
		}
	}
	if appArmorEnabled(t.TempDir()) {
		t.Error("enabled without the module")
	}
}

// LSM-05: a directory of that name is not selinuxfs.
func TestSELinuxEnabled(t *testing.T) {
	sysfs := t.TempDir()
	if selinuxEnabled(sysfs) {
		t.Error("enabled without a directory")
	}
	if err := os.MkdirAll(filepath.Join(sysfs, "fs/selinux"), 0o755); err != nil {
		t.Fatal(err)
	}
	if selinuxEnabled(sysfs) {
		t.Error("enabled without selinuxfs")
	}
}
