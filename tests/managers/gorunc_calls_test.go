package managers

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/console"
	"github.com/containerd/go-runc"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func (c *goRunc) lifecycle() {
	c.program("sh", "-c", "echo out; echo err >&2; cat; sleep 1000")
	pipes, err := runc.NewPipeIO(0, 0)
	c.check(err)
	defer pipes.Close()
	pidFile := filepath.Join(tempDir(c.T), "pid")
	c.create(&runc.CreateOpts{IO: pipes, PidFile: pidFile})
	pid, err := runc.ReadPidFile(pidFile)
	c.check(err)
	state, err := c.State(c.ctx, c.id)
	c.check(err)
	if state.ID != c.id || state.Pid != pid || state.Status != "created" || state.Bundle != c.bundle ||
		state.Rootfs != c.spec.Root.Path || time.Since(state.Created) > patience {
		c.Errorf("pid file: %d; state: %+v", pid, state)
	}
	c.check(c.Start(c.ctx, c.id))
	c.wantLine(pipes.Stdout(), "out\n")
	c.wantLine(pipes.Stderr(), "err\n")
	_, err = io.WriteString(pipes.Stdin(), "in\n")
	c.check(err)
	c.wantLine(pipes.Stdout(), "in\n")
	c.awaitStatus("running")
	c.wantError(c.Delete(c.ctx, c.id, nil), "running")
	c.check(c.Kill(c.ctx, c.id, int(unix.SIGKILL), nil))
	awaitExit(c.T, pid)
	c.awaitStatus("stopped")
	c.check(c.Delete(c.ctx, c.id, nil))
	_, err = c.State(c.ctx, c.id)
	c.wantError(err, "does not exist")
}

func (c *goRunc) wantLine(from io.Reader, want string) {
	c.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(from, got); err != nil || string(got) != want {
		c.Errorf("read %q (%v), want %q", got, err, want)
	}
}

// fileIO gives a program a file for its output.
type fileIO struct {
	runc.IO
	out *os.File
}

func (f fileIO) Set(cmd *exec.Cmd) { cmd.Stdout, cmd.Stderr = f.out, f.out }

// output makes a fileIO and returns what reads its file.
func (c *goRunc) output() (f fileIO, text func() string) {
	c.Helper()
	out := createFile(c.T, filepath.Join(tempDir(c.T), "out"))
	c.Cleanup(func() { out.Close() })
	return fileIO{c.nullIO(), out}, func() string { return readFile(c.T, out.Name()) }
}

func (c *goRunc) run() {
	c.program("sh", "-c", "echo out; exit 7")
	out, text := c.output()
	started := make(chan int, 1)
	status, err := c.Runc.Run(c.ctx, c.id, c.bundle, &runc.CreateOpts{IO: out, NoPivot: true, NoNewKeyring: true, Started: started})
	c.wantStatus(err, 7)
	if pid := <-started; status != 7 || pid <= 0 || text() != "out" {
		c.Errorf("status %d of process %d: %q", status, pid, text())
	}
}

func (c *goRunc) runDetached() {
	c.program("sleep", "1000")
	status, err := c.Runc.Run(c.ctx, c.id, c.bundle, &runc.CreateOpts{IO: c.nullIO(), Detach: true})
	c.check(err)
	defer c.remove()
	if now := c.status(); status != 0 || now != "running" {
		c.Errorf("status %d, %s", status, now)
	}
}

func (c *goRunc) extraFiles() {
	c.program("sh", "-c", "cat <&3; echo written >&4; ls /proc/self/fd | wc -l")
	read, write := createFile(c.T, filepath.Join(tempDir(c.T), "read")), createFile(c.T, filepath.Join(tempDir(c.T), "write"))
	defer read.Close()
	defer write.Close()
	_, err := read.WriteString("readable\n")
	c.check(err)
	_, err = read.Seek(0, io.SeekStart)
	c.check(err)
	out, text := c.output()
	_, err = c.Runc.Run(c.ctx, c.id, c.bundle, &runc.CreateOpts{IO: out, ExtraFiles: []*os.File{read, write}})
	c.check(err)
	if text() != "readable\n6" || readFile(c.T, write.Name()) != "written" { // 0 to 4, and ls's own
		c.Errorf("%q, %q", text(), readFile(c.T, write.Name()))
	}
}

