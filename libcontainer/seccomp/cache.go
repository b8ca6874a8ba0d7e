package seccomp

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const (
	// maxEntries bounds the cache: a host has a handful of profiles.
	maxEntries = 256
	// maxEntrySize is more than a program of maxInsns and its warnings take.
	maxEntrySize = 1 << 20
	// entryMagic begins every entry. Its number grows with the format and with
	// each change of the programs that Compile makes.
	entryMagic = "skepbpf1"
	// headerSize is what precedes the program: the magic, the checksum of what
	// follows it, the key, and the program's length in bytes.
	headerSize = len(entryMagic) + 2*sha256.Size + 4
)

// Cached is Compile with the programs kept in dir, an absolute path whose
// parent exists. It makes dir with mode 0700 if it is missing. Unless dir is a
// directory of the effective user's that nobody else has access to, it is not
// used: whoever could write there could weaken every filter. No trouble with
// the cache is an error; it is told in Filter.Warnings.
func Cached(dir string, p *specs.LinuxSeccomp) (*Filter, error) {
	if !enabled(p) {
		return nil, nil
	}
	cache, err := openCache(dir)
	if err != nil {
		return compileUncached(p, fmt.Errorf("seccomp cache %s: %w", dir, err))
	}
	defer cache.close()

	key := cacheKey(p)
	if bpf, warnings, ok := cache.load(key); ok {
		return newFilter(bpf, warnings, p)
	}
	bpf, warnings, err := compile(p)
	if err != nil {
		return nil, err
	}
	if err := cache.store(key, bpf, warnings); err != nil {
		warnings = append(warnings, fmt.Sprintf("seccomp cache %s: %v", dir, err))
	}
	return newFilter(bpf, warnings, p)
}

func compileUncached(p *specs.LinuxSeccomp, reason error) (*Filter, error) {
	f, err := Compile(p)
	if err == nil {
		f.Warnings = append(f.Warnings, reason.Error())
	}
	return f, err
}

// cacheKey returns the hash of everything that the program depends on. Flags
// and the listener are not part of it: they are worked out at each use.
//
// The fields are written one after the other, strings and lists preceded by
// their length, so that no two profiles have the same encoding. This takes 5 µs
// for Docker's profile. Marshalling it to JSON takes 35 µs the first time in a
// process, almost as long as a whole cached load.
func cacheKey(p *specs.LinuxSeccomp) [sha256.Size]byte {
	b := make([]byte, 0, 16<<10)
	for _, s := range []string{entryMagic, Version(), runtime.GOARCH, string(p.DefaultAction)} {
		b = appendString(b, s)
	}
	b = appendOptional(b, p.DefaultErrnoRet)
	b = appendStrings(b, p.Architectures)
	b = binary.AppendUvarint(b, uint64(len(p.Syscalls)))
	for _, call := range p.Syscalls {
		b = appendStrings(b, call.Names)
		b = appendString(b, string(call.Action))
		b = appendOptional(b, call.ErrnoRet)
		b = binary.AppendUvarint(b, uint64(len(call.Args)))
		for _, arg := range call.Args {
			b = binary.AppendUvarint(b, uint64(arg.Index))
			b = binary.AppendUvarint(b, arg.Value)
			b = binary.AppendUvarint(b, arg.ValueTwo)
			b = appendString(b, string(arg.Op))
		}
	}
	return sha256.Sum256(b)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendStrings[S ~string](b []byte, list []S) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendString(b, string(s))
	}
	return b
}

func appendOptional(b []byte, n *uint) []byte {
	if n == nil {
		return append(b, 0)
	}
	return binary.AppendUvarint(append(b, 1), uint64(*n))
}

// A cache is an open cache directory. Everything in it is reached through the
// descriptor, so that no path is resolved twice.
type cache struct{ fd int }

