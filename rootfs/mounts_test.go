package rootfs_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

func tmpfs(destination string, options ...string) specs.Mount {
	return specs.Mount{Destination: destination, Type: "tmpfs", Source: "inner", Options: options}
}

func bind(source, destination string, options ...string) specs.Mount {
	return specs.Mount{Destination: destination, Source: source, Type: "none", Options: append([]string{"rbind"}, options...)}
}

// MNT-01 MNT-05 MNT-08 MNT-09 MNT-10: directories, files, sockets, links, relative to the bundle, in order.
func TestBinds(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			b := newBox(t, k)
			host := t.TempDir()
			must(t, os.WriteFile(filepath.Join(host, "file"), []byte("from the host\n"), 0o644))
			must(t, os.WriteFile(filepath.Join(b.host.Bundle, "beside"), []byte("beside config.json\n"), 0o644))
			must(t, os.Symlink("file", filepath.Join(host, "link")))
			must(t, unix.Mkfifo(filepath.Join(host, "fifo"), 0o600))
			b.mount(bind(host, "/new/dir"), bind(host+"/file", "/new/file"), bind("beside", "/relative"), bind(host+"/link", "/link"),
				bind(host+"/fifo", "/fifo"), tmpfs("/order"), bind(host, "/order/above"), bind(host, "/hidden/below"), tmpfs("/hidden"))
			b.up()
			for name, want := range map[string]string{
				"/new/dir/file": "from the host\n", "/new/file": "from the host\n", "/relative": "beside config.json\n",
				"/link": "from the host\n", "/order/above/file": "from the host\n",
			} {
				if got := b.read(name); got != want {
					t.Errorf("%s holds %q", name, got)
				}
			}
			if st := b.stat("/fifo"); st.Mode&unix.S_IFMT != unix.S_IFIFO {
				t.Errorf("/fifo has the mode %o", st.Mode)
			}
			if _, err := os.Lstat(b.path("/hidden/below")); !os.IsNotExist(err) {
				t.Errorf("below a later mount: %v", err)
			}
			if st := b.stat("/new"); st.Mode != unix.S_IFDIR|0o755 {
				t.Errorf("/new has the mode %o", st.Mode)
			}
		})
	}
}

// MOPT-02 … MOPT-47: flags of binds and of new mounts. The source has nosuid, noexec and noatime.
func TestMountFlags(t *testing.T) {
	const host = "nosuid noexec noatime"
	for _, test := range []struct{ options, bind, sub, fresh string }{
		{"", host, host, "rw relatime"},
		{"defaults", host, host, "rw relatime"},
		{"ro", "ro noatime", host, "ro relatime"}, // any plain flag: exactly these
		{"rw exec", "rw noatime", host, "rw"},
		{"ro rw", "rw noatime", host, "rw"}, // MOPT-46
		{"nodev nosuid", "nodev nosuid noatime", host, "nodev nosuid"},
		{"suid dev", "rw noatime", host, "rw relatime"},
		{"relatime", "rw relatime", host, "relatime"},
		{"strictatime noexec", "rw noexec", host, "rw noexec"},
		{"nodiratime", "rw nodiratime relatime", host, "nodiratime relatime"},
		{"nosymfollow", "rw nosymfollow noatime", host, "nosymfollow"},
		{"rro", host + " ro", host + " ro", "ro relatime"}, // MOPT-34
		{"rro rw", "ro noatime", host + " ro", "ro"},
		{"rnodev", host + " nodev", host + " nodev", "nodev"},
		{"rexec rsuid", "rw noatime", "rw noatime", "rw"},
		{"rrelatime", "nosuid noexec relatime", "nosuid noexec relatime", "relatime"}, // MOPT-39
		{"rstrictatime", "nosuid noexec", "nosuid noexec", "rw"},
		{"rnoatime rnodiratime", host + " nodiratime", host + " nodiratime", "noatime nodiratime"},
		{"sync dirsync lazytime silent mand", host, host, "rw relatime"},
	} {
		t.Run(test.options, func(t *testing.T) {
			b := newBox(t, kinds[0])
			source := filepath.Join(t.TempDir(), "source")
			hostTmpfs(t, source, unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NOATIME)
			hostTmpfs(t, source+"/sub", unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NOATIME)
			options := strings.Fields(test.options)
			b.mount(bind(source, "/bind", options...), tmpfs("/fresh", options...))
			b.up()
			for point, want := range map[string]string{"/bind": test.bind, "/bind/sub": test.sub, "/fresh": test.fresh} {
				checkFlags(t, b.at(point), want)
			}
			if strings.Contains(test.options, "lazytime") && !strings.HasPrefix(b.at("/fresh").super, "rw,sync,dirsync,") {
				t.Errorf("the superblock: %s", b.at("/fresh").super)
			}
		})
	}
}

