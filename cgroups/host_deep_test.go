package cgroups

import (
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A container that nests cgroups deeper than a path can tell is listed, signalled and removed like any other.
func testDeep(t *testing.T, l Layout) {
	const levels = 20
	name := strings.Repeat("n", 250) // 20 of them are more than PATH_MAX
	g := create(t, l, "/a")
	c := join(t, g, "exec sleep 100")
	for _, d := range g.dirs {
		fd, err := openFile(d.path, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			t.Fatal(err)
		}
		for range levels {
			if err := unix.Mkdirat(fd, name, 0o755); err != nil {
				t.Fatal(err)
			}
			below, err := unix.Openat(fd, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			unix.Close(fd)
			if fd = below; err != nil {
				t.Fatal(err)
			}
		}
		if !d.has("cpuset") { // which takes nobody before it has CPUs
			moveTo(t, fd, c.Process.Pid)
		}
		unix.Close(fd)
	}
	expectProcs(t, g, c.Process.Pid)
	if err := g.Kill(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-c.dead
	end(t, g)
}

func moveTo(t *testing.T, dir, pid int) {
	t.Helper()
	fd, err := unix.Openat(dir, "cgroup.procs", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(strconv.Itoa(pid))); err != nil {
		t.Fatal(err)
	}
}
