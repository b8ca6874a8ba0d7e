package process

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// passwdMax bounds how much of an /etc/passwd is read, in bytes: it is the image's file.
const passwdMax = 8 << 20

// Home returns the home directory of a user by the container's /etc/passwd, never by the host's, or "/" where that
// does not tell. root is a descriptor of the container's root directory; O_PATH is enough.
func Home(root *os.File, uid uint32) string {
	f, err := openRegular(int(root.Fd()), "etc/passwd")
	if err != nil {
		return "/"
	}
	defer f.Close()
	return homeIn(f, uid)
}

// homeIn reads passwd(5) lines: name, password, uid, gid, comment, home, shell.
func homeIn(passwd io.Reader, uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	lines := bufio.NewScanner(io.LimitReader(passwd, passwdMax))
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) < 6 || fields[2] != id {
			continue
		}
		if home := fields[5]; strings.HasPrefix(home, "/") && strings.IndexByte(home, 0) < 0 {
			return home
		}
		break
	}
	return "/"
}

// openRegular opens a regular file below root for reading. The file is looked at before it is opened: opening a
// FIFO could wait, and opening a device node of the image would reach the host's device. Files of the kernel look
// regular, too, but reading /proc/kmsg waits, and takes the host's messages away.
func openRegular(root int, name string) (*os.File, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := -1, error(unix.EAGAIN)
	// A lookup of `..` below a root fails when anything on the host was mounted or renamed meanwhile.
	for tries := 128; err == unix.EAGAIN && tries > 0; tries-- {
		fd, err = unix.Openat2(root, name, &how)
	}
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size == 0 {
		return nil, unix.EINVAL
	}
	var filesystem unix.Statfs_t
	if err := unix.Fstatfs(fd, &filesystem); err != nil {
		return nil, err
	}
	if filesystem.Type == unix.PROC_SUPER_MAGIC || filesystem.Type == unix.SYSFS_MAGIC {
		return nil, unix.EINVAL
	}
	return os.OpenFile("/proc/self/fd/"+strconv.Itoa(fd), os.O_RDONLY, 0)
}