func checkFlags(t *testing.T, m mountLine, want string) {
	t.Helper()
	for _, flag := range []string{"ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "nosymfollow", "relatime"} {
		wanted := strings.Contains(" "+want+" ", " "+flag+" ")
		if m.has(flag) != wanted && (flag != "relatime" || strings.Contains(want, "atime")) {
			t.Errorf("%s has %s, want %s", m.point, m.options, want)
			return
		}
	}
}

// MOPT-48: flags that a user namespace has locked.
func TestLockedFlags(t *testing.T) {
	source := filepath.Join(t.TempDir(), "source")
	hostTmpfs(t, source, unix.MS_NOSUID|unix.MS_NODEV)
	b := newBox(t, kinds[2])
	b.mount(bind(source, "/x", "ro"))
	b.up()
	checkFlags(t, b.at("/x"), "ro nosuid nodev")
	b = newBox(t, kinds[2])
	b.mount(bind(source, "/x", "suid", "dev"))
	b.fails("mounts[7] /x: set mount suid dev: mount_setattr: operation not permitted")
}

// MOPT-23 … MOPT-26 PRP-06: a mount made below a bind appears on the host only when shared was asked for.
func TestBindPropagation(t *testing.T) {
	for _, test := range []struct{ option, tags, sub string }{
		{"", "master:", "master:"}, {"slave", "master:", "master:"}, {"rslave", "master:", "master:"},
		{"private", "", "master:"}, {"rprivate", "", ""}, {"unbindable", "unbindable", "master:"}, {"runbindable", "unbindable", "unbindable"},
		{"shared", "shared:", "shared:"}, {"rshared", "shared:", "shared:"},
	} {
		t.Run(test.option, func(t *testing.T) {
			b := newBox(t, kinds[0])
			source := filepath.Join(t.TempDir(), "source")
			hostTmpfs(t, source, 0)
			hostTmpfs(t, source+"/sub", 0)
			b.mount(bind(source, "/x", test.option))
			b.up()
			for point, want := range map[string]string{"/x": test.tags, "/x/sub": test.sub} {
				if tags := b.at(point).tags; !strings.HasPrefix(tags, want) || want == "" && tags != "" || strings.Contains(tags, " ") {
					t.Errorf("%s has the tags %q, want %q", point, tags, want)
				}
			}
			must(t, b.run(&plan.Phase{Name: "later", Steps: []plan.Step{
				plan.Filesystem{Type: "tmpfs", Source: "later", Into: plan.Mount},
				plan.Attach{Mount: plan.Mount, At: plan.In("/x/later"), Make: plan.Directory},
			}}))
			shared := strings.HasSuffix(test.option, "shared")
			if leaked := strings.Contains(mountinfo(t, "self"), source+"/later "); leaked != shared {
				t.Errorf("on the host: %v, want %v", leaked, shared)
			}
			if shared {
				must(t, unix.Unmount(source+"/later", unix.MNT_DETACH))
			}
			hostTmpfs(t, source+"/host", 0)
			arrives := test.tags == "master:" || shared
			if got := strings.Contains(mountinfo(t, strconv.Itoa(b.child.Pid)), " /x/host "); got != arrives {
				t.Errorf("the host's later mount arrives: %v, want %v", got, arrives)
			}
		})
	}
}

// PRP-01 … PRP-04 PRP-06
func TestRootfsPropagation(t *testing.T) {
	for value, want := range map[string]string{
		"": "master", "slave": "master", "rslave": "master", "private": "", "rprivate": "", "shared": "shared master",
		"rshared": "shared master", "unbindable": "unbindable", "runbindable": "unbindable",
	} {
		for _, k := range kinds {
			t.Run(value+" "+k.name, func(t *testing.T) {
				b := newBox(t, k)
				hostTmpfs(t, b.image("sub"), 0)
				b.spec.Linux.RootfsPropagation = value
				b.mount(tmpfs("/x", "rprivate"))
				b.up()
				var words []string
				for _, tag := range strings.Fields(b.at("/").tags) {
					name, group, _ := strings.Cut(tag, ":")
					words = append(words, name)
					if name == "shared" && strings.Contains(mountinfo(t, "self"), " shared:"+group+" ") {
						t.Errorf("the root is in the host's peer group: %s", tag)
					}
				}
				if got := strings.Join(words, " "); got != want {
					t.Errorf("/ is %q, want %q", got, want)
				}
				if recursive := strings.HasPrefix(value, "rsh") || strings.HasPrefix(value, "run"); (b.at("/x").tags != "") != recursive {
					t.Errorf("/x is %q", b.at("/x").tags)
				}
				b.checkMasks()
			})
		}
	}
}

