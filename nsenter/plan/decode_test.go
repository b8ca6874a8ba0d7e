package plan

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// decoded is a program as the player reads it.
type decoded struct {
	input, inMemfd uint8
	size           uint32
	records        []decodedRecord
	relocs         []uint32
	data           []byte
}

type decodedRecord struct {
	nr         int32
	kinds      [6]uint16
	store, any uint8
	on         [outcomes]outcome
	args       [6]uint64
}

// decode reads a program, independently of the code that wrote it.
func decode(t testing.TB, b []byte) *decoded {
	t.Helper()
	e := binary.NativeEndian
	if len(b) < 16 {
		t.Fatalf("program of %d bytes", len(b))
	}
	recs, relocs := int(e.Uint32(b)), int(e.Uint32(b[4:]))
	d := &decoded{size: e.Uint32(b[8:]), input: b[12], inMemfd: b[13]}
	rest := b[16:]
	for range recs {
		r := decodedRecord{nr: int32(e.Uint32(rest)), store: rest[6], any: rest[7]}
		for i := range r.kinds {
			r.kinds[i] = e.Uint16(rest[4:]) >> (2 * i) & 3
			r.args[i] = e.Uint64(rest[24+8*i:])
		}
		for i := range r.on {
			r.on[i] = outcome{int16(e.Uint16(rest[8+4*i:])), e.Uint16(rest[10+4*i:])}
		}
		d.records = append(d.records, r)
		rest = rest[72:]
	}
	for i := range relocs {
		d.relocs = append(d.relocs, e.Uint32(rest[4*i:]))
	}
	d.data = rest[(relocs+1)/2*8:]
	return d
}

// text prints the records, with arguments as their call takes them.
func (d *decoded) text() string {
	var b strings.Builder
	for i := range d.records {
		r := &d.records[i]
		b.WriteString("    ")
		if r.store != noStore {
			b.WriteString(Slot(r.store).String() + " = ")
		}
		name, format := callFormat(r.nr)
		args := make([]string, len(format))
		for k, how := range format {
			args[k] = d.arg(r, k, how)
		}
		b.WriteString(name + "(" + strings.Join(args, ", ") + ")")
		if r.any != 0 {
			b.WriteString(" whatever errno")
		}
		for _, o := range r.on {
			if o.result == noOutcome {
				continue
			}
			b.WriteString("; " + resultName(o.result))
			if o.skip > 0 {
				b.WriteString(" skips " + strconv.Itoa(int(o.skip)))
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func resultName(r int16) string {
	if r == 0 {
		return "0"
	}
	return unix.ErrnoName(unix.Errno(-r))
}

// callFormat names a call and says how to print its arguments: n a number, x hexadecimal, s a string, v a vector
// of strings, h a struct open_how, b sixteen bytes, B thirty-two.
func callFormat(nr int32) (name, format string) {
	switch nr {
	case poke:
		return "poke", "nn"
	case expect:
		return "expect", "nxxn"
	case load:
		return "load", "nx"
	}
	name = callName(nr)
	switch name {
	case "openat2":
		return name, "nshn"
	case "mkdirat", "unlinkat", "faccessat":
		return name, "nsn"
	case "mknodat":
		return name, "nsxx"
	case "symlinkat":
		return name, "sns"
	case "fchmodat":
		return name, "nsx"
	case "fstatfs":
		return name, "nn"
	case "fchownat":
		return name, "nsnnx"
	case "statx":
		return name, "nsxxn"
	case "mount":
		return name, "sssxs"
	case "open_tree":
		return name, "nsx"
	case "move_mount":
		return name, "nsnsx"
	case "mount_setattr":
		return name, "nsxBn"
	case "fsopen":
		return name, "sn"
	case "fsconfig":
		return name, "nnss"
	case "pivot_root":
		return name, "ss"
	case "chdir", "chroot":
		return name, "s"
	case "umount2", "sethostname", "setdomainname":
		return name, "sn"
	case "write":
		return name, "nsn"
	case "execve":
		return name, "svv"
	case "prlimit64":
		return name, "nnbn"
	case "fchown":
		return name, "nxx"
	case "prctl":
		return name, "nnn"
	}
	return name, "nnnnn"
}

func (d *decoded) arg(r *decodedRecord, k int, how rune) string {
	v := r.args[k]
	switch r.kinds[k] {
	case slotValue:
		return Slot(v).String()
	case slotAddr:
		return "&" + Slot(v).String()
	case immediate:
		if how == 'x' {
			return fmt.Sprintf("%#x", v)
		}
		return strconv.FormatInt(int64(v), 10)
	}
	switch how {
	case 's':
		return strconv.Quote(d.str(v))
	case 'v':
		var words []string
		for ; d.word(v) != 0; v += 8 {
			words = append(words, strconv.Quote(d.str(d.word(v))))
		}
		return "[" + strings.Join(words, " ") + "]"
	case 'h':
		return openWords(d.word(v), d.word(v+16))
	case 'b':
		return fmt.Sprintf("{%#x %#x}", d.word(v), d.word(v+8))
	case 'B':
		return fmt.Sprintf("{%#x %#x %#x}", d.word(v), d.word(v+8), d.word(v+16))
	}
	return "data+" + strconv.FormatUint(v, 10)
}

func (d *decoded) word(at uint64) uint64 { return binary.NativeEndian.Uint64(d.data[at:]) }

func (d *decoded) str(at uint64) string {
	s, _, ok := strings.Cut(string(d.data[at:]), "\x00")
	if !ok {
		return "unterminated: " + s
	}
	return s
}

// openWords prints open flags by name, for their numbers differ between architectures.
func openWords(flags, resolve uint64) string {
	var words []string
	take := func(v *uint64, bit uint64, name string) {
		if *v&bit != 0 {
			words = append(words, name)
			*v &^= bit
		}
	}
	take(&flags, unix.O_PATH, "path")
	take(&flags, unix.O_WRONLY, "wronly")
	take(&flags, unix.O_RDWR, "rdwr")
	take(&flags, unix.O_CLOEXEC, "cloexec")
	take(&flags, unix.O_DIRECTORY, "directory")
	take(&flags, unix.O_NOCTTY, "noctty")
	take(&resolve, unix.RESOLVE_IN_ROOT, "in-root")
	take(&resolve, unix.RESOLVE_BENEATH, "beneath")
	take(&resolve, unix.RESOLVE_NO_MAGICLINKS, "no-magiclinks")
	take(&resolve, unix.RESOLVE_NO_SYMLINKS, "no-symlinks")
	take(&resolve, unix.RESOLVE_NO_XDEV, "no-xdev")
	if flags|resolve != 0 {
		words = append(words, fmt.Sprintf("%#x %#x", flags, resolve))
	}
	return "{" + strings.Join(words, " ") + "}"
}
