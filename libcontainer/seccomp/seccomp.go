// Package seccomp compiles linux.seccomp of the configuration into the classic
// BPF program that seccomp(2) takes, and tells what such a program answers.
//
// The compiler is libseccomp; this is the only package that links it. Nothing
// here loads a filter: the program is handed to the container's init, which
// calls seccomp(2) itself. Compiling the profile of a container manager costs
// milliseconds, so Cached keeps the programs in a directory.
package seccomp

import (
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// Filter is a compiled linux.seccomp, ready for seccomp(2).
type Filter struct {
	// BPF is the program: an array of struct sock_filter, 8 bytes each, in the
	// byte order of the host. It is never empty.
	BPF []byte
	// Flags are the SECCOMP_FILTER_FLAG_* bits for SECCOMP_SET_MODE_FILTER.
	// They include NEW_LISTENER when Notify is set: seccomp(2) then returns the
	// listener's descriptor. They never include TSYNC: a container's init
	// has one thread when it loads the filter, and the kernel does not take
	// TSYNC together with NEW_LISTENER.
	Flags uint
	// Notify tells that the program can answer SECCOMP_RET_USER_NOTIF, so that
	// an agent must receive the listener.
	Notify bool
	// Warnings are sentences for the debug log: names of system calls that the
	// linked libseccomp does not know, and reasons for not using the cache.
	Warnings []string
}

// Compile translates p (linux.seccomp of config-linux.md). It returns nil and
// no error if there is nothing to enforce: p is nil, or has neither a default
// action nor rules. Errors begin with the JSON path of the offending value and
// name the version of libseccomp where that decides.
//
// The architecture of the host is always part of the filter, whether p lists
// it or not. System calls that libseccomp does not know are left out with a
// warning: profiles are written for the newest kernels. Where the default
// action refuses, calls newer than any that p names fail with ENOSYS, so that
// libraries fall back to older ones.
func Compile(p *specs.LinuxSeccomp) (*Filter, error) {
	if !enabled(p) {
		return nil, nil
	}
	bpf, warnings, err := compile(p)
	if err != nil {
		return nil, err
	}
	return newFilter(bpf, warnings, p)
}

// Version returns the version of the linked libseccomp, such as "2.5.4".
func Version() string {
	major, minor, micro := libseccomp.GetLibraryVersion()
	return strconv.Itoa(int(major)) + "." + strconv.Itoa(int(minor)) + "." + strconv.Itoa(int(micro))
}

func enabled(p *specs.LinuxSeccomp) bool {
	return p != nil && (p.DefaultAction != "" || len(p.Syscalls) > 0)
}

// newFilter completes a program from libseccomp or the cache.
func newFilter(bpf []byte, warnings []string, p *specs.LinuxSeccomp) (*Filter, error) {
	f := &Filter{BPF: bpf, Warnings: warnings}
	f.Notify = f.returns(unix.SECCOMP_RET_USER_NOTIF)
	flags, err := filterFlags(p.Flags, f.Notify)
	if err != nil {
		return nil, err
	}
	f.Flags = flags
	return f, nil
}
