package tests

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// ids is one mapping: size ids from container on are those from host on.
func ids(container, host, size uint32) []specs.LinuxIDMapping {
	return []specs.LinuxIDMapping{{ContainerID: container, HostID: host, Size: size}}
}

// mapped is a bind mount with mappings of its own.
func mapped(m specs.Mount, uids, gids []specs.LinuxIDMapping) specs.Mount {
	m.UIDMappings, m.GIDMappings = uids, gids
	return m
}

// ownedTree is a host directory with a file of 1000:1000 in it and in what is mounted on its directory sub: another
// directory of the same filesystem, because a tmpfs has idmapped mounts only since Linux 6.3.
func ownedTree(t *testing.T) string {
	t.Helper()
	host := tempDir(t)
	sub := filepath.Join(host, "sub")
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(tempDir(t), sub, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	unmountAfter(t, sub)
	for _, name := range []string{"file", "sub/file"} {
		writeFile(t, filepath.Join(host, name), "")
		if err := os.Chown(filepath.Join(host, name), 1000, 1000); err != nil {
			t.Fatal(err)
		}
	}
	return host
}

// hostMount mounts a filesystem on the host for the time of the test.
func hostMount(t *testing.T, at, fstype, data string) {
	t.Helper()
	if err := unix.Mount(fstype, at, fstype, 0, data); err != nil {
		t.Fatal(err)
	}
	unmountAfter(t, at)
}

func unmountAfter(t *testing.T, at string) {
	t.Cleanup(func() {
		if err := unix.Unmount(at, 0); err != nil {
			t.Error(err)
		}
	})
}

const showOwners = "stat -c '%u:%g' /x/file /x/sub/file"

// IDM-13 IDM-02 IDM-03 IDM-06 IDM-07 IDM-09 MNT-26 MOPT-44: mappings of the mount itself.
func TestIDMappedBinds(t *testing.T) {
	r := newRuntime(t)
	host := ownedTree(t)
	uids, gids := ids(1000, 7, 1), ids(1000, 8, 1)
	for name, test := range map[string]struct {
		mount     specs.Mount
		file, sub string
	}{
		"idmap":                    {mapped(bind(host, "/x", "idmap"), uids, gids), "7:8", "1000:1000"},
		"ridmap":                   {mapped(bind(host, "/x", "ridmap"), uids, gids), "7:8", "7:8"},
		"mappings without option":  {mapped(bind(host, "/x"), uids, gids), "7:8", "1000:1000"},
		"with other flags":         {mapped(bind(host, "/x", "ridmap", "ro", "rnosuid", "private"), uids, gids), "7:8", "7:8"},
		"crun's form":              {bind(host, "/x", "ridmap=uids=1000-7-1;gids=0-5-1#1000-8-1"), "7:8", "7:8"},
		"what no mapping mentions": {mapped(bind(host, "/x", "idmap"), ids(0, 0, 10), ids(0, 0, 10)), "65534:65534", "1000:1000"},
	} {
		t.Run(name, func(t *testing.T) {
			wantLines(t, r.sh(showOwners, mounts(test.mount)), test.file, test.sub)
		})
	}
	t.Run("twice", func(t *testing.T) {
		a, b := mapped(bind(host, "/x", "ridmap"), uids, gids), mapped(bind(host, "/y", "ridmap"), gids, uids)
		a.GIDMappings, b.UIDMappings = uids, uids // one namespace serves both
		out := r.sh(showOwners+" /y/file", mounts(a, b))
		wantLines(t, out, "7:7", "7:7", "7:7")
	})
}

// IDM-04: without mappings those of the container's user namespace are used, and files are whose they are on disk.
func TestIDMapOfTheContainer(t *testing.T) {
	r := newRuntime(t)
	host := ownedTree(t)
	for option, want := range map[string][]string{
		"idmap": {"1000:1000", "65534:65534"}, "ridmap": {"1000:1000", "1000:1000"}, "rw": {"65534:65534", "65534:65534"},
	} {
		b := newBundle(t, userNamespace(), mounts(bind(host, "/x", option)), args("/bin/sh", "-c", showOwners))
		b.chown(100000, 100000)
		wantLines(t, r.output(b), want...)
	}
	// What the container writes there belongs to its own ids on the host's disk, too.
	b := newBundle(t, userNamespace(), mounts(bind(host, "/x", "idmap")), args("/bin/sh", "-c", "mkdir /x/made"))
	b.chown(100000, 100000)
	if err := os.Chmod(host, 0o777); err != nil {
		t.Fatal(err)
	}
	r.output(b)
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(host, "made"), &st); err != nil || st.Uid != 0 || st.Gid != 0 {
		t.Errorf("made by %d:%d, %v", st.Uid, st.Gid, err)
	}
}

