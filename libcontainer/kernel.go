package libcontainer

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The oldest kernel that skep runs on: mount_setattr came with 5.12, openat2, setns with a pidfd and close_range
// before it. There is no second way of doing things for older ones.
const kernelMajor, kernelMinor = 5, 12

// checkKernel says in one sentence that the kernel is too old.
func checkKernel() error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return fmt.Errorf("uname: %w", err)
	}
	release := unix.ByteSliceToString(u.Release[:])
	if major, minor := parseRelease(release); major < kernelMajor || major == kernelMajor && minor < kernelMinor {
		return fmt.Errorf("skep needs Linux %d.%d or newer, this is %s", kernelMajor, kernelMinor, release)
	}
	return nil
}

// parseRelease reads the first two numbers of a release such as 6.1.0-18-amd64 or 5.12-rc3.
func parseRelease(release string) (major, minor int) {
	first, rest, _ := strings.Cut(release, ".")
	digits := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if digits >= 0 {
		rest = rest[:digits]
	}
	major, _ = strconv.Atoi(first)
	minor, _ = strconv.Atoi(rest)
	return major, minor
}