func openCache(dir string) (cache, error) {
	if err := unix.Mkdir(dir, 0o700); err != nil && err != unix.EEXIST {
		return cache{}, fmt.Errorf("mkdir: %w", err)
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return cache{}, fmt.Errorf("open: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return cache{}, fmt.Errorf("stat: %w", err)
	}
	if int(st.Uid) != os.Geteuid() || st.Mode&0o077 != 0 {
		unix.Close(fd)
		return cache{}, fmt.Errorf("owned by uid %d with mode %04o, want uid %d and 0700", st.Uid, st.Mode&0o7777, os.Geteuid())
	}
	return cache{fd}, nil
}

func (c cache) close() { unix.Close(c.fd) }

// load returns the program and the warnings stored under key, if there is an
// intact entry.
func (c cache) load(key [sha256.Size]byte) (bpf []byte, warnings []string, ok bool) {
	entry, err := c.read(hex.EncodeToString(key[:]))
	if err != nil {
		return nil, nil, false
	}
	return decodeEntry(key, entry)
}

func (c cache) read(name string) ([]byte, error) {
	// O_NONBLOCK: a fifo in place of an entry must not block.
	fd, err := unix.Openat(c.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size > maxEntrySize {
		return nil, unix.EINVAL
	}
	entry := make([]byte, st.Size)
	n, err := unix.Read(fd, entry)
	if err != nil {
		return nil, err
	}
	return entry[:n], nil
}

func encodeEntry(key [sha256.Size]byte, bpf []byte, warnings []string) []byte {
	b := append(make([]byte, 0, headerSize+len(bpf)), entryMagic...)
	b = append(b, make([]byte, sha256.Size)...)
	b = append(b, key[:]...)
	b = binary.NativeEndian.AppendUint32(b, uint32(len(bpf)))
	b = append(b, bpf...)
	b = append(b, strings.Join(warnings, "\n")...)
	sum := sha256.Sum256(b[len(entryMagic)+sha256.Size:])
	copy(b[len(entryMagic):], sum[:])
	return b
}

func decodeEntry(key [sha256.Size]byte, b []byte) (bpf []byte, warnings []string, ok bool) {
	if len(b) < headerSize || string(b[:len(entryMagic)]) != entryMagic {
		return nil, nil, false
	}
	stored, content := b[len(entryMagic):][:sha256.Size], b[len(entryMagic)+sha256.Size:]
	sum := sha256.Sum256(content)
	if !bytes.Equal(stored, sum[:]) || !bytes.Equal(content[:sha256.Size], key[:]) {
		return nil, nil, false
	}
	size, rest := binary.NativeEndian.Uint32(content[sha256.Size:]), b[headerSize:]
	if uint64(size) > uint64(len(rest)) || checkProgram(rest[:size]) != nil {
		return nil, nil, false
	}
	if text := string(rest[size:]); text != "" {
		warnings = strings.Split(text, "\n")
	}
	return rest[:size:size], warnings, true
}

// store writes an entry under a name of its own and renames it, so that a
// reader sees the whole entry or none. It is not synced to the disk: the
// checksum finds what a crash leaves behind.
func (c cache) store(key [sha256.Size]byte, bpf []byte, warnings []string) error {
	c.prune()
	temp := ".tmp-" + rand.Text()
	fd, err := unix.Openat(c.fd, temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	file := os.NewFile(uintptr(fd), temp)
	_, err = file.Write(encodeEntry(key, bpf, warnings))
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = unix.Renameat(c.fd, temp, c.fd, hex.EncodeToString(key[:]))
	}
	if err != nil {
		unix.Unlinkat(c.fd, temp, 0)
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// prune makes room for one more entry by removing the oldest ones, with what
// crashed writers left.
func (c cache) prune() {
	names := c.names()
	if len(names) < maxEntries {
		return
	}
	type entry struct {
		name    string
		written int64
	}
	entries := make([]entry, 0, len(names))
	for _, name := range names {
		var st unix.Stat_t
		if unix.Fstatat(c.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
			entries = append(entries, entry{name, st.Mtim.Nano()})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.written, b.written) })
	for _, e := range entries[:max(0, len(entries)-maxEntries+1)] {
		unix.Unlinkat(c.fd, e.name, 0) // Somebody else may have removed it.
	}
}

func (c cache) names() []string {
	fd, err := unix.Openat(c.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	d := os.NewFile(uintptr(fd), "seccomp cache")
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	return names
}