// MNT-20: a tmpfs takes the mode of the directory that it covers, wherever that came from.
func TestTmpfsMode(t *testing.T) {
	b := newBox(t, kinds[0])
	b.mkdir("tmp", 0o1777)
	b.mkdir("home", 0o750)
	b.mkdir("root", 0o700)
	b.link("/home", "link")
	source := t.TempDir()
	must(t, os.Mkdir(source+"/sub", 0o700))
	must(t, unix.Chmod(source+"/sub", 0o2711))
	b.mount(tmpfs("/tmp"), tmpfs("/home", "mode=701"), tmpfs("/root", "size=4k,mode=1770"), tmpfs("/new"), bind(source, "/over"),
		tmpfs("/over/sub"), tmpfs("/root/deep"))
	b.up()
	for name, want := range map[string]uint32{
		"/tmp": 0o1777, "/home": 0o701, "/root": 0o1770, "/new": 0o1777, "/over/sub": 0o2711, "/root/deep": 0o1777,
	} {
		if st := b.stat(name); st.Mode&0o7777 != want {
			t.Errorf("%s has the mode %o, want %o", name, st.Mode&0o7777, want)
		}
	}
	b = newBox(t, kinds[0])
	b.mkdir("home", 0o750)
	b.link("/home", "link")
	b.mount(tmpfs("/link"))
	b.up()
	if st := b.stat("/home"); st.Mode&0o7777 != 0o750 {
		t.Errorf("through a link: %o", st.Mode)
	}
}

// MNT-04: nothing leads out of the root.
func TestEscapes(t *testing.T) {
	for _, k := range kinds {
		for _, test := range []struct{ target, destination, lands string }{
			{"OUT", "/a/x", "OUT/x"}, {"../../../../../../../../../..OUT", "/a/x", "OUT/x"}, {"", "/../../a", "/a"}, {"", "/a/../../../b", "/b"},
			{"/etc", "/a/x", "/etc/x"}, {"/proc/self/root", "/a/x", ""}, {"/proc/1/cwd", "/a/x", ""},
		} {
			t.Run(k.name+" "+test.target+test.destination, func(t *testing.T) {
				outside := filepath.Join(t.TempDir(), "outside")
				must(t, os.Mkdir(outside, 0o755))
				b := newBox(t, k)
				b.mkdir(outside, 0o755) // the same path inside
				if test.target != "" {
					b.link(strings.Replace(test.target, "OUT", outside, 1), "a")
				}
				b.mount(tmpfs(test.destination))
				if test.lands == "" {
					b.fails("mounts[7] "+test.destination, "too many levels of symbolic links")
				} else {
					b.up()
					if m := b.at(strings.Replace(test.lands, "OUT", outside, 1)); m.source != "inner" {
						t.Errorf("%+v", m)
					}
				}
				if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
					t.Errorf("the host's directory now has %v; %v", entries, err)
				}
			})
		}
	}
}

// MNT-17 DDEV-14: an image's link does not choose where /proc, /sys and /dev go.
func TestLinkedMountPoints(t *testing.T) {
	for _, k := range kinds {
		for _, name := range []string{"proc", "sys", "dev"} {
			t.Run(k.name+" "+name, func(t *testing.T) {
				b := newBox(t, k)
				b.mkdir("tmp", 0o755)
				b.link("tmp", name)
				b.fails("/"+name+": ", "too many levels of symbolic links")
			})
		}
		t.Run(k.name+" /dev of the image", func(t *testing.T) {
			b := newBox(t, k)
			b.spec.Mounts = b.spec.Mounts[:1]
			b.link("../../../../../../tmp", "dev")
			b.fails("default device /dev/null: ", "too many levels of symbolic links")
		})
	}
}

