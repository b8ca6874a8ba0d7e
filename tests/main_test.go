// Package tests drives a built runtime as its callers do: by its command
// line, as root, with real containers. SKEP_BINARY names the runtime under
// test; without it skep is built once.
//
// Each test compares the machine before and after (see leakCheck), and the
// process of the tests is the subreaper of all they start, so that nothing a
// runtime leaves behind goes unseen.
//
// SKEP_CGROUP_DRIVER=systemd has systemd make the cgroups, on a host that runs
// it. The tests of what only the other driver does run as ever then.
//
// The machine needs a static busybox, capsh, taskset, and runc and crun as the peers of
// tests named TestPeers.
package tests

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"skep/tests/internal/signals"
)

// innerEnv marks the second process of TestMain, which has a mount namespace
// of its own.
const innerEnv = "SKEP_TESTS_INNER"

// suite is what all tests share; main fills it in before the first one runs.
var suite struct {
	binary  string       // the runtime under test
	dir     string       // scratch directory of the run
	image   string       // the root filesystem that bundles are made from
	mark    string       // part of every container id and cgroup path of this run
	cgroups []cgroupRoot // mounted hierarchies
	driver  driver       // who makes the cgroups of containers
}

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.list").Value.String() != "" {
		os.Exit(m.Run()) // needs nothing of what follows
	}
	run := isolate
	if os.Getenv(innerEnv) != "" || os.Geteuid() != 0 && onlyRootless() {
		run = func() (int, error) { return inner(m) }
	}
	code, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "tests:", err)
		code = 1
	}
	os.Exit(code)
}

// isolate runs the test binary again in a new mount namespace: a mount that
// somebody else makes during the run would look like a leak.
func isolate() (int, error) {
	if os.Geteuid() != 0 {
		return 1, errors.New("real containers need root: run `go test ./tests` as root, or only those of an unprivileged user by -run " + rootlessTests)
	}
	runtime.LockOSThread() // the parent-death signal is bound to this thread
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), innerEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	var exit *exec.ExitError
	if err := cmd.Run(); errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	} else if err != nil {
		return 1, err
	}
	return 0, nil
}

// inner prepares the process, runs the tests and clears up.
func inner(m *testing.M) (int, error) {
	if os.Geteuid() == 0 {
		if err := shareMounts(); err != nil {
			return 1, err
		}
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 1, fmt.Errorf("become subreaper: %w", err)
	}
	signals.Default()
	go reap()

	dir, err := os.MkdirTemp("", "skep-tests-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o711); err != nil { // for user namespaces
		return 1, err
	}
	suite.dir = dir
	suite.mark = "st" + strconv.Itoa(os.Getpid())
	if suite.binary, err = findBinary(dir); err != nil {
		return 1, err
	}
	if suite.image, err = makeImage(dir); err != nil {
		return 1, err
	}
	if suite.cgroups, err = findCgroups(); err != nil {
		return 1, err
	}
	if suite.driver, err = findDriver(); err != nil {
		return 1, err
	}
	if err := leaveOut(); err != nil {
		return 1, err
	}
	defer removeCgroups("/skep-test/" + suite.mark)
	return m.Run(), nil
}

// shareMounts makes the mounts shared, as on a host with systemd: one that a
// container leaks through a peer group then shows in this namespace.
func shareMounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make / private: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("make / shared: %w", err)
	}
	return nil
}

func findBinary(dir string) (string, error) {
	if path := os.Getenv("SKEP_BINARY"); path != "" {
		path, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("SKEP_BINARY: %w", err)
		}
		return filepath.Abs(path)
	}
	path := filepath.Join(dir, "skep")
	out, err := exec.Command("go", "build", "-o", path, "skep").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build skep: %w\n%s", err, out)
	}
	return path, nil
}

// makeImage lays out a small root filesystem around busybox.
func makeImage(dir string) (string, error) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return "", fmt.Errorf("a static busybox is needed: %w", err)
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		return "", err
	}
	root := filepath.Join(dir, "image")
	for _, d := range []string{"bin", "dev", "etc", "home/user", "proc", "root", "sys", "tmp", "usr/bin"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return "", err
		}
	}
	if err := os.Chmod(filepath.Join(root, "tmp"), 0o777|os.ModeSticky); err != nil {
		return "", err
	}
	files := map[string]string{
		"bin/busybox": string(program),
		"etc/passwd":  "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n",
		"etc/group":   "root:x:0:\nuser:x:1000:\n",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o644); err != nil {
			return "", err
		}
	}
	if err := os.Chmod(filepath.Join(root, "bin/busybox"), 0o755); err != nil {
		return "", err
	}
	applets, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return "", fmt.Errorf("busybox --list: %w", err)
	}
	for _, applet := range strings.Fields(string(applets)) {
		if err := os.Symlink("busybox", filepath.Join(root, "bin", applet)); err != nil && !errors.Is(err, os.ErrExist) {
			return "", err
		}
	}
	return root, nil
}
