package libcontainer

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"skep/libcontainer/process"
	"skep/libcontainer/seccomp"
)

// seccompCache is the directory of compiled filters below the root; an id cannot hold an @.
const seccompCache = "@seccomp"

// filter compiles linux.seccomp, through the cache below root unless that is empty. It is nil where there is
// nothing to enforce.
func (b *blueprint) filter(root string) (*process.Filter, error) {
	var f *seccomp.Filter
	var err error
	if root == "" {
		f, err = seccomp.Compile(b.spec.Linux.Seccomp)
	} else {
		f, err = seccomp.Cached(filepath.Join(root, seccompCache), b.spec.Linux.Seccomp)
	}
	if f == nil || err != nil {
		return nil, err
	}
	if err := permitsInit(f, b.spec.Process.NoNewPrivileges); err != nil {
		return nil, err
	}
	return &process.Filter{BPF: f.BPF, Flags: f.Flags, Notify: f.Notify}, nil
}

// permitsInit makes sure that init can go on below a filter that has to be loaded before start: with no_new_privs off
// because the capabilities are still to be dropped, with a listener because an agent is still to get it. A filter that
// forbids execve is legal: then start says so.
func permitsInit(f *seccomp.Filter, noNewPrivileges bool) error {
	type call struct {
		nr   int
		name string
	}
	var needed []call
	hint := "the filter of SCMP_ACT_NOTIFY is loaded before start, for which init waits in read"
	switch {
	case !noNewPrivileges:
		needed = []call{{unix.SYS_PRCTL, "prctl"}, {unix.SYS_CAPSET, "capset"}, {unix.SYS_PRLIMIT64, "prlimit64"},
			{unix.SYS_WRITE, "write"}, {unix.SYS_READ, "read"}}
		hint = "set process.noNewPrivileges, then the filter is loaded last"
	case f.Notify:
		needed = []call{{unix.SYS_READ, "read"}}
	}
	for _, c := range needed {
		v := f.Verdict(seccomp.NativeArch(), c.nr, [6]uint64{})
		switch v & unix.SECCOMP_RET_ACTION_FULL {
		case unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_LOG:
			continue
		case unix.SECCOMP_RET_USER_NOTIF: // an agent may leave read to the kernel, and AwaitStart proves that it has
			if noNewPrivileges {
				continue
			}
		}
		return fmt.Errorf("linux.seccomp: init needs %s below the filter, which %s; %s", c.name, seccomp.Action(v), hint)
	}
	return nil
}
