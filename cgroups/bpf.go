package cgroups

import (
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This is bpf(2) as far as a device filter needs it. A library for all of it
// costs half a millisecond of package initialisation in every command. Memory
// for programs counts as the cgroup's since Linux 5.11, so RLIMIT_MEMLOCK is no
// concern. Pointers in the attributes are 64 bits wide, as the kernel has them.

// instruction is the kernel's struct bpf_insn on a little-endian machine.
type instruction struct {
	code uint8
	regs uint8 // destination in the low half, source in the high one
	off  int16
	imm  int32
}

// progName is how skep knows its programs again (at most 15 bytes).
const progName = "skep_devices"

// maxPrograms is how many programs the kernel lets a cgroup have.
const maxPrograms = 64

type loadAttr struct {
	kind     uint32
	count    uint32
	code     *instruction
	license  *byte
	logLevel uint32
	logSize  uint32
	log      *byte
	_        [2]uint32
	name     [unix.BPF_OBJ_NAME_LEN]byte
}

type attachAttr struct {
	cgroup, program, kind, flags, replace uint32
}

type queryAttr struct {
	cgroup, kind uint32
	_            [2]uint32
	ids          *[maxPrograms]uint32
	count        uint32
	_            uint32
}

type getFdAttr struct {
	id uint32
	_  [2]uint32
}

type infoAttr struct {
	program, size uint32
	info          *progInfo
}

// progInfo is the beginning of struct bpf_prog_info.
type progInfo struct {
	_    [64]byte
	name [unix.BPF_OBJ_NAME_LEN]byte
}

func bpf[T any](cmd int, attr *T) (int, error) {
	for tries := 0; ; tries++ {
		n, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(cmd), uintptr(unsafe.Pointer(attr)), unsafe.Sizeof(*attr))
		switch {
		case errno == 0:
			return int(n), nil
		case errno == unix.EAGAIN && tries < 10:
			// The verifier gives up for a signal, and Go's scheduler sends some.
		default:
			return -1, errno
		}
	}
}

// loadFilter gives a program to the kernel. The error has what the verifier
// said last.
func loadFilter(program []instruction) (int, error) {
	attr := loadAttr{
		kind:    unix.BPF_PROG_TYPE_CGROUP_DEVICE,
		count:   uint32(len(program)),
		code:    &program[0],
		license: unsafe.StringData("Apache-2.0\x00"),
	}
	copy(attr.name[:], progName)
	fd, err := bpf(unix.BPF_PROG_LOAD, &attr)
	if err == nil {
		return fd, nil
	}
	log := make([]byte, 1<<16)
	attr.logLevel, attr.logSize, attr.log = 1, uint32(len(log)), &log[0]
	// It fails again, and tells why.
	if again, err := bpf(unix.BPF_PROG_LOAD, &attr); err == nil {
		return again, nil
	}
	if reason := lastLine(unix.ByteSliceToString(log)); reason != "" {
		return -1, fmt.Errorf("load the device filter: %w: %s", err, reason)
	}
	return -1, fmt.Errorf("load the device filter: %w", err)
}

// lastLine returns the last line of a verifier's log that is not about its
// effort.
func lastLine(log string) (last string) {
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "processed ") {
			last = line
		}
	}
	return last
}

// attachFilter lets a program judge the accesses of a cgroup, beside the
// programs of others, and instead of the program old unless that is -1.
func attachFilter(cgroup, program, old int) error {
	attr := attachAttr{
		cgroup:  uint32(cgroup),
		program: uint32(program),
		kind:    unix.BPF_CGROUP_DEVICE,
		flags:   unix.BPF_F_ALLOW_MULTI,
	}
	if old != -1 {
		attr.flags |= unix.BPF_F_REPLACE // Linux 5.6
		attr.replace = uint32(old)
	}
	if _, err := bpf(unix.BPF_PROG_ATTACH, &attr); err != nil {
		return fmt.Errorf("attach the device filter: %w", err)
	}
	return nil
}

func detachFilter(cgroup, program int) error {
	attr := attachAttr{cgroup: uint32(cgroup), program: uint32(program), kind: unix.BPF_CGROUP_DEVICE}
	if _, err := bpf(unix.BPF_PROG_DETACH, &attr); err != nil {
		return fmt.Errorf("detach the device filter: %w", err)
	}
	return nil
}

// attachedFilters opens the device filters of skep's that a cgroup has.
func attachedFilters(cgroup int) (fds []int, err error) {
	var ids [maxPrograms]uint32
	query := queryAttr{cgroup: uint32(cgroup), kind: unix.BPF_CGROUP_DEVICE, ids: &ids, count: maxPrograms}
	if _, err := bpf(unix.BPF_PROG_QUERY, &query); err != nil {
		return nil, fmt.Errorf("look for device filters: %w", err)
	}
	for _, id := range ids[:query.count] {
		fd, err := bpf(unix.BPF_PROG_GET_FD_BY_ID, &getFdAttr{id: id})
		if err == unix.ENOENT {
			continue // detached by now
		}
		if err == nil {
			fds = append(fds, fd)
			err = keepOurs(&fds)
		}
		if err != nil {
			closeAll(fds)
			return nil, fmt.Errorf("look at device filter %d: %w", id, err)
		}
	}
	return fds, nil
}

// keepOurs closes and forgets the last program unless it is skep's.
func keepOurs(fds *[]int) error {
	last := len(*fds) - 1
	fd := (*fds)[last]
	var info progInfo
	attr := infoAttr{program: uint32(fd), size: uint32(unsafe.Sizeof(info)), info: &info}
	if _, err := bpf(unix.BPF_OBJ_GET_INFO_BY_FD, &attr); err != nil {
		return err
	}
	if unix.ByteSliceToString(info.name[:]) != progName {
		unix.Close(fd)
		*fds = (*fds)[:last]
	}
	return nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
