package spec

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseMountOptions(t *testing.T) {
	const (
		ro, nosuid, nodev, noexec = unix.MOUNT_ATTR_RDONLY, unix.MOUNT_ATTR_NOSUID, unix.MOUNT_ATTR_NODEV, unix.MOUNT_ATTR_NOEXEC
		noatime, strict, atime    = unix.MOUNT_ATTR_NOATIME, unix.MOUNT_ATTR_STRICTATIME, unix.MOUNT_ATTR__ATIME
		nodiratime, nosymfollow   = unix.MOUNT_ATTR_NODIRATIME, unix.MOUNT_ATTR_NOSYMFOLLOW
	)
	attr := func(set, clear uint64, flags uintptr) MountOptions {
		return MountOptions{AttrSet: set, AttrClear: clear, AnyFlag: true, Flags: flags}
	}
	rec := func(set, clear uint64) MountOptions {
		return MountOptions{RecAttrSet: set, RecAttrClear: clear}
	}
	prop := func(p uint64, r bool) MountOptions {
		return MountOptions{Propagation: p, PropagationRecursive: r}
	}
	super := func(set, clear string, flags uintptr) MountOptions {
		return MountOptions{SuperSet: strings.Fields(set), SuperClear: strings.Fields(clear), Flags: flags}
	}
	with := func(o MountOptions, f func(*MountOptions)) MountOptions { f(&o); return o }

	tests := []struct {
		options string
		want    MountOptions
	}{
		{"", MountOptions{}},
		{"defaults", MountOptions{}},                              // MOPT-04
		{"sync", super("sync", "", unix.MS_SYNCHRONOUS)},          // MOPT-33
		{"async", super("", "async", 0)},                          // MOPT-01
		{"sync async", super("", "async", 0)},                     // MOPT-01, 46
		{"async sync", super("sync", "", unix.MS_SYNCHRONOUS)},    // MOPT-46
		{"dirsync", super("dirsync", "", unix.MS_DIRSYNC)},        // MOPT-07
		{"lazytime", super("lazytime", "", unix.MS_LAZYTIME)},     // MOPT-10
		{"lazytime nolazytime", super("", "nolazytime", 0)},       // MOPT-18
		{"mand", super("mand", "", unix.MS_MANDLOCK)},             // MOPT-12
		{"mand nomand", super("", "nomand", 0)},                   // MOPT-12
		{"iversion", MountOptions{Flags: unix.MS_I_VERSION}},      // MOPT-09
		{"iversion noiversion", MountOptions{}},                   // MOPT-17
		{"silent", MountOptions{Flags: unix.MS_SILENT}},           // MOPT-31
		{"silent loud", MountOptions{}},                           // MOPT-11
		{"bind", MountOptions{Bind: true}},                        // MOPT-03
		{"rbind", MountOptions{Bind: true, RBind: true}},          // MOPT-27
		{"rbind bind", MountOptions{Bind: true, RBind: true}},     // rbind says more than bind
		{"bind rbind", MountOptions{Bind: true, RBind: true}},     //
		{"remount", MountOptions{Remount: true}},                  // MOPT-29
		{"nosuid", attr(nosuid, 0, unix.MS_NOSUID)},               // MOPT-21
		{"suid", attr(0, nosuid, 0)},                              // MOPT-32
		{"nosuid suid", attr(0, nosuid, 0)},                       // MOPT-46
		{"nodev", attr(nodev, 0, unix.MS_NODEV)},                  // MOPT-14
		{"dev", attr(0, nodev, 0)},                                // MOPT-05
		{"noexec", attr(noexec, 0, unix.MS_NOEXEC)},               // MOPT-16
		{"exec", attr(0, noexec, 0)},                              // MOPT-08
		{"nodiratime", attr(nodiratime, 0, unix.MS_NODIRATIME)},   // MOPT-15
		{"diratime", attr(0, nodiratime, 0)},                      // MOPT-06
		{"nosymfollow", attr(nosymfollow, 0, 0x100)},              // MOPT-22
		{"symfollow", attr(0, nosymfollow, 0)},                    // MOPT-22
		{"noatime", attr(noatime, atime, unix.MS_NOATIME)},        // MOPT-13
		{"atime", attr(0, atime, 0)},                              // MOPT-02
		{"noatime atime", attr(0, atime, 0)},                      // MOPT-02, 46
		{"relatime", attr(0, atime, unix.MS_RELATIME)},            // MOPT-28
		{"norelatime", attr(0, atime, 0)},                         // MOPT-19
		{"strictatime", attr(strict, atime, unix.MS_STRICTATIME)}, // MOPT-28
		{"nostrictatime", attr(0, atime, 0)},                      // MOPT-20
		{"strictatime nostrictatime", attr(0, atime, 0)},          // MOPT-20
		{"strictatime atime", attr(strict, atime, unix.MS_STRICTATIME)},
		{"noatime strictatime", attr(strict, atime, unix.MS_STRICTATIME)}, // MOPT-46
		{"strictatime relatime", attr(0, atime, unix.MS_RELATIME)},        // MOPT-46

		// MOPT-30: on a new filesystem ro concerns mount and superblock.
		{"ro", with(attr(ro, 0, unix.MS_RDONLY), func(o *MountOptions) { o.SuperSet = []string{"ro"} })},
		{"rw", with(attr(0, ro, 0), func(o *MountOptions) { o.SuperClear = []string{"rw"} })},
		{"ro rw", with(attr(0, ro, 0), func(o *MountOptions) { o.SuperClear = []string{"rw"} })},

		{"rro", rec(ro, 0)}, {"rrw", rec(0, ro)}, {"rro rrw", rec(0, ro)}, // MOPT-34
		{"rnosuid", rec(nosuid, 0)}, {"rsuid", rec(0, nosuid)}, // MOPT-35
		{"rnodev", rec(nodev, 0)}, {"rdev", rec(0, nodev)}, // MOPT-36
		{"rnoexec", rec(noexec, 0)}, {"rexec", rec(0, noexec)}, // MOPT-37
		{"rnoatime", rec(noatime, atime)}, {"ratime", rec(0, atime)}, // MOPT-38
		{"rrelatime", rec(0, atime)}, {"rnorelatime", rec(0, atime)}, // MOPT-39
		{"rstrictatime", rec(strict, atime)}, {"rnostrictatime", rec(0, atime)}, // MOPT-40
		{"rnodiratime", rec(nodiratime, 0)}, {"rdiratime", rec(0, nodiratime)}, // MOPT-41
		{"rnosymfollow", rec(nosymfollow, 0)}, {"rsymfollow", rec(0, nosymfollow)}, // MOPT-42

		{"private", prop(unix.MS_PRIVATE, false)}, {"rprivate", prop(unix.MS_PRIVATE, true)}, // MOPT-23
		{"shared", prop(unix.MS_SHARED, false)}, {"rshared", prop(unix.MS_SHARED, true)}, // MOPT-24
		{"slave", prop(unix.MS_SLAVE, false)}, {"rslave", prop(unix.MS_SLAVE, true)}, // MOPT-25
		{"unbindable", prop(unix.MS_UNBINDABLE, false)}, {"runbindable", prop(unix.MS_UNBINDABLE, true)}, // MOPT-26
		{"rshared private", prop(unix.MS_PRIVATE, false)}, // MOPT-46

		{"tmpcopyup", MountOptions{TmpCopyUp: true}}, // MOPT-43
		{"idmap", MountOptions{IDMap: true}},         // MOPT-44
		{"ridmap", MountOptions{RIDMap: true}},
		{"ridmap idmap", MountOptions{IDMap: true}},
		{"size=64k acl mode=1777", MountOptions{Data: []string{"size=64k", "acl", "mode=1777"}}}, // MOPT-45, MNT-13
		{"rbind rw defaults rprivate nosuid", MountOptions{
			Bind: true, RBind: true, AnyFlag: true,
			AttrSet: nosuid, AttrClear: ro, Flags: unix.MS_NOSUID,
			SuperClear:  []string{"rw"},
			Propagation: unix.MS_PRIVATE, PropagationRecursive: true,
		}},
	}
	for _, tt := range tests {
		got, err := ParseMountOptions(strings.Fields(tt.options))
		if err != nil {
			t.Errorf("%q: %v", tt.options, err)
			continue
		}
		if !equalOptions(got, tt.want) {
			t.Errorf("%q:\n got %+v\nwant %+v", tt.options, got, tt.want)
		}
		if got.Recursive() != (tt.want.RecAttrSet != 0 || tt.want.RecAttrClear != 0) {
			t.Errorf("%q: recursive is %t", tt.options, got.Recursive())
		}
	}
}

