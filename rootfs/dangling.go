package rootfs

import (
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symlinks the kernel follows in one lookup.
const maxLinks = 40

// dangling returns where a name leads that is missing in the image and leads through symlinks, or nothing. An image
// whose /var/run is a link to a /run that it does not have is usual, and openat2 makes no directories. The answer is
// the image's, without what the configuration mounts over it: init uses it only where the name itself leads nowhere,
// and resolves it like any other below the root.
func dangling(root *os.File, name string) string {
	if root == nil {
		return ""
	}
	dir := int(root.Fd())
	if _, err := look(dir, name, 0); err != unix.ENOENT {
		return ""
	}
	found, links := "/", 0
	for rest := split(name); len(rest) > 0; {
		next := path.Join(found, rest[0]) // `..` of the root is the root
		target, err := look(dir, next, unix.O_NOFOLLOW)
		rest = rest[1:]
		switch {
		case err != nil && err != unix.ENOENT, links > maxLinks:
			return ""
		case target == "":
			found = next
		default:
			links++
			rest = append(split(target), rest...)
			if path.IsAbs(target) {
				found = "/"
			}
		}
	}
	if links == 0 {
		return ""
	}
	return found
}

// split returns the parts of a path, `..` among them.
func split(name string) []string {
	return strings.FieldsFunc(name, func(r rune) bool { return r == '/' })
}

// look finds a name below the image's root and returns the target if it is a symlink that is not followed.
func look(dir int, name string, flags uint64) (target string, err error) {
	fd, err := unix.Openat2(dir, name, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC | flags, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	if flags&unix.O_NOFOLLOW == 0 {
		return "", nil
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	if err != nil { // ENOENT tells that it is none
		return "", nil
	}
	return string(buf[:n]), nil
}
