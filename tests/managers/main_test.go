// Package managers drives a runtime through the programs that people run
// containers with: real daemons and clients, images made offline, and
// assertions on what is found inside the containers and in their cgroups.
//
// SKEP_BINARY names the runtime under test; without it skep is built once.
// MANAGERS_RUNTIME overrides it: with MANAGERS_RUNTIME=/usr/sbin/runc the same
// cases show what the machine and the managers allow.
//
// The test binary runs itself three times, so that nothing outlives it and the
// host's mounts, network and cgroups stay as they are:
//
//   - the caller's process makes a cgroup, waits for the second and removes it;
//   - the second is process 1 of new pid, mount, network, IPC and UTS
//     namespaces: when it ends, however it ends, so does everything below it;
//   - the third, in a cgroup namespace, runs the tests, with a /run and a
//     /sys/fs/cgroup of its own.
//
// TestSystemd... need systemd, and so a machine that is theirs: the managers'
// daemons with it, its D-Bus and its cgroups, none of them isolated. tests/vm
// makes one, and says so by MANAGERS_STAGE=machine; everywhere else these tests
// are left out.
package managers

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"skep/tests/internal/hosts"
	"skep/tests/internal/signals"
)

const (
	stageEnv  = "MANAGERS_STAGE"  // "init", "tests" or "machine"; unset in the caller's process
	cgroupEnv = "MANAGERS_CGROUP" // the cgroup that all of this happens in
	binaryEnv = "MANAGERS_RUNTIME"
)

// scratch is a tmpfs of the run, below its /run; in a machine of the tests' own,
// TMPDIR is there.
const scratch = "/run/managers"

// runtimeUnderTest is the absolute path of the runtime.
var runtimeUnderTest = os.Getenv(binaryEnv)

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.list").Value.String() != "" {
		os.Exit(m.Run()) // needs nothing of what follows
	}
	var code int
	var err error
	switch os.Getenv(stageEnv) {
	case "":
		code, err = outside()
	case "init":
		code, err = initProcess()
	case "machine":
		if err = errors.Join(ownMachine(), leaveOut(true)); err == nil {
			code = m.Run()
		}
	default:
		if err = leaveOut(false); err == nil {
			code = m.Run()
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tests/managers:", err)
		code = 1
	}
	os.Exit(code)
}

// outside prepares what needs the host: the network, for the Debian image, the
// Go build cache, and the cgroup.
func outside() (code int, err error) {
	if os.Geteuid() != 0 {
		return 1, errors.New("real containers need root: run `go test ./tests/managers` as root")
	}
	signals.Default()
	binary, remove, err := findRuntime()
	if err != nil {
		return 1, err
	}
	defer remove()
	if err := makeDebian(); err != nil {
		return 1, err
	}
	group := groupPrefix + strconv.Itoa(os.Getpid())
	hierarchies, err := findHierarchies()
	if err != nil {
		return 1, err
	}
	if err := removeStale(hierarchies); err != nil {
		return 1, err
	}
	defer func() {
		if removed := removeCgroups(hierarchies, group); err == nil {
			err = removed
		}
	}()
	if err := makeCgroups(hierarchies, group); err != nil {
		return 1, err
	}

	runtime.LockOSThread() // the parent-death signal is bound to this thread
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), stageEnv+"=init", cgroupEnv+"="+group, binaryEnv+"="+binary)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		Pdeathsig:  unix.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	go func() {
		<-interrupt
		_ = cmd.Process.Kill() // of process 1: everything below it ends with it
	}()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return 1, err
	}
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code, nil
	}
	return 1, nil // killed
}

// initProcess is process 1: it starts the tests and reaps orphans. It is a
// process of its own because os/exec, which the tests use, waits for children
// by itself.
func initProcess() (int, error) {
	runtime.LockOSThread() // one thread has the cgroup namespace, and hands it on
	if err := isolate(os.Getenv(cgroupEnv)); err != nil {
		return 1, err
	}
	if err := os.Setenv(stageEnv, "tests"); err != nil {
		return 1, err
	}
	tests, err := os.StartProcess("/proc/self/exe", os.Args, &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return 1, err
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 1, fmt.Errorf("wait for the tests: %w", err)
		case pid == tests.Pid && status.Exited():
			return status.ExitStatus(), nil
		case pid == tests.Pid:
			return 1, fmt.Errorf("the tests were killed by %v", status.Signal())
		}
	}
}

