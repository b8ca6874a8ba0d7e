package libcontainer

import (
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"skep/spec"
)

// checkMountNamespace refuses what takes a mount where none is made: see spec.MakesMounts.
func checkMountNamespace(s *specs.Spec) error {
	l := s.Linux
	if spec.MakesMounts(l) {
		return nil
	}
	var asked []string
	for _, item := range []struct {
		asked bool
		path  string
	}{
		{len(s.Mounts) > 0, "mounts"},
		{s.Root.Readonly, "root.readonly"},
		{l.RootfsPropagation != "", "linux.rootfsPropagation"},
		{len(l.MaskedPaths) > 0, "linux.maskedPaths"},
		{len(l.ReadonlyPaths) > 0, "linux.readonlyPaths"},
		{l.MountLabel != "", "linux.mountLabel"},
		{spec.FindNamespace(l, specs.UserNamespace) != nil, "a user namespace, whose devices are mounts"},
	} {
		if item.asked {
			asked = append(asked, item.path)
		}
	}
	if asked == nil {
		return nil
	}
	whose := "the host's mount namespace"
	if joined := spec.FindNamespace(l, specs.MountNamespace); joined != nil {
		whose = "the mount namespace " + joined.Path + ", which is others' too,"
	}
	return fmt.Errorf("%s: nothing is mounted in %s: this takes a new mount namespace (linux.namespaces)", strings.Join(asked, ", "), whose)
}