// PRP-10: an image's /dev/null is no mask (CVE-2025-31133).
func TestMaskOfTheImage(t *testing.T) {
	for _, k := range kinds {
		b := newBox(t, k)
		b.write("secret", "secret\n")
		b.spec.Mounts = []specs.Mount{b.spec.Mounts[0], {Destination: "/dev", Source: b.image("etc"), Options: []string{"bind"}}}
		b.link("/secret", "etc/null")
		b.spec.Linux.MaskedPaths = []string{"/secret", "/no/such/path", "/work", "/proc/version"}
		b.up()
		b.checkMasks()
	}
}

// PRP-12: what is mounted below becomes read-only too, other flags stay.
func TestReadonlyPaths(t *testing.T) {
	b := newBox(t, kinds[0])
	b.mount(tmpfs("/a", "nosuid", "noexec"), tmpfs("/a/b", "nodev"))
	b.spec.Linux.ReadonlyPaths = []string{"/a", "/missing"}
	b.up()
	checkFlags(t, b.at("/a"), "ro nosuid noexec")
	checkFlags(t, b.at("/a/b"), "ro nodev")
	b = newBox(t, kinds[0])
	b.spec.Linux.ReadonlyPaths = []string{"/"}
	b.up()
	if b.writable("/work") || b.writable("/dev/shm") {
		t.Error("all of / was to be read-only")
	}
}

// MOPT-29
func TestRemount(t *testing.T) {
	b := newBox(t, kinds[0])
	b.mount(tmpfs("/x", "nosuid"), specs.Mount{Destination: "/x", Options: []string{"remount", "ro", "noatime"}})
	b.up()
	checkFlags(t, b.at("/x"), "ro nosuid noatime")
	b = newBox(t, kinds[0])
	b.mount(specs.Mount{Destination: "/work", Options: []string{"remount", "ro"}})
	b.fails("mounts[7] /work: set mount ro: mount_setattr: invalid argument")
}

// MNT-28: more binds than descriptors fit into a phase, under the usual RLIMIT_NOFILE.
func TestManyBinds(t *testing.T) {
	const many = 100
	b := newBox(t, kinds[0])
	host := t.TempDir()
	for i := range many {
		b.mount(bind(host, "/many/"+strconv.Itoa(i), "ro"))
	}
	b.up()
	found := 0
	for _, m := range b.mounts() {
		if strings.HasPrefix(m.point, "/many/") && m.has("ro") {
			found++
		}
	}
	if found != many {
		t.Errorf("%d of %d", found, many)
	}
	if fds, err := os.ReadDir(b.proc("fd")); err != nil || len(fds) > 10 {
		t.Errorf("init holds %d descriptors, %v", len(fds), err)
	}
}

// MNT-15: options that fsconfig cannot take.
func TestOverlay(t *testing.T) {
	b := newBox(t, kinds[0])
	dir := t.TempDir()
	var layers []string
	for _, name := range []string{strings.Repeat("first", 30), strings.Repeat("second", 30)} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name, name[:5]), nil, 0o644))
		layers = append(layers, filepath.Join(dir, name))
	}
	short := t.TempDir()
	overlay := func(destination string, options ...string) specs.Mount {
		return specs.Mount{Destination: destination, Type: "overlay", Source: "overlay", Options: options}
	}
	b.mount(overlay("/long", "lowerdir="+strings.Join(layers, ":"), "nosuid", "shared"), overlay("/short", "lowerdir="+short+":"+layers[0], "ro"))
	b.up()
	b.stat("/long/first")
	b.stat("/long/secon")
	checkFlags(t, b.at("/long"), "nosuid")
	checkFlags(t, b.at("/short"), "ro")
	if !strings.HasPrefix(b.at("/long").tags, "shared:") {
		t.Errorf("%+v", b.at("/long"))
	}
}

// MNT-25: sysfs in a user namespace that shares the host's network.
func TestSysfsOfTheHost(t *testing.T) {
	for _, k := range kinds[1:] {
		b := newBox(t, k)
		var rest []specs.LinuxNamespace
		for _, ns := range b.spec.Linux.Namespaces {
			if ns.Type != specs.NetworkNamespace {
				rest = append(rest, ns)
			}
		}
		b.spec.Linux.Namespaces = rest
		b.up()
		for _, m := range b.mounts() {
			if strings.HasPrefix(m.point, "/sys") && !m.has("ro") {
				t.Errorf("%+v", m)
			}
		}
		if b.at("/sys").fstype != "sysfs" {
			t.Errorf("%+v", b.at("/sys"))
		}
	}
}
