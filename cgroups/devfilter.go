package cgroups

import (
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A v2 tree has no files for devices. There a program decides each access. It
// runs in every open and mknod of a device node, so it is a straight line: the
// rules from the last to the first, because the last one that matches counts.

// deviceFilter stands for the file that v2 does not have.
const deviceFilter = "device-filter"

// String returns the rule in words: "deny c 1:3 rwm".
func (r deviceRule) String() string {
	if r.allow {
		return "allow " + r.Device.String()
	}
	return "deny " + r.Device.String()
}

func listRules(rules []deviceRule) string {
	words := make([]string, len(rules))
	for i, r := range rules {
		words[i] = r.String()
	}
	return strings.Join(words, ", ")
}

// Registers of the program. The kernel passes struct bpf_cgroup_dev_ctx, whose
// fields are loaded anew for each comparison: what the verifier knew about a
// register it would follow through all later rules, in quadratic time.
const (
	rResult = iota
	rContext
	rField
	rAccess // what is asked for and not yet allowed
)

// Offsets in the context.
const (
	offKind   = 0 // the lower half of a word
	offAccess = 0
	offMajor  = 4
	offMinor  = 8
)

// filterProgram returns the program that enforces the rules, nil if they deny
// nothing. Like on v1, everything is allowed before the first rule. Each kind of
// access is judged by itself: an open for reading and writing passes if one
// rule allows to read and another one to write.
func filterProgram(rules []deviceRule) []instruction {
	p := []instruction{
		load(unix.BPF_W, rAccess, offAccess),
		{code: unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K, regs: rAccess, imm: 16},
	}
	allowed, restricted := true, false
	for i, r := range slices.Backward(rules) {
		if r.Device == everything {
			allowed = r.allow
			break // nothing before it counts, and the verifier wants no dead code
		}
		if slices.ContainsFunc(rules[i+1:], r.isCoveredBy) {
			continue // engines list the default devices themselves
		}
		p = append(p, r.code()...)
		restricted = restricted || !r.allow
	}
	if allowed && !restricted {
		return nil
	}
	return append(p, verdict(allowed)...)
}

// isCoveredBy tells whether another rule covers all that r is about.
func (r deviceRule) isCoveredBy(other deviceRule) bool {
	return r.within(other.Device) && r.Access&^other.Access == 0
}

// code returns the instructions for one rule. They fall through to those of
// the next one unless the verdict is clear.
func (r deviceRule) code() []instruction {
	bits := r.Access.bpf()
	var act []instruction
	switch {
	case r.Access == rwm:
	case r.allow: // go on unless nothing is left to be allowed
		act = append(act,
			instruction{code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, regs: rAccess, imm: ^bits},
			instruction{code: bpfJmp32 | unix.BPF_JNE | unix.BPF_K, regs: rAccess, imm: 0, off: 2})
	default:
		act = append(act,
			instruction{code: bpfJmp32 | unix.BPF_JSET | unix.BPF_K, regs: rAccess, imm: bits, off: 1},
			instruction{code: unix.BPF_JMP | unix.BPF_JA, off: 2})
	}
	act = append(act, verdict(r.allow)...)

	var match []instruction
	unless := func(width uint8, off int16, value int64) {
		match = append(match, load(width, rField, off),
			instruction{code: bpfJmp32 | unix.BPF_JNE | unix.BPF_K, regs: rField, imm: int32(uint32(value))})
	}
	switch r.Kind {
	case 'b':
		unless(unix.BPF_H, offKind, unix.BPF_DEVCG_DEV_BLOCK)
	case 'c':
		unless(unix.BPF_H, offKind, unix.BPF_DEVCG_DEV_CHAR)
	}
	if r.Major != Wildcard {
		unless(unix.BPF_W, offMajor, r.Major)
	}
	if r.Minor != Wildcard {
		unless(unix.BPF_W, offMinor, r.Minor)
	}
	for i := 1; i < len(match); i += 2 {
		match[i].off = int16(len(match) - 1 - i + len(act))
	}
	return append(match, act...)
}

func load(width, reg uint8, off int16) instruction {
	return instruction{code: unix.BPF_LDX | unix.BPF_MEM | width, regs: reg | rContext<<4, off: off}
}

// bpfJmp32 is the class of jumps that compare 32 bits (Linux 5.1).
const bpfJmp32 = 0x06

func verdict(allow bool) []instruction {
	result := int32(0)
	if allow {
		result = 1
	}
	return []instruction{
		{code: unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_K, regs: rResult, imm: result},
		{code: unix.BPF_JMP | unix.BPF_EXIT},
	}
}

// bpf returns the set in the kernel's bits.
func (a Access) bpf() (bits int32) {
	for _, b := range [...]struct {
		access Access
		bit    int32
	}{
		{mayRead, unix.BPF_DEVCG_ACC_READ},
		{mayWrite, unix.BPF_DEVCG_ACC_WRITE},
		{mayMknod, unix.BPF_DEVCG_ACC_MKNOD},
	} {
		if a&b.access != 0 {
			bits |= b.bit
		}
	}
	return bits
}

// filterDevices attaches the program to a v2 directory, in one step with the
// removal of an earlier one of skep's. Filters of others stay; what
// one of them denies is denied. Without a program it removes skep's own, if
// there may be any.
func filterDevices(path string, program []instruction) error {
	dir, err := openFile(path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	old, err := attachedFilters(dir)
	if program == nil && cannotFilter(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer closeAll(old)
	if program != nil {
		fd, err := loadFilter(program)
		if err != nil {
			return err
		}
		defer unix.Close(fd) // the cgroup holds it
		if len(old) == 0 {
			return attachFilter(dir, fd, -1)
		}
		if err := attachFilter(dir, fd, old[0]); err != nil {
			return err
		}
		old = old[1:]
	}
	for _, fd := range old {
		if err := detachFilter(dir, fd); err != nil {
			return err
		}
	}
	return nil
}

// cannotFilter tells whether err means that there can be no filter of ours: no
// right to use bpf(2), or a kernel without it.
func cannotFilter(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS)
}

// filterHint says in the user's terms why there is no filter.
func filterHint(err error) string {
	switch {
	case errors.Is(err, unix.EPERM):
		return "restricting devices on cgroup v2 takes CAP_BPF and CAP_NET_ADMIN on the host"
	case cannotFilter(err):
		return "this kernel may lack CONFIG_CGROUP_BPF"
	}
	return ""
}
