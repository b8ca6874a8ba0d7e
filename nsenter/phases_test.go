package nsenter

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// padded is a phase whose program has an exact size.
func padded(t *testing.T, size int, steps ...plan.Step) *plan.Phase {
	t.Helper()
	fill := func(n int) *plan.Phase {
		pad := records(func(l *plan.Lowering) { l.Bytes(make([]byte, n)) })
		return &plan.Phase{Name: "padded", Steps: append(append([]plan.Step{}, steps...), pad)}
	}
	known := ^plan.SlotSet(0)
	bare, err := plan.Lower(fill(0), &known)
	if err != nil {
		t.Fatal(err)
	}
	return fill(size - bare.Size())
}

// TestPhaseSizes sends phases as messages and as memfds.
func TestPhaseSizes(t *testing.T) {
	c := launch(t, 0)
	before := descriptors(t, c.Pid)
	for i, size := range []int{1000, inlineMax - 8, inlineMax, inlineMax + 8, 100_000, 1 << 20, 512} {
		mask := 0o100 + i
		p := padded(t, size, plan.Umask{Mask: uint32(mask)})
		if _, err := c.Run(p); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if got := field(t, c.Pid, "Umask"); got != fmt.Sprintf("%04o", mask) {
			t.Errorf("after a phase of %d bytes the umask is %s, want %04o", size, got, mask)
		}
	}
	const limit = 64
	if rss := rollup(t, c, "Rss"); rss >= limit {
		t.Errorf("%d KiB stay resident after long phases", rss)
	}
	if got := descriptors(t, c.Pid); got != before {
		t.Errorf("%d descriptors are open after long phases, %d were before", got, before)
	}
}

func descriptors(t testing.TB, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestInputs hands over as many descriptors as fit, in a message and next to a memfd.
func TestInputs(t *testing.T) {
	for _, size := range []int{inlineMax - 1024, 2 * inlineMax} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			c := launch(t, 0)
			before := descriptors(t, c.Pid)
			dir := t.TempDir()
			var steps []plan.Step
			var slots []plan.Slot
			for i := range plan.MaxInputs {
				slots = append(slots, plan.Input(i))
				steps = append(steps, records(func(l *plan.Lowering) {
					l.Call(unix.SYS_WRITE, plan.Value(plan.Input(i)), l.String(fmt.Sprint(i)), plan.Imm(len(fmt.Sprint(i))))
				}))
			}
			p := padded(t, size, append(steps, plan.Close{Slots: slots})...)
			for i := range plan.MaxInputs {
				name := filepath.Join(dir, fmt.Sprint(i))
				if err := os.WriteFile(name, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				p.Take(file(name))
			}
			if _, err := c.Run(p); err != nil {
				t.Fatal(err)
			}
			for i := range plan.MaxInputs {
				if got, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(i))); err != nil || string(got) != fmt.Sprint(i) {
					t.Errorf("descriptor %d wrote %q, %v", i, got, err)
				}
			}
			if got := descriptors(t, c.Pid); got != before {
				t.Errorf("%d descriptors are open, %d were before", got, before)
			}
		})
	}
}