func (c *goRunc) console() {
	c.spec.Process.Terminal = true
	c.spec.Process.ConsoleSize = &specs.Box{Width: 61, Height: 17}
	c.program("sh", "-c", "stty size; read -r line; stty size; exit 3")
	socket, err := runc.NewTempConsoleSocket()
	c.check(err)
	defer socket.Close()
	c.create(&runc.CreateOpts{ConsoleSocket: socket})
	master, err := socket.ReceiveMaster()
	c.check(err)
	defer master.Close()
	c.check(c.Start(c.ctx, c.id))
	lines := bufio.NewReader(master)
	c.wantText(lines, "17 61")
	c.check(master.Resize(console.WinSize{Width: 100, Height: 30}))
	_, err = io.WriteString(master, "go on\n")
	c.check(err)
	c.wantText(lines, "30 100")
	c.awaitStatus("stopped")
}

func (c *goRunc) pidfd() {
	c.program("sleep", "1000")
	socket, err := runc.NewTempPidfdSocket()
	c.check(err)
	defer socket.Close()
	opts := &runc.CreateOpts{IO: c.nullIO(), PidfdSocket: socket}
	if !strings.Contains(run(c.T, c.Command, "create", "--help"), "--pidfd-socket") { // runc before 1.2
		c.wantStatus(c.Create(c.ctx, c.id, c.bundle, opts), 1)
		return
	}
	c.create(opts)
	pidfd, err := socket.ReceivePidfd()
	c.check(err)
	defer pidfd.Close()
	c.check(c.Start(c.ctx, c.id))
	c.check(unix.PidfdSendSignal(int(pidfd.Fd()), unix.SIGKILL, nil, 0))
	c.awaitStatus("stopped")
}

// wantText reads lines until one has the text.
func (c *goRunc) wantText(lines *bufio.Reader, text string) {
	c.Helper()
	var all strings.Builder
	for !strings.Contains(all.String(), text) {
		line, err := lines.ReadString('\n')
		all.WriteString(line)
		if err != nil {
			c.Fatalf("%v; read %q, want %q", err, all.String(), text)
		}
	}
}

func (c *goRunc) exec() {
	init := c.started("exec sleep 1000")
	p := *c.spec.Process
	p.Args = []string{"sh", "-c", "echo from $$; exit 9"}
	out, text := c.output()
	c.wantStatus(c.Exec(c.ctx, c.id, p, &runc.ExecOpts{IO: out}), 9)
	if !strings.HasPrefix(text(), "from ") {
		c.Errorf("output: %q", text())
	}

	// Without streams the error has what the program has written.
	c.wantError(c.Exec(c.ctx, c.id, p, nil), "exit status 9", "from ")
	p.Args = []string{"true"}
	c.check(c.Exec(c.ctx, c.id, p, nil))

	p.Args = []string{"sleep", "2000"}
	dir := tempDir(c.T)
	pidFile, started := filepath.Join(dir, "pid"), make(chan int, 1)
	c.check(c.Exec(c.ctx, c.id, p, &runc.ExecOpts{IO: c.nullIO(), Detach: true, PidFile: pidFile, Started: started}))
	pid, err := runc.ReadPidFile(pidFile)
	c.check(err)
	if runtimePid := <-started; runtimePid == pid {
		c.Errorf("a detached process has the runtime's pid %d", pid)
	}
	for _, ns := range []string{"pid", "mnt", "net", "ipc", "uts"} {
		if a, b := readLink(c, pid, ns), readLink(c, init, ns); a != b {
			c.Errorf("%s, init's %s namespace is %s", a, ns, b)
		}
	}

	p.Args = []string{"/no/such/program"}
	log := filepath.Join(dir, "exec-log.json")
	c.wantError(c.Exec(c.ctx, c.id, p, &runc.ExecOpts{LogFile: log}), "no such file or directory")
	if record := readFile(c.T, log); !strings.Contains(record, `"level":"error"`) || !strings.Contains(record, "/no/such/program") {
		c.Errorf("log: %s", record)
	}
}

func readLink(c *goRunc, pid int, ns string) string {
	c.Helper()
	target, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, ns))
	c.check(err)
	return target
}

func (c *goRunc) execConsole() {
	c.started("exec sleep 1000")
	socket, err := runc.NewTempConsoleSocket()
	c.check(err)
	defer socket.Close()
	p := *c.spec.Process
	p.Terminal = true
	p.Args = []string{"sh", "-c", "tty; read -r line; echo got $line"}
	c.check(c.Exec(c.ctx, c.id, p, &runc.ExecOpts{ConsoleSocket: socket, Detach: true}))
	master, err := socket.ReceiveMaster()
	c.check(err)
	defer master.Close()
	lines := bufio.NewReader(master)
	c.wantText(lines, "/dev/pts/0")
	_, err = io.WriteString(master, "this\n")
	c.check(err)
	c.wantText(lines, "got this")
}