// equalOptions takes nil and empty lists for the same.
func equalOptions(a, b MountOptions) bool {
	same := slices.Equal(a.SuperSet, b.SuperSet) && slices.Equal(a.SuperClear, b.SuperClear) && slices.Equal(a.Data, b.Data)
	a.SuperSet, a.SuperClear, a.Data = nil, nil, nil
	b.SuperSet, b.SuperClear, b.Data = nil, nil, nil
	return same && reflect.DeepEqual(a, b)
}

func TestParseMountOptionsNUL(t *testing.T) { // MNT-11
	if _, err := ParseMountOptions([]string{"ro", "size=\x001"}); err == nil {
		t.Error("an option with a NUL byte was accepted")
	}
	if o, err := ParseMountOptions([]string{"", ""}); err != nil || len(o.Data) != 0 {
		t.Errorf("empty options: %+v, %v", o, err)
	}
}

// FT-07: every name that features prints is recognised, none reaches the
// filesystem (IDM-08, FT-08).
func TestMountOptionNames(t *testing.T) {
	names := MountOptionNames()
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("not sorted or not unique: %q", names)
	}
	for _, name := range names {
		o, err := ParseMountOptions([]string{name})
		if err != nil || len(o.Data) != 0 {
			t.Errorf("%s: data %q, error %v", name, o.Data, err)
		}
	}
	for _, name := range []string{"idmap", "ridmap", "rnodev", "nosymfollow", "rslave", "tmpcopyup"} {
		if !slices.Contains(names, name) {
			t.Errorf("%s is missing", name)
		}
	}
	for _, name := range []string{"size", "acl", "noacl"} {
		if slices.Contains(names, name) {
			t.Errorf("%s belongs to the filesystem", name)
		}
	}
}

// Each recursive row is the twin of a plain one: a typing error in either shows.
func TestRecursiveRows(t *testing.T) {
	for _, row := range mountOptions {
		if row.kind != optRecAttr {
			continue
		}
		plain := findMountOption(row.name[1:])
		if plain == nil {
			t.Errorf("%s has no plain form", row.name)
			continue
		}
		want := *plain
		want.name, want.kind = row.name, optRecAttr
		if row != want {
			t.Errorf("%s: %+v differs from %+v", row.name, row, want)
		}
	}
}