// TestInputsDropped sends more descriptors than the child's RLIMIT_NOFILE allows: the kernel drops some of them.
func TestInputsDropped(t *testing.T) {
	for _, size := range []int{1024, 2 * inlineMax} {
		c := launch(t, 0)
		play(t, c, plan.Rlimit{Resource: unix.RLIMIT_NOFILE, Soft: 8, Hard: 8, Name: "nofile"})
		p := padded(t, size, plan.Umask{})
		for range 6 {
			p.Take(file("/dev/null"))
		}
		_, err := c.Run(p)
		if !errors.Is(err, unix.EMFILE) || !strings.Contains(err.Error(), "receive the phase") {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// TestNoMemory sends a phase that the child cannot map.
func TestNoMemory(t *testing.T) {
	c := launch(t, 0)
	play(t, c, plan.Rlimit{Resource: unix.RLIMIT_AS, Soft: 1 << 20, Hard: 1 << 20, Name: "as"})
	_, err := c.Run(padded(t, 2<<20, plan.Umask{}))
	if !errors.Is(err, unix.ENOMEM) {
		t.Errorf("got %v", err)
	}
	play(t, c, plan.Umask{Mask: 0o77})
}

// TestSourceFails opens an input that does not exist. The child has seen nothing of that phase.
func TestSourceFails(t *testing.T) {
	c := launch(t, 0)
	p := &plan.Phase{Name: "test"}
	p.Take(file("/dev/null"))
	p.Take(file("/dev/null/none"))
	if _, err := c.Run(p); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("got %v", err)
	}
	play(t, c, plan.Umask{})
}

// TestResults reads slots after a phase: values, tolerated errnos, and any errno.
func TestResults(t *testing.T) {
	c := launch(t, 0)
	res := play(t, c,
		records(func(l *plan.Lowering) {
			l.Call(unix.SYS_GETPID).Into(plan.Result(0))
			l.Call(unix.SYS_CLOSE, plan.Imm(1000)).Into(plan.Result(1)).Tolerate(unix.EIO, unix.EBADF)
			l.Call(unix.SYS_CHDIR, l.String("/none")).Into(plan.Result(2)).Anyway()
		}),
		plan.Probe{Name: "/bin/sh", Index: 4}, plan.Probe{Name: "/etc/passwd", Index: 6}, plan.Probe{Name: "/etc", Index: 8},
		plan.Probe{Name: "/none", Index: 10},
	)
	if got := res.Slot(plan.Result(0)); got != c.Pid {
		t.Errorf("it has pid %d, not %d", got, c.Pid)
	}
	for i, want := range map[int]unix.Errno{
		0: 0, 1: unix.EBADF, 2: unix.ENOENT, 4: 0, 5: unix.ENOTDIR, 6: unix.EACCES, 7: unix.ENOTDIR, 8: 0, 9: 0, 10: unix.ENOENT,
	} {
		if got := res.Errno(plan.Result(i)); got != want {
			t.Errorf("result %d is %v, want %v", i, got, want)
		}
	}
	res = play(t, c, plan.Umask{})
	if got := res.Slot(plan.Result(0)); got != c.Pid {
		t.Errorf("the next phase finds %d in a slot, not %d", got, c.Pid)
	}
}

// TestSkips follows records that part in the middle of a phase.
func TestSkips(t *testing.T) {
	c := launch(t, 0)
	set := func(l *plan.Lowering, i, v int) {
		l.Call(unix.SYS_UMASK, plan.Imm(v))
		l.Call(unix.SYS_UMASK, plan.Imm(v)).Into(plan.Result(i))
	}
	res := play(t, c, records(func(l *plan.Lowering) {
		set(l, 0, 1)
		failed := l.Call(unix.SYS_CLOSE, plan.Imm(1000))
		set(l, 0, 2)
		failed.SkipHere(unix.EBADF)
		done := l.Call(unix.SYS_CHDIR, l.String("/"))
		set(l, 0, 3)
		done.SkipHere(0)
		missing := l.Call(unix.SYS_CHDIR, l.String("/none")).Tolerate(unix.ENOENT)
		set(l, 1, 4)
		missing.SkipHere(0)
	}))
	if a, b := res.Slot(plan.Result(0)), res.Slot(plan.Result(1)); a != 1 || b != 4 {
		t.Errorf("results are %d and %d, want 1 and 4", a, b)
	}
}

// TestFirstFailure stops a phase where it fails.
func TestFirstFailure(t *testing.T) {
	c := launch(t, 0)
	p := &plan.Phase{Name: "early", Steps: []plan.Step{
		plan.Umask{Mask: 0o11}, plan.For{Item: "process.cwd", Step: records(func(l *plan.Lowering) { l.Call(unix.SYS_FCHDIR, plan.Imm(1000)) })}, plan.Umask{Mask: 0o22},
	}}
	_, err := c.Run(p)
	var e *plan.StepError
	if !errors.As(err, &e) || e.Index != 1 || err.Error() != "process.cwd: records: fchdir: bad file descriptor" {
		t.Errorf("got %v", err)
	}
	if got := field(t, c.Pid, "Umask"); got != "0011" {
		t.Errorf("the umask is %s", got)
	}
}

// TestKernelDetail reads what the kernel says about a parameter.
func TestKernelDetail(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := pack(t, kind.user, 0)
			bad := plan.Filesystem{Type: "tmpfs", Params: []string{"size=zork"}, Into: plan.Mount}
			e := refused(t, b.Child, unix.EINVAL, plan.For{Item: "mounts[4] /dev/shm", Step: bad})
			const want = "mounts[4] /dev/shm: new tmpfs size=zork → mount: fsconfig: invalid argument (tmpfs: Bad value for 'size')"
			if got := e.Error(); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
	c := launch(t, unix.CLONE_NEWNS)
	if e := refused(t, c, unix.ENODEV, plan.Filesystem{Type: "zorkfs", Into: plan.Mount}); e.Call != "fsopen" || e.Detail != "" {
		t.Errorf("%s, detail %q", e.Call, e.Detail)
	}
}

// TestExport hands descriptors over, in a user namespace too.
func TestExport(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := pack(t, kind.user, 0)
			b.write(t, "hello", "from inside")
			res := play(t, b.Child, plan.Export{Slot: plan.Root}, plan.Export{Slot: plan.Control}, plan.Umask{})
			if len(res.Files) != 2 {
				t.Fatalf("%d descriptors", len(res.Files))
			}
			f, err := os.Open(fmt.Sprintf("/proc/self/fd/%d/hello", res.Files[plan.Root].Fd()))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if text, err := io.ReadAll(f); err != nil || string(text) != "from inside" {
				t.Errorf("%q, %v", text, err)
			}
			flags, err := unix.FcntlInt(res.Files[plan.Root].Fd(), unix.F_GETFD, 0)
			if err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("the descriptor is handed to every child: %#x, %v", flags, err)
			}
		})
	}
}

// TestExportNothing hands over a slot that never was a descriptor.
func TestExportNothing(t *testing.T) {
	c := launch(t, 0)
	nothing := records(func(l *plan.Lowering) {
		l.Call(unix.SYS_CLOSE, plan.Imm(1000)).Into(plan.Mask).Tolerate(unix.EBADF)
	})
	refused(t, c, unix.EBADF, nothing, plan.Export{Slot: plan.Mask})
}

// TestClose tolerates slots that hold nothing.
func TestClose(t *testing.T) {
	c := launch(t, 0)
	before := descriptors(t, c.Pid)
	p := &plan.Phase{Name: "test"}
	in := p.Take(file("/dev/null"))
	p.Add(plan.Keep{From: in, As: plan.Null}, plan.Close{Slots: []plan.Slot{plan.Null, plan.Null}})
	if _, err := c.Run(p); err != nil {
		t.Fatal(err)
	}
	if got := descriptors(t, c.Pid); got != before {
		t.Errorf("%d descriptors are open, %d were before", got, before)
	}
}
