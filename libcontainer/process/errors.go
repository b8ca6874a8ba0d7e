package process

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// ExecError explains to the user why execve of a file that had been found failed. It wraps the errno.
func ExecError(path string, errno unix.Errno) error {
	if hint := execHint(errno); hint != "" {
		return fmt.Errorf("exec: %q: %w (%s)", path, errno, hint)
	}
	return fmt.Errorf("exec: %q: %w", path, errno)
}

func execHint(errno unix.Errno) string {
	switch errno {
	case unix.ENOENT:
		return "the file was there when it was looked up: is the interpreter of its #! line, or its ELF loader, in the container?"
	case unix.ENOEXEC:
		return "built for another architecture, or a script without a #! line?"
	case unix.EACCES:
		return "the file or its interpreter must be executable for the process's user, on a mount without noexec; a security module may refuse too"
	case unix.EPERM:
		return "its file capabilities exceed the bounding set, or the seccomp filter or a security module refuses"
	case unix.ENOSYS:
		return "the seccomp filter does not know execve"
	case unix.ETXTBSY:
		return "somebody has the file open for writing"
	case unix.E2BIG:
		return "process.args and process.env together exceed a quarter of RLIMIT_STACK, or one of them 128 KiB"
	case unix.ENOMEM:
		return "the memory limit or RLIMIT_AS is too low"
	case unix.EAGAIN:
		return "the user has more processes than RLIMIT_NPROC allows"
	case unix.ENOTDIR, unix.ELOOP:
		return "the path of the file or of its interpreter leads nowhere"
	case unix.ELIBBAD:
		return "its ELF loader is not one"
	}
	return ""
}
