package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// goPackage is what the import rules need of go list's output.
type goPackage struct {
	ImportPath string
	Imports    []string // direct
	Deps       []string // direct and indirect
}

// TestNeverImports holds packages away from what they serve, through whatever they
// import: the compilers (rootfs, cgroups, spec, process) stay pure that way.
func TestNeverImports(t *testing.T) {
	libcontainer := below("skep/libcontainer")
	nsenter := exactly("skep/nsenter")
	tests := []struct {
		name   string
		of     func(string) bool
		never  func(string) bool
		reason string
	}{
		{"rootfs to libcontainer", below("skep/rootfs"), libcontainer, "rootfs serves libcontainer"},
		{"cgroups to libcontainer", below("skep/cgroups"), libcontainer, "cgroups serves libcontainer"},
		{"spec to libcontainer", below("skep/spec"), libcontainer, "spec serves libcontainer"},
		{"rootfs to nsenter", below("skep/rootfs"), nsenter, "a compiler makes plans, it does not run them"},
		{"process to nsenter", below("skep/libcontainer/process"), nsenter, "a compiler makes plans, it does not run them"},
		{"library to command line", exactly("skep/libcontainer"), below("github.com/urfave/cli"), "an importer pays for no flag parser"},
	}
	packages := listPackages(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			checked := 0
			for _, p := range packages {
				if !test.of(p.ImportPath) {
					continue
				}
				checked++
				if i := slices.IndexFunc(p.Deps, test.never); i >= 0 {
					t.Errorf("%s depends on %s: %s", p.ImportPath, p.Deps[i], test.reason)
				}
			}
			if checked == 0 {
				t.Error("the rule names no package, so it holds nothing")
			}
		})
	}
}

// TestOnlyImporter gives each large dependency one door.
func TestOnlyImporter(t *testing.T) {
	tests := []struct {
		dependency string // as part of the import path
		door       string // the only package to import it
	}{
		{"github.com/urfave/cli", "skep/libcontainer/cli"},
		{"libseccomp", "skep/libcontainer/seccomp"},
		{"netlink", "skep/libcontainer/netdev"},
		{"dbus", "skep/cgroups/systemd"},
	}
	packages := listPackages(t)
	for _, test := range tests {
		t.Run(test.dependency, func(t *testing.T) {
			for _, p := range packages {
				if p.ImportPath == test.door {
					continue
				}
				for _, imported := range p.Imports {
					// A package of ours may carry the name of what it wraps.
					if strings.Contains(imported, test.dependency) && !below("skep")(imported) {
						t.Errorf("%s imports %s: only %s may", p.ImportPath, imported, test.door)
					}
				}
			}
		})
	}
}

func below(prefix string) func(string) bool {
	return func(s string) bool { return s == prefix || strings.HasPrefix(s, prefix+"/") }
}

func exactly(name string) func(string) bool {
	return func(s string) bool { return s == name }
}

// listPackages returns the module's packages without their tests.
func listPackages(t *testing.T) []goPackage {
	t.Helper()
	var stderr bytes.Buffer
	list := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "./...")
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, &stderr)
	}
	var packages []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		packages = append(packages, p)
	}
}
