// Package nsenter starts the player, the freestanding C that runs in a container between clone and execve, and
// plays phases on it. A Go runtime never boots in a container: the sealed player is one thread of some 30 KB,
// where a re-executed Go program would be five threads of some 4 MB.
package nsenter

/*
// Small, and without vector registers: their constants would be data outside the player's section, and the stack
// that the kernel starts it on is not aligned as a C function expects. These win over CGO_CFLAGS.
#cgo CFLAGS: -Os -fno-strict-aliasing -fno-stack-protector
#cgo amd64 CFLAGS: -mno-sse
extern const char __start_player, __stop_player;
extern void player_start(void);
*/
import "C"

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// code returns the player's machine code as the linker placed it, and where in it the player starts. The linker
// defines the __start_ and __stop_ symbols for any section whose name is an identifier.
func code() (text []byte, entry int) {
	start := unsafe.Pointer(&C.__start_player)
	size := uintptr(unsafe.Pointer(&C.__stop_player)) - uintptr(start)
	return unsafe.Slice((*byte)(start), size), int(uintptr(C.player_start) - uintptr(start))
}

// image returns an ELF executable that holds the player and nothing else: one read-only, executable segment, and
// a stack that is not executable.
func image() []byte {
	const (
		base      = 0x400000
		fileHead  = 64
		segHead   = 56
		head      = fileHead + 2*segHead
		exec      = 2
		load      = 1
		stack     = 0x6474e551
		readExec  = 5
		readWrite = 6
	)
	text, entry := code()
	size := uint64(head + len(text))
	e := binary.NativeEndian
	b := make([]byte, 0, size)
	b = append(b, "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	half := func(vs ...uint16) {
		for _, v := range vs {
			b = e.AppendUint16(b, v)
		}
	}
	segment := func(kind, flags uint32, words ...uint64) {
		b = e.AppendUint32(b, kind)
		b = e.AppendUint32(b, flags)
		for _, w := range words {
			b = e.AppendUint64(b, w)
		}
	}
	half(exec, machine())
	b = e.AppendUint32(b, 1)
	b = e.AppendUint64(b, uint64(base+head+entry))
	b = e.AppendUint64(b, fileHead)
	b = e.AppendUint64(b, 0)
	b = e.AppendUint32(b, 0)
	half(fileHead, segHead, 2, 0, 0, 0)
	segment(load, readExec, 0, base, base, size, size, 4096)
	segment(stack, readWrite, 0, 0, 0, 0, 0, 16)
	return append(b, text...)
}

func machine() uint16 {
	if runtime.GOARCH == "arm64" {
		return 183
	}
	return 62
}

// sealed returns a descriptor of the image that nobody can write any more. The container's /proc/self/exe is this
// file and never the host's binary, which ends the class of CVE-2019-5736.
func sealed(tmp string) (int, error) {
	fd, err := memfd("skep-init", unix.MFD_EXEC)
	if err == unix.EACCES { // vm.memfd_noexec=2
		return unlinked(tmp, "/var/tmp", "/tmp")
	}
	if err != nil {
		return -1, fmt.Errorf("memfd_create: %w", err)
	}
	if err := fill(fd, image()); err != nil {
		unix.Close(fd)
		return -1, err
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("seal the init image: %w", err)
	}
	return fd, nil
}

// memfd asks for the given executability, which kernels before 6.3 do not know.
func memfd(name string, exec int) (int, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|exec)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate(name, flags)
	}
	return fd, err
}

// unlinked keeps the image in an unnamed file, in the first of the directories that lets it be executed: the state
// directory is usually below /run, which distributions mount noexec.
func unlinked(dirs ...string) (int, error) {
	reasons := make([]string, len(dirs))
	for i, dir := range dirs {
		fd, err := unlinkedIn(dir)
		if err == nil {
			return fd, nil
		}
		reasons[i] = dir + ": " + err.Error()
	}
	return -1, fmt.Errorf("no executable file for init: memfds may not be executed here (vm.memfd_noexec), and no unnamed file can be in %s",
		strings.Join(reasons, "; "))
}

// unlinkedIn reopens the file read-only: execve refuses one that is open for writing.
func unlinkedIn(dir string) (int, error) {
	w, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o500)
	if err != nil {
		return -1, err
	}
	defer unix.Close(w)
	var st unix.Statfs_t
	if err := unix.Fstatfs(w, &st); err != nil {
		return -1, err
	}
	if st.Flags&unix.ST_NOEXEC != 0 {
		return -1, errors.New("mounted noexec")
	}
	if err := fill(w, image()); err != nil {
		return -1, err
	}
	return unix.Open("/proc/self/fd/"+strconv.Itoa(w), unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

func fill(fd int, b []byte) error {
	n, err := unix.Write(fd, b)
	if err == nil && n != len(b) {
		err = unix.ENOSPC
	}
	if err != nil {
		return os.NewSyscallError("write", err)
	}
	return nil
}
