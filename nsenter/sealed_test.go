package nsenter

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

const allSeals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// TestSealed tries to change the image: what runs in a container is never open for writing (CVE-2019-5736).
func TestSealed(t *testing.T) {
	fd, err := sealed(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0); err != nil || seals&allSeals != allSeals {
		t.Errorf("seals %#x, %v", seals, err)
	}
	if _, err := unix.Pwrite(fd, []byte{0}, 0); err != unix.EPERM {
		t.Errorf("writing to it: %v", err)
	}
	if err := unix.Ftruncate(fd, 0); err != unix.EPERM {
		t.Errorf("truncating it: %v", err)
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("it is handed to every child: %#x, %v", flags, err)
	}
}

// TestExe looks at the image as a container could.
func TestExe(t *testing.T) {
	c := launch(t, 0)
	play(t, c)
	link, err := os.Readlink(c.proc("exe"))
	if err != nil || !strings.HasPrefix(link, "/memfd:skep-init") {
		t.Errorf("exe is %s, %v", link, err)
	}
	exe, err := os.Open(c.proc("exe"))
	if err != nil {
		t.Fatal(err)
	}
	defer exe.Close()
	if seals, err := unix.FcntlInt(exe.Fd(), unix.F_GET_SEALS, 0); err != nil || seals&allSeals != allSeals {
		t.Errorf("seals %#x, %v", seals, err)
	}
	if fd, err := unix.Open(c.proc("exe"), unix.O_WRONLY|unix.O_CLOEXEC, 0); err != unix.ETXTBSY {
		unix.Close(fd)
		t.Errorf("opening it for writing: %v", err)
	}
}

// TestWaitingPlayer holds what a created container costs.
func TestWaitingPlayer(t *testing.T) {
	c := launch(t, 0)
	play(t, c, plan.Name{Name: "skep:[init]"})
	const limit = 64
	if rss := rollup(t, c, "Rss"); rss <= 0 || rss >= limit {
		t.Errorf("a waiting player has %d KiB resident, want less than %d", rss, limit)
	}
	if got := field(t, c.Pid, "Threads"); got != "1" {
		t.Errorf("%s threads", got)
	}
	if got := field(t, c.Pid, "Name"); got != "skep:[init]" {
		t.Errorf("it is called %s", got)
	}
	if args, err := os.ReadFile(c.proc("cmdline")); err != nil || string(args) != "skep:[init]\x00" {
		t.Errorf("its arguments are %q, %v", args, err)
	}
	if env, err := os.ReadFile(c.proc("environ")); err != nil || len(env) != 0 {
		t.Errorf("its environment is %q, %v", env, err)
	}
}

// rollup returns a line of smaps_rollup in KiB.
func rollup(t *testing.T, c *Child, name string) int {
	t.Helper()
	text, err := os.ReadFile(c.proc("smaps_rollup"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); words[0] == name+":" {
			n, err := strconv.Atoi(words[1])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in %s", name, text)
	return 0
}

// TestUnlinked executes the image from an unnamed file, in the only directory of several that allows it.
func TestUnlinked(t *testing.T) {
	dir := t.TempDir()
	fd, err := unlinked("/no/such", "/proc", noexec(t), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Errorf("it left %v in its directory, %v", names, err)
	}
	got := make([]byte, len(image())+1)
	if n, err := unix.Pread(fd, got, 0); err != nil || !bytes.Equal(got[:n], image()) {
		t.Errorf("%d bytes of it differ from the image, %v", n, err)
	}
	if _, err := unix.Write(fd, []byte{0}); err != unix.EBADF {
		t.Errorf("writing to it: %v", err)
	}
	pid, _, err := syscall.StartProcess("/proc/self/fd/"+strconv.Itoa(fd), []string{"player"}, &syscall.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	c := &Child{Pid: pid, socket: -1, pidfd: -1}
	const noParent = 120 // player.c: there is no socket to read from
	if status := c.Wait(); status.ExitStatus() != noParent {
		t.Errorf("status %#x", status)
	}
}

func TestUnlinkedNowhere(t *testing.T) {
	_, err := unlinked("/proc", noexec(t), "/no/such")
	for _, want := range []string{"vm.memfd_noexec", "/proc: ", ": mounted noexec; ", "/no/such: no such file or directory"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

// noexec is a directory on which nothing can be executed, as Debian mounts /run.
func noexec(t *testing.T) string {
	t.Helper()
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		t.Fatal(err)
	}
	mount, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(mount) })
	return "/proc/self/fd/" + strconv.Itoa(mount)
}

// TestMemfdOlderKernel asks for an executability that this kernel does not know, as kernels before 6.3 know none.
func TestMemfdOlderKernel(t *testing.T) {
	const unknown = 0x4000
	fd, err := memfd("test", unknown)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
}
