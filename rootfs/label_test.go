package rootfs_test

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"skep/rootfs"
)

// PRP-13 LSM-05 LSM-06: where linux.mountLabel goes, and where the kernel would take none.
func TestMountLabel(t *testing.T) {
	const label = "system_u:object_r:container_file_t:s0:c1,c2"
	labelled := func(s *specs.Spec) { s.Linux.MountLabel = label }
	inUserNamespace := func(s *specs.Spec) {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	}
	kind := func(k string) func(*specs.Spec) {
		return func(s *specs.Spec) { s.Annotations = map[string]string{"run.oci.mount_context_type": k} }
	}
	mount := func(fstype string, options ...string) func(*specs.Spec) {
		return func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/x", Type: fstype, Source: fstype, Options: options})
		}
	}
	for name, test := range map[string]struct {
		edits []func(*specs.Spec)
		want  string
	}{
		"tmpfs":                        {[]func(*specs.Spec){mount("tmpfs", "size=1k")}, "new tmpfs size=1k context=" + label + " →"},
		"another type":                 {[]func(*specs.Spec){mount("ext4")}, "new ext4 context=" + label + " →"},
		"its own":                      {[]func(*specs.Spec){mount("tmpfs", "rootcontext=a:b:c")}, "new tmpfs rootcontext=a:b:c →"},
		"of one superblock":            {[]func(*specs.Spec){mount("debugfs")}, "new debugfs →"},
		"long options":                 {[]func(*specs.Spec){mount("overlay", "lowerdir="+strings.Repeat("/a", 200))}, `/a,context="` + label + `" →`},
		"rootcontext":                  {[]func(*specs.Spec){mount("tmpfs"), kind("rootcontext")}, "new tmpfs rootcontext=" + label + " →"},
		"tmpfs of a user namespace":    {[]func(*specs.Spec){mount("tmpfs"), inUserNamespace}, "new tmpfs context=" + label + " →"},
		"fuse of a user namespace":     {[]func(*specs.Spec){mount("fuse"), inUserNamespace}, "new fuse →"},
		"a bind mount":                 {[]func(*specs.Spec){func(s *specs.Spec) { s.Mounts = append(s.Mounts, bind("/srv", "/x")) }}, "clone of /srv and all below, slave recursively → input4"},
		"the example's":                {nil, "new mqueue nosuid nodev noexec → mount\n  label mount " + label},
		"the example's devpts":         {nil, "gid=5 context=" + label},
		"the example's cgroup tmpfs":   {nil, "new tmpfs mode=755 context=" + label},
		"masks":                        {nil, "nr_inodes=1 context=" + label},
		"not the example's proc":       {nil, "new proc → mount"},
		"not the example's sysfs":      {nil, "new sysfs ro ro nosuid"},
		"not the example's hierarchys": {nil, "clone of /sys/fs/cgroup/memory/web"},
	} {
		text, err := compiled(func(s *specs.Spec, _ *rootfs.Host) {
			labelled(s)
			for _, e := range test.edits {
				e(s)
			}
		})
		if err != nil || !strings.Contains(text, test.want) {
			t.Errorf("%s: no %q in\n%s%v", name, test.want, text, err)
		}
		for _, fstype := range []string{"proc", "sysfs", "cgroup", "mqueue"} {
			for line := range strings.Lines(text) {
				if strings.Contains(line, "new "+fstype+" ") && strings.Contains(line, "context") {
					t.Errorf("%s: %s", name, line)
				}
			}
		}
	}
	_, err := compiled(func(s *specs.Spec, _ *rootfs.Host) { labelled(s); kind("xcontext")(s) })
	if err == nil || !strings.HasPrefix(err.Error(), `annotations["run.oci.mount_context_type"]: "xcontext" is none of context defcontext`) {
		t.Error(err)
	}
	if text, err := compiled(func(s *specs.Spec, _ *rootfs.Host) { kind("rootcontext")(s) }); err != nil || strings.Contains(text, "context") {
		t.Errorf("a kind without a label: %s%v", text, err)
	}
}