func (c *goRunc) kill() {
	// With the host's pid namespace, so that --all has something to do.
	c.spec.Linux.Namespaces = slices.DeleteFunc(c.spec.Linux.Namespaces, func(ns specs.LinuxNamespace) bool { return ns.Type == specs.PIDNamespace })
	init := c.started("trap 'touch /dev/shm/hup' HUP; touch /dev/shm/ready; while :; do sleep 0.01; done")
	await := func(name string) {
		eventually(c.T, name, func() bool {
			_, err := os.Stat(fmt.Sprintf("/proc/%d/root/dev/shm/%s", init, name))
			return err == nil
		})
	}
	await("ready")
	c.check(c.Kill(c.ctx, c.id, int(unix.SIGHUP), nil))
	await("hup")
	p := *c.spec.Process
	p.Args = []string{"sleep", "2000"}
	pidFile := filepath.Join(tempDir(c.T), "pid")
	c.check(c.Exec(c.ctx, c.id, p, &runc.ExecOpts{IO: c.nullIO(), Detach: true, PidFile: pidFile}))
	other, err := runc.ReadPidFile(pidFile)
	c.check(err)
	c.check(c.Kill(c.ctx, c.id, int(unix.SIGKILL), &runc.KillOpts{All: true}))
	awaitExit(c.T, init)
	awaitExit(c.T, other)
	c.awaitStatus("stopped")
	c.wantError(c.Kill(c.ctx, c.id, int(unix.SIGTERM), nil), "container not running")
	c.check(c.Kill(c.ctx, c.id, int(unix.SIGKILL), &runc.KillOpts{All: true}))
}

func (c *goRunc) list() {
	empty, err := c.List(c.ctx)
	c.check(err)
	if len(empty) != 0 {
		c.Errorf("before: %v", empty)
	}
	c.spec.Annotations = map[string]string{"a": "b"}
	pid := c.started("exec sleep 1000")
	all, err := c.List(c.ctx)
	c.check(err)
	if len(all) != 1 || all[0].ID != c.id || all[0].Pid != pid || all[0].Status != "running" ||
		all[0].Bundle != c.bundle || all[0].Rootfs != c.spec.Root.Path || all[0].Annotations["a"] != "b" {
		c.Errorf("list: %+v", all)
	}
}

func (c *goRunc) errors() {
	_, err := c.State(c.ctx, "nobody")
	c.wantError(err, "does not exist")
	c.wantError(c.Start(c.ctx, "nobody"), "does not exist")
	c.wantError(c.Kill(c.ctx, "nobody", 15, nil), "does not exist")
	c.wantError(c.Delete(c.ctx, "nobody", nil), "does not exist")
	c.check(c.Delete(c.ctx, "nobody", &runc.DeleteOpts{Force: true}))
	c.wantError(c.Exec(c.ctx, "nobody", *c.spec.Process, nil), "does not exist")

	c.program("no-such-program")
	c.wantError(c.Create(c.ctx, c.id, c.bundle, nil), "executable file not found in $PATH")
	c.program("sleep", "1000")
	c.create(&runc.CreateOpts{IO: c.nullIO()})
	c.wantError(c.Create(c.ctx, c.id, c.bundle, nil), "already exists")
	c.check(c.Start(c.ctx, c.id))
	c.wantError(c.Start(c.ctx, c.id), "cannot start an already running container")
}

func (c *goRunc) about() {
	version, err := c.Version(c.ctx)
	c.check(err)
	own, err := exec.Command(c.Command, "--version").Output()
	c.check(err)
	if version.Runc == "" || version.Spec == "" || !bytes.Contains(own, []byte("runc version "+version.Runc+"\n")) {
		c.Errorf("%+v of %s", version, own)
	}
	features, err := c.Features(c.ctx)
	c.check(err)
	if features.OCIVersionMin == "" || !slices.Contains(features.Hooks, "createRuntime") || !slices.Contains(features.MountOptions, "rbind") ||
		features.Linux == nil || !slices.Contains(features.Linux.Namespaces, "pid") || !*features.Linux.Seccomp.Enabled {
		c.Errorf("%+v", features)
	}
}

// atoi reads a number that a file of the container's cgroup holds.
func (c *goRunc) cgroupNumber(v1Controller, v1File, v2File string) int64 {
	c.Helper()
	n, err := strconv.ParseInt(cgroupValue(c.T, c.spec.Linux.CgroupsPath, v1Controller, v1File, v2File), 10, 64)
	c.check(err)
	return n
}
