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
	if f.Notify {
		return nil, fmt.Errorf("linux.seccomp: SCMP_ACT_NOTIFY: not supported yet")
	}
	if !b.spec.Process.NoNewPrivileges {
		if err := permitsInit(f); err != nil {
			return nil, err
		}
	}
	return &process.Filter{BPF: f.BPF, Flags: f.Flags}, nil
}

// permitsInit makes sure that init can go on below a filter that has to be loaded early, before the capabilities
// are dropped, because no_new_privs is off. A filter that forbids execve is legal: then start says so.
func permitsInit(f *seccomp.Filter) error {
	for _, c := range [...]struct {
		nr   int
		name string
	}{
		{unix.SYS_PRCTL, "prctl"}, {unix.SYS_CAPSET, "capset"}, {unix.SYS_PRLIMIT64, "prlimit64"},
		{unix.SYS_WRITE, "write"}, {unix.SYS_READ, "read"}, {unix.SYS_CLOSE_RANGE, "close_range"},
	} {
		v := f.Verdict(seccomp.NativeArch(), c.nr, [6]uint64{})
		if action := v & unix.SECCOMP_RET_ACTION_FULL; action != unix.SECCOMP_RET_ALLOW && action != unix.SECCOMP_RET_LOG {
			return fmt.Errorf("linux.seccomp: the filter answers %s with %s, which init needs after loading it; "+
				"set process.noNewPrivileges, then the filter is loaded last", c.name, seccomp.Action(v))
		}
	}
	return nil
}