// isolate hides what daemons would share with the host's.
func isolate(group string) error {
	// Cut off from the host's, and then shared, as systemd has it on a host.
	for _, propagation := range []uintptr{unix.MS_PRIVATE, unix.MS_SHARED} {
		if err := unix.Mount("", "/", "", unix.MS_REC|propagation, ""); err != nil {
			return fmt.Errorf("mount propagation of /: %w", err)
		}
	}
	hierarchies, err := findHierarchies()
	if err != nil {
		return err
	}
	if err := joinCgroups(hierarchies, group); err != nil {
		return err
	}
	// Its root is the cgroup that this process is in.
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("new cgroup namespace: %w", err)
	}
	for _, m := range []struct{ fstype, dir, options string }{
		{"proc", "/proc", ""},
		{"tmpfs", "/run", "mode=755"},
		{"sysfs", "/sys", ""}, // shows the network interfaces of the namespace
		{"tmpfs", "/sys/fs/cgroup", "mode=755"},
	} {
		// Not just covered: runtimes that search mountinfo would find the host's
		// hierarchies first.
		if err := unix.Unmount(m.dir, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("unmount %s: %w", m.dir, err)
		}
		if err := unix.Mount(m.fstype, m.dir, m.fstype, unix.MS_NOSUID|unix.MS_NODEV, m.options); err != nil {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	if err := os.Mkdir(scratch, 0o711); err != nil { // searchable by user namespaces
		return err
	}
	if err := mountHierarchies(hierarchies); err != nil {
		return err
	}
	return loopbackUp()
}

// ownMachine prepares a machine that has nothing else to do.
func ownMachine() (err error) {
	signals.Default()
	if runtimeUnderTest, _, err = findRuntime(); err != nil {
		return err
	}
	if err := os.Mkdir(scratch, 0o711); err != nil {
		return err
	}
	return unix.Mount(os.TempDir(), scratch, "", unix.MS_BIND, "")
}

// leaveOut keeps the tests of what is not built from running, and in a
// namespace of the host's those that need a machine of their own.
func leaveOut(ownMachine bool) error {
	needs := map[string]string{}
	if _, err := os.Stat(crioProgram); err != nil {
		needs["TestCRIO"], needs["TestSystemdCRIO"] = "CRI-O: make test-crio", "CRI-O: make test-crio"
	}
	if ownMachine {
		return hosts.LeaveOut(needs)
	}
	for _, test := range []string{
		"TestSystemdContainerd", "TestSystemdCRI", "TestSystemdCRIO", "TestSystemdDocker", "TestSystemdDockerLife", "TestSystemdDockerLimits",
		"TestSystemdPodman", "TestSystemdPodmanLimits", "TestSystemdPodmanServices", "TestSystemdPodmanRootless",
	} {
		needs[test] = "systemd, in a machine of its own: make test-vm"
	}
	return hosts.LeaveOut(needs)
}

// findRuntime returns the runtime under test and what removes it again.
func findRuntime() (path string, remove func(), err error) {
	for _, name := range []string{binaryEnv, "SKEP_BINARY"} {
		if path := os.Getenv(name); path != "" {
			if path, err = exec.LookPath(path); err != nil {
				return "", nil, fmt.Errorf("%s: %w", name, err)
			}
			path, err = filepath.Abs(path)
			return path, func() {}, err
		}
	}
	dir, err := os.MkdirTemp("", "skep-managers-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	path = filepath.Join(dir, "skep")
	if out, err := exec.Command("go", "build", "-o", path, "skep").CombinedOutput(); err != nil {
		remove()
		return "", nil, fmt.Errorf("build skep: %w\n%s", err, out)
	}
	return path, remove, os.Chmod(dir, 0o711)
}

// loopbackUp brings up lo of the network namespace.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}
