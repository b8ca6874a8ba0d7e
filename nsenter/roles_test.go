package nsenter

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// act is what the test binary does instead of testing.
func act(role string) error {
	if role == "memfd_noexec" {
		if err := os.WriteFile("/proc/sys/vm/memfd_noexec", []byte("2"), 0); err != nil {
			return err
		}
	}
	if role == "ignored signals" {
		signal.Ignore(unix.SIGHUP, unix.SIGUSR1, syscall.Signal(64))
	}
	if role == "shared mounts" {
		return pivotShared()
	}
	c, err := Start(Options{Cgroup: -1, TempDir: os.Getenv("TMPDIR")})
	if err != nil {
		return err
	}
	defer c.Release()
	defer c.Kill()
	switch role {
	case "idle parent":
		fmt.Print(c.Pid, "\n!")
		select {}
	case "busy parent":
		fmt.Println(c.Pid)
		return busy(c)
	case "few descriptors":
		return dropped(c)
	case "memfd_noexec":
		return onDisk(c)
	case "ignored signals":
		return ignorant(c)
	}
	return errors.New("there is no such role")
}

// busy plays a phase that says hello and reads from stdin.
func busy(c *Child) error {
	_, err := c.Run(&plan.Phase{Name: "busy", Steps: []plan.Step{records(func(l *plan.Lowering) {
		l.Call(unix.SYS_WRITE, plan.Imm(1), l.String("!"), plan.Imm(1))
		l.Call(unix.SYS_READ, plan.Imm(0), l.Bytes(make([]byte, 8)), plan.Imm(1))
	})}})
	return err
}

// dropped exports a descriptor to a parent that has no number left for it.
func dropped(c *Child) error {
	var files []*os.File
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = 32
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	for {
		f, err := os.Open("/dev/null")
		if err != nil {
			break
		}
		files = append(files, f)
	}
	_, err := c.Run(&plan.Phase{Name: "test", Steps: []plan.Step{plan.Export{Slot: plan.Control}}})
	for _, f := range files {
		f.Close()
	}
	if errors.Is(err, unix.EMFILE) {
		return nil
	}
	return fmt.Errorf("not %w: %w", unix.EMFILE, err)
}

// onDisk makes sure that the image is an unnamed file, and that long phases still work.
func onDisk(c *Child) error {
	// The role runs in a pid namespace of its own without a /proc of its own: "self" is what both sides have.
	long := records(func(l *plan.Lowering) { l.Bytes(make([]byte, 2*inlineMax)) })
	res, err := c.Run(&plan.Phase{Name: "test", Steps: []plan.Step{long, records(func(l *plan.Lowering) {
		l.Call(unix.SYS_OPENAT, plan.Imm(unix.AT_FDCWD), l.String("/proc/self/exe"), plan.Imm(unix.O_PATH)).Into(plan.Mask)
	}), plan.Export{Slot: plan.Mask}}})
	if err != nil {
		return err
	}
	defer res.close()
	exe, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", res.Files[plan.Mask].Fd()))
	if err != nil {
		return err
	}
	if !strings.HasPrefix(exe, os.Getenv("TMPDIR")+"/#") || !strings.HasSuffix(exe, " (deleted)") {
		return errors.New("the player runs from " + exe)
	}
	return nil
}

// ignorant starts a child under a parent that ignores signals, and resets them.
func ignorant(c *Child) error {
	_, err := c.Run(&plan.Phase{Name: "test", Steps: []plan.Step{records(func(l *plan.Lowering) {
		l.Call(unix.SYS_RT_SIGPROCMASK, plan.Imm(unix.SIG_SETMASK), l.Bytes([]byte{0xff, 0xff, 0, 0, 0, 0, 0, 0xff}), plan.Imm(0), plan.Imm(8))
	})}})
	if err != nil {
		return err
	}
	for _, step := range []struct {
		steps []plan.Step
		clean bool
	}{{nil, false}, {[]plan.Step{plan.ResetSignals{}}, true}} {
		if _, err := c.Run(&plan.Phase{Name: "test", Steps: step.steps}); err != nil {
			return err
		}
		text, err := os.ReadFile(c.proc("status"))
		if err != nil {
			return err
		}
		for _, key := range []string{"SigBlk:\t", "SigIgn:\t"} {
			_, value, _ := strings.Cut(string(text), key)
			if clean := strings.HasPrefix(value, "0000000000000000\n"); clean != step.clean {
				return fmt.Errorf("after %v: %s%.16s", step.steps, key, value)
			}
		}
	}
	return nil
}

// TestRoles lets the test binary run under conditions that this process must not be put in.
func TestRoles(t *testing.T) {
	for _, test := range []struct {
		role  string
		flags uintptr
	}{
		{"few descriptors", 0},
		{"memfd_noexec", unix.CLONE_NEWPID | unix.CLONE_NEWNS},
		{"ignored signals", 0},
	} {
		t.Run(test.role, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), roleVariable+"="+test.role, "TMPDIR="+t.TempDir())
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: test.flags}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestParentDies kills the parent of a player, which must not outlive it.
func TestParentDies(t *testing.T) {
	for _, role := range []string{"idle parent", "busy parent"} {
		t.Run(role, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), roleVariable+"="+role, "TMPDIR="+t.TempDir())
			cmd.Stderr = os.Stderr
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Process.Kill()
			var pid int
			if _, err := fmt.Fscanln(stdout, &pid); err != nil {
				t.Fatal(err)
			}
			pidfd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(pidfd)
			if _, err := io.ReadFull(stdout, make([]byte, 1)); err != nil { // it idles or reads now
				t.Fatal(err)
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			if _, err := cmd.Process.Wait(); err != nil {
				t.Fatal(err)
			}
			stdin.Close() // ends the read of the busy player's phase, where no socket can tell it anything
			awaitExit(t, pidfd)
		})
	}
}