// IDM-03 in a user namespace: the mount's own mappings say whose the files are on the host.
func TestIDMapInUserNamespace(t *testing.T) {
	r := newRuntime(t)
	mount := mapped(bind(ownedTree(t), "/x", "ridmap"), ids(1000, 100007, 1), ids(1000, 100008, 1))
	b := newBundle(t, userNamespace(), mounts(mount), args("/bin/sh", "-c", showOwners))
	b.chown(100000, 100000)
	wantLines(t, r.output(b), "7:8", "7:8")
}

// IDM-10: the container's is a joined one.
func TestIDMapOfJoinedUserNamespace(t *testing.T) {
	r := newRuntime(t)
	pid := holder(t, unix.CLONE_NEWUSER, []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100_000, Size: 65_536}})
	b := newBundle(t, namespace(specs.UserNamespace, procPath(pid, "ns/user")), without(specs.NetworkNamespace),
		mounts(bind(ownedTree(t), "/x", "ridmap")), args("/bin/sh", "-c", showOwners))
	b.chown(100_000, 100_000)
	wantLines(t, r.output(b), "1000:1000", "1000:1000")
}

// IDM-11: a new filesystem too.
func TestIDMappedTmpfs(t *testing.T) {
	r := newRuntime(t)
	mount := specs.Mount{Destination: "/x", Type: "tmpfs", Source: "tmpfs", Options: []string{"uid=1000", "gid=1000", "ro"}}
	out := r.sh("stat -c %u:%g /x", mounts(mapped(mount, ids(1000, 7, 1), ids(1000, 8, 1))))
	wantLines(t, out, "7:8")
}

// IDM-01 IDM-05 IDM-06 IDM-11 IDM-12
func TestIDMapErrors(t *testing.T) {
	r := newRuntime(t)
	host := ownedTree(t)
	procfs := tempDir(t)
	below := filepath.Join(procfs, "below")
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	hostMount(t, below, "proc", "")
	layered := tempDir(t)
	hostMount(t, layered, "overlay", "lowerdir=/etc:/root")
	one := ids(0, 0, 1)
	overlay := specs.Mount{Destination: "/x", Type: "overlay", Source: "overlay", Options: []string{"lowerdir=/etc:/root"}}
	tmpfs := specs.Mount{Destination: "/x", Type: "tmpfs", Source: "tmpfs"}
	for name, test := range map[string]struct {
		edit edit
		want string
	}{
		"only uids":             {mounts(mapped(bind(host, "/x", "idmap"), one, nil)), "gidMappings"},
		"only gids":             {mounts(mapped(bind(host, "/x", "idmap"), nil, one)), "uidMappings"},
		"nothing to take":       {mounts(bind(host, "/x", "idmap")), "needs a user namespace"},
		"size 0":                {mounts(mapped(bind(host, "/x"), ids(0, 0, 0), one)), "uidMappings[0].size"},
		"overlapping":           {mounts(mapped(bind(host, "/x"), append(ids(0, 0, 9), ids(8, 20, 1)...), one)), "uidMappings[1]"},
		"no support":            {mounts(mapped(bind("/proc/self", "/x", "idmap"), one, one)), "/proc/self: map the owners: mount_setattr: invalid argument (the kernel or the filesystem lacks support"},
		"no support below":      {mounts(mapped(bind(procfs, "/x", "ridmap"), one, one)), "lacks support"},
		"an overlay":            {mounts(mapped(overlay, one, one)), "an overlay cannot be idmapped itself"},
		"an overlay bound":      {mounts(mapped(bind(layered, "/x", "idmap"), one, one)), "an overlay cannot be idmapped itself"},
		"crun's form malformed": {mounts(bind(host, "/x", "idmap=uids=0-1;gids=0-1-1")), `mounts[7].options: idmap: "0-1": expected three numbers`},
		"crun's form besides":   {mounts(mapped(bind(host, "/x", "idmap=uids=0-1-1;gids=0-1-1"), one, one)), "given twice"},
		"nothing to relate to":  {mounts(bind(host, "/x", "idmap=uids=@0-1-1;gids=0-1-1")), "no mapping of the container's user namespace"},
		"a remount":             {mounts(bind(host, "/x"), mapped(bind("", "/x", "remount"), one, one)), "in use already"},
		"of a user namespace":   {func(s *specs.Spec) { userNamespace()(s); mounts(mapped(tmpfs, one, one))(s) }, "made in a user namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBundle(t, test.edit)
			b.chown(100000, 100000)
			r.fails(test.want, "create", "--bundle", b.dir, r.id())
		})
	}
}
