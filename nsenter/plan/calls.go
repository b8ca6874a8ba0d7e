package plan

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// callName names a system call for error messages; only those that steps use.
func callName(nr int32) string {
	switch nr {
	case poke:
		return ""
	case expect:
		return "check"
	case load:
		return ""
	}
	for _, c := range calls() {
		if c.nr == int(nr) {
			return c.name
		}
	}
	return "system call " + strconv.Itoa(int(nr))
}

type syscallName struct {
	nr   int
	name string
}

func calls() []syscallName {
	return []syscallName{
		{unix.SYS_CAPSET, "capset"}, {unix.SYS_CHDIR, "chdir"}, {unix.SYS_CHROOT, "chroot"},
		{unix.SYS_CLONE, "clone"}, {unix.SYS_CLONE3, "clone3"}, {unix.SYS_CLOSE, "close"}, {unix.SYS_CLOSE_RANGE, "close_range"}, {unix.SYS_DUP3, "dup3"},
		{unix.SYS_EXECVE, "execve"}, {unix.SYS_EXIT_GROUP, "exit_group"}, {unix.SYS_FACCESSAT, "faccessat"}, {unix.SYS_FCHDIR, "fchdir"},
		{unix.SYS_FCHMODAT, "fchmodat"}, {unix.SYS_FCHOWN, "fchown"}, {unix.SYS_FCHOWNAT, "fchownat"},
		{unix.SYS_FCNTL, "fcntl"}, {unix.SYS_FSCONFIG, "fsconfig"}, {unix.SYS_FSETXATTR, "fsetxattr"}, {unix.SYS_FSMOUNT, "fsmount"},
		{unix.SYS_FSOPEN, "fsopen"}, {unix.SYS_FSTATFS, "fstatfs"},
		{unix.SYS_IOCTL, "ioctl"}, {unix.SYS_IOPRIO_SET, "ioprio_set"}, {unix.SYS_KEYCTL, "keyctl"},
		{unix.SYS_MKDIRAT, "mkdirat"}, {unix.SYS_MKNODAT, "mknodat"},
		{unix.SYS_MOUNT, "mount"}, {unix.SYS_MOUNT_SETATTR, "mount_setattr"}, {unix.SYS_MOVE_MOUNT, "move_mount"},
		{unix.SYS_OPENAT2, "openat2"}, {unix.SYS_OPEN_TREE, "open_tree"}, {unix.SYS_PIVOT_ROOT, "pivot_root"},
		{unix.SYS_PERSONALITY, "personality"}, {unix.SYS_PRCTL, "prctl"}, {unix.SYS_PRLIMIT64, "prlimit64"}, {unix.SYS_READ, "read"},
		{unix.SYS_RT_SIGACTION, "rt_sigaction"}, {unix.SYS_RT_SIGPROCMASK, "rt_sigprocmask"},
		{unix.SYS_SCHED_SETAFFINITY, "sched_setaffinity"}, {unix.SYS_SCHED_SETATTR, "sched_setattr"},
		{unix.SYS_SECCOMP, "seccomp"}, {unix.SYS_SENDFILE, "sendfile"}, {unix.SYS_SENDMSG, "sendmsg"}, {unix.SYS_SETDOMAINNAME, "setdomainname"},
		{unix.SYS_SETGROUPS, "setgroups"}, {unix.SYS_SETHOSTNAME, "sethostname"}, {unix.SYS_SETNS, "setns"}, {unix.SYS_SET_MEMPOLICY, "set_mempolicy"},
		{unix.SYS_SETRESGID, "setresgid"},
		{unix.SYS_SETRESUID, "setresuid"}, {unix.SYS_SETSID, "setsid"}, {unix.SYS_SOCKET, "socket"},
		{unix.SYS_STATX, "statx"}, {unix.SYS_SYMLINKAT, "symlinkat"}, {unix.SYS_UMASK, "umask"},
		{unix.SYS_UMOUNT2, "umount2"}, {unix.SYS_UNLINKAT, "unlinkat"}, {unix.SYS_UNSHARE, "unshare"},
		{unix.SYS_UTIMENSAT, "utimensat"}, {unix.SYS_WRITE, "write"},
	}
}
