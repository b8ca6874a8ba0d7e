package plan

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzLower feeds odd names through every step that takes one, and reads the program back: whatever is lowered
// must stay inside the phase, and strings must arrive as they were given.
func FuzzLower(f *testing.F) {
	for _, name := range []string{"", "/", "//", ".", "..", "/../..", "a//b/", "/a/./b/..", "é", "a\x00b", strings.Repeat("/x", 300)} {
		f.Add(name, "value", uint8(Directory))
	}
	f.Fuzz(func(t *testing.T, name, value string, make uint8) {
		p := &Phase{Name: "fuzz", Steps: []Step{
			Mkdirs{In(name)}, Mknod{At: Real(name), Mode: unix.S_IFIFO}, Symlink{Target: value, At: In(name), Replace: true},
			Attach{Mount: Mount, At: In(name), Make: Make(make % 3)}, Hide{In(name)}, Protect{In(name)},
			Filesystem{Type: name, Source: value, Params: []string{name, value}, Into: Mount},
			WriteFile{Name: name, Value: value}, Export{Mount},
			Exec{Path: name, Args: []string{name, value}, Env: []string{value}},
		}}
		known := everySlot
		program, err := Lower(p, &known)
		if nul := strings.Contains(name+value, "\x00"); nul != (err != nil) {
			t.Fatalf("name %q, value %q: %v", name, value, err)
		}
		if err != nil {
			return
		}
		encoded := program.Encode(false)
		d := decode(t, encoded)
		if int(d.size) != len(encoded) {
			t.Fatalf("%d bytes, the header says %d", len(encoded), d.size)
		}
		for i := range d.records {
			checkRecord(t, d, i)
		}
		for _, at := range d.relocs {
			if int(at)+8 > len(d.data) || d.word(uint64(at)) > uint64(len(d.data)) {
				t.Fatalf("relocation at %d of %d", at, len(d.data))
			}
		}
		exec := &d.records[len(d.records)-1]
		for k, want := range []string{name, value} {
			if got := d.str(d.word(exec.args[1] + 8*uint64(k))); got != want {
				t.Fatalf("argument %q arrives as %q", want, got)
			}
		}
	})
}

func checkRecord(t *testing.T, d *decoded, i int) {
	r := &d.records[i]
	for k, kind := range r.kinds {
		switch {
		case kind == data && r.args[k] > uint64(len(d.data)):
			t.Fatalf("record %d points to %d of %d", i, r.args[k], len(d.data))
		case (kind == slotValue || kind == slotAddr) && r.args[k] >= Slots:
			t.Fatalf("record %d names slot %d", i, r.args[k])
		}
	}
	for _, o := range r.on {
		if o.result != noOutcome && i+1+int(o.skip) > len(d.records) {
			t.Fatalf("record %d skips %d of %d", i, o.skip, len(d.records))
		}
	}
}

// BenchmarkLower is a rootfs phase of 60 steps, lowered and encoded.
func BenchmarkLower(b *testing.B) {
	p := &Phase{Name: "rootfs"}
	for range 12 {
		p.Add(
			Filesystem{Type: "tmpfs", Source: "tmpfs", Params: []string{"mode=755", "size=65536k"}, Into: Mount},
			Attach{Mount: Mount, At: Real("/dev/shm"), Make: Directory},
			Mknod{At: Real("/dev/null"), Mode: unix.S_IFCHR | 0o666, Major: 1, Minor: 3},
			Hide{In("/proc/kcore")},
			Protect{In("/proc/sys")},
		)
	}
	b.ReportAllocs()
	for b.Loop() {
		known := everySlot
		program, err := Lower(p, &known)
		if err != nil {
			b.Fatal(err)
		}
		program.Encode(true)
	}
}
