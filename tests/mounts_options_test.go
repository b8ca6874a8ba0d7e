package tests

import (
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// flagOptions are the options that change a mount's flags, and with r before them those of all mounts below it, and
// what mountinfo has then: a word, or with ! before it no such word.
var flagOptions = map[string]string{
	"ro": "ro", "rw": "!ro", "nosuid": "nosuid", "suid": "!nosuid", "nodev": "nodev", "dev": "!nodev", "noexec": "noexec", "exec": "!noexec",
	"noatime": "noatime", "atime": "!noatime", "nodiratime": "nodiratime", "diratime": "!nodiratime",
	"relatime": "relatime", "strictatime": "!relatime !noatime", "nostrictatime": "relatime", "norelatime": "relatime", // the kernel's default
	"nosymfollow": "nosymfollow", "symfollow": "!nosymfollow",
}

// superOptions are those of a new filesystem, and what mountinfo has of it then, where it shows them.
var superOptions = map[string]string{
	"sync": "sync", "sync async": "!sync", "dirsync": "dirsync", "lazytime": "lazytime", "lazytime nolazytime": "!lazytime",
	"iversion": "", "iversion noiversion": "", "mand": "", "mand nomand": "", "silent": "", "silent loud": "", "defaults": "rw",
}

// propagations are the tags of a bind mount and of what is mounted below it.
var propagations = map[string][2]string{
	"private": {"", "master:"}, "rprivate": {"", ""}, "slave": {"master:", "master:"}, "rslave": {"master:", "master:"},
	"shared": {"shared:", "shared:"}, "rshared": {"shared:", "shared:"}, "unbindable": {"unbindable", "master:"}, "runbindable": {"unbindable", "unbindable"},
}

// flaggedTree mounts a tmpfs and another one below it, with flags.
func flaggedTree(t *testing.T, flags uintptr) string {
	t.Helper()
	dir := tempDir(t)
	hostMount(t, dir, "tmpfs", "mode=755")
	if err := os.Mkdir(dir+"/sub", 0o755); err != nil {
		t.Fatal(err)
	}
	hostMount(t, dir+"/sub", "tmpfs", "mode=755")
	for _, at := range []string{dir, dir + "/sub"} {
		if err := unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_BIND|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// MOPT-01 … MOPT-42 FT-07: what each option that the features list does, in mountinfo. The others have tests of their own.
func TestMountOptions(t *testing.T) {
	r := newRuntime(t)
	const forbidding = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME | unix.MS_NOSYMFOLLOW
	sources := map[string]string{"plain": flaggedTree(t, 0), "forbidding": flaggedTree(t, forbidding)}
	known := []string{"bind", "rbind", "remount", "tmpcopyup", "idmap", "ridmap"}
	var list []specs.Mount
	for option := range flagOptions {
		known = append(known, option, "r"+option)
		list = append(list, tmpfsAt("/fresh/"+option, option))
		for name, source := range sources {
			list = append(list, bind(source, "/"+name+"/"+option, option), bind(source, "/"+name+"/r"+option, "r"+option))
		}
	}
	for options := range superOptions {
		known = append(known, strings.Fields(options)...)
		list = append(list, tmpfsAt("/super/"+options, strings.Fields(options)...))
	}
	for option := range propagations {
		known = append(known, option)
		list = append(list, bind(sources["plain"], "/propagation/"+option, option))
	}
	for _, option := range readFeatures(r).MountOptions {
		if !slices.Contains(known, option) {
			t.Errorf("nobody shows what %s does", option)
		}
	}

	table := r.sh("cat /proc/self/mountinfo", mounts(list...))
	for option, want := range flagOptions {
		wantFlags(t, table, "/fresh/"+option, want)
		for name, source := range sources {
			wantFlags(t, table, "/"+name+"/"+option, want)
			wantFlags(t, table, "/"+name+"/r"+option, want)
			wantFlags(t, table, "/"+name+"/r"+option+"/sub", want)
			host := mustMountAt(t, readFile(t, "/proc/self/mountinfo"), source+"/sub").options
			if below := mustMountAt(t, table, "/"+name+"/"+option+"/sub").options; below != host {
				t.Errorf("%s on %s: what is mounted below is %s, and was %s", option, name, below, host)
			}
		}
	}
	for options, want := range superOptions {
		wantFlags(t, table, "/super/"+options, want)
	}
	for option, want := range propagations {
		for i, point := range []string{"/propagation/" + option, "/propagation/" + option + "/sub"} {
			if tags := mustMountAt(t, table, point).tags; !strings.HasPrefix(tags, want[i]) || want[i] == "" && tags != "" {
				t.Errorf("%s has the tags %q, want %q", point, tags, want[i])
			}
		}
	}
}

// wantFlags looks for words in what a mount and its filesystem have; ! before one says that it is not there.
func wantFlags(t *testing.T, table, point, want string) {
	t.Helper()
	at := mustMountAt(t, table, strings.ReplaceAll(point, " ", `\040`))
	for _, word := range strings.Fields(want) {
		word, not := strings.CutPrefix(word, "!")
		if has(at.options+","+at.super, word) == not {
			t.Errorf("%s: %s of %s, want %s", point, at.options, at.super, want)
		}
	}
}
