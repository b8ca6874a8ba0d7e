package cgroups

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

type detectTest struct {
	name      string
	cgroup    string           // /proc/self/cgroup
	mountinfo string           // absent if empty: reading it is an error then
	mounts    map[string]int64 // below /sys/fs/cgroup
	want      Layout
	mode      Mode
}

func detectTests() []detectTest {
	const v1, v2, tmpfs = unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.TMPFS_MAGIC
	return []detectTest{
		{
			name:   "v2",
			cgroup: "1:name=systemd:/\n0::/user.slice/a:b\n",
			mounts: map[string]int64{"": v2},
			want:   Layout{{Mount: "ROOT", Own: "/user.slice/a:b"}},
			mode:   V2,
		},
		{
			name:   "hybrid, merged controllers",
			cgroup: "5:cpu,cpuacct:/x\n4:memory:/\n1:name=systemd:/init.scope\n0::/init.scope\n",
			mounts: map[string]int64{"": tmpfs, "cpu,cpuacct": v1, "memory": v1, "systemd": v1, "unified": v2},
			want: Layout{
				{"cpu,cpuacct", "ROOT/cpu,cpuacct", "/x"},
				{"memory", "ROOT/memory", "/"},
				{"name=systemd", "ROOT/systemd", "/init.scope"},
				{"", "ROOT/unified", "/init.scope"},
			},
			mode: Hybrid,
		},
		{
			name:      "v1 in unusual places, one not mounted",
			cgroup:    "4:memory:/\n3:cpu,cpuacct:/\n2:name=elogind:/\n1:pids:/\n",
			mounts:    map[string]int64{"": tmpfs, "memory": v1, "pids": tmpfs},
			mountinfo: "30 20 0:2 / /cg\\040roup/cpu rw shared:1 - cgroup cgroup rw,cpuacct,cpu\n31 20 0:3 / /e rw - cgroup none rw,name=elogind\n",
			want: Layout{
				{"memory", "ROOT/memory", "/"},
				{"cpu,cpuacct", "/cg roup/cpu", "/"},
				{"name=elogind", "/e", "/"},
			},
			mode: V1,
		},
		{
			name:      "v2 elsewhere",
			cgroup:    "0::/\n",
			mountinfo: "30 20 0:2 / /proc rw - proc proc rw\nshort - x\n31 20 0:3 / /cg rw - cgroup2 none rw\n",
			want:      Layout{{Mount: "/cg", Own: "/"}},
			mode:      V2,
		},
		{name: "nothing mounted", cgroup: "4:memory:/\n0::/\n", mountinfo: "30 20 0:2 / /proc rw - proc proc rw\n"},
		{name: "kernel without cgroups"},
	}
}

func TestDetect(t *testing.T) {
	for _, tt := range detectTests() {
		t.Run(tt.name, func(t *testing.T) {
			root, proc := t.TempDir(), t.TempDir()
			if tt.cgroup != "" {
				put(t, proc+"/cgroup", tt.cgroup)
			}
			if tt.mountinfo != "" {
				put(t, proc+"/mountinfo", tt.mountinfo)
			}
			h := host{root: root, proc: proc, fsType: func(dir string) (int64, error) {
				rel, err := filepath.Rel(root, dir)
				if err != nil {
					t.Fatal(err)
				}
				if magic, ok := tt.mounts[strings.TrimPrefix(rel, ".")]; ok {
					return magic, nil
				}
				return 0, unix.ENOENT
			}}
			got, err := h.detect()
			if err != nil {
				t.Fatal(err)
			}
			for i := range got {
				m := &got[i].Mount
				*m = strings.Replace(*m, root, "ROOT", 1)
			}
			if !slices.Equal(got, tt.want) || got.Mode() != tt.mode {
				t.Errorf("%s %+v\nwant %s %+v", got.Mode(), got, tt.mode, tt.want)
			}
		})
	}
}

func put(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
