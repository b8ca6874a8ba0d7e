package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

const qemuBinary = "qemu-system-x86_64"

// agentProtocol says what goes over the control port; see guest/root/usr/local/sbin/vm-agent.
const agentProtocol = "ready; size, job; exit status"

func qemuVersion() string {
	out, _ := exec.Command(qemuBinary, "--version").Output() // missing: starting it says so
	return string(out)
}

// qemu is a running machine.
type qemu struct {
	cmd     *exec.Cmd
	control net.Conn // to the agent in the machine
	lines   *bufio.Reader
	monitor monitor
	console bytes.Buffer // what the kernel and QEMU itself say
	copies  sync.WaitGroup
}

// startQEMU starts a machine whose ports lead here. Descriptors need no names, so that
// nothing has to be cleared up, whatever becomes of this process.
func startQEMU(ctx context.Context, dir string, args []string, stdout, stderr io.Writer) (*qemu, error) {
	q := &qemu{}
	q.cmd = exec.CommandContext(ctx, qemuBinary, args...)
	q.cmd.Dir = dir
	q.cmd.Stdout, q.cmd.Stderr = &q.console, &q.console
	q.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	q.cmd.Args = append(q.cmd.Args, "-serial", "stdio", "-device", "virtio-serial-pci")

	var conns []net.Conn
	for i, name := range []string{"monitor", "control", "stdout", "stderr"} {
		conn, theirs, err := socketPair()
		if err != nil {
			return nil, err
		}
		defer theirs.Close()
		conns = append(conns, conn)
		q.cmd.ExtraFiles = append(q.cmd.ExtraFiles, theirs)
		q.cmd.Args = append(q.cmd.Args, "-chardev", "socket,id="+name+",fd="+strconv.Itoa(3+i))
		if name == "monitor" {
			q.cmd.Args = append(q.cmd.Args, "-mon", "chardev=monitor,mode=control")
		} else {
			q.cmd.Args = append(q.cmd.Args, "-device", "virtserialport,chardev="+name+",name="+name)
		}
	}
	q.monitor = monitor{json.NewEncoder(conns[0]), json.NewDecoder(conns[0])}
	q.control, q.lines = conns[1], bufio.NewReader(conns[1])
	q.forward(conns[2], stdout)
	q.forward(conns[3], stderr)

	runtime.LockOSThread() // the parent-death signal is bound to this thread
	defer runtime.UnlockOSThread()
	if err := q.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	return q, nil
}

func (q *qemu) forward(from io.Reader, to io.Writer) {
	q.copies.Go(func() { _, _ = io.Copy(to, from) }) // ends with the machine
}

// socketPair returns a connection and the descriptor of its other end.
func socketPair() (net.Conn, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	ours := os.NewFile(uintptr(fds[0]), "port")
	defer ours.Close() // FileConn duplicates it
	theirs := os.NewFile(uintptr(fds[1]), "port")
	conn, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn, theirs, nil
}

// stop ends the machine and waits until all its output has been passed on.
func (q *qemu) stop() {
	_ = q.cmd.Process.Kill() // it may have ended by itself
	_ = q.cmd.Wait()
	q.copies.Wait()
}

// failed describes what went wrong with the machine, by its last words.
func (q *qemu) failed(op string, err error) error {
	q.stop()
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(q.console.String(), "\r", "")), "\n")
	return fmt.Errorf("%s: %w; the machine's last words:\n%s", op, err, strings.Join(lines[max(0, len(lines)-20):], "\n"))
}

// await waits for a line of the agent's that begins with a word and returns the rest.
func (q *qemu) await(word string) (string, error) {
	for {
		line, err := q.lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return "", errors.New("the machine has ended")
		} else if err != nil {
			return "", err
		}
		if rest, found := strings.CutPrefix(strings.TrimSpace(line), word); found {
			return strings.TrimSpace(rest), nil
		}
	}
}

// monitor speaks QEMU's machine protocol, QMP.
type monitor struct {
	enc *json.Encoder
	dec *json.Decoder
}

// message is an answer or an event.
type message struct {
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Description string `json:"desc"`
	} `json:"error"`
	Event string `json:"event"`
	Data  struct {
		Status string `json:"status"`
	} `json:"data"`
}

type arguments map[string]any

// do runs a command.
func (m monitor) do(command string, args arguments) error {
	if err := m.enc.Encode(map[string]any{"execute": command, "arguments": args}); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	for {
		var answer message
		if err := m.dec.Decode(&answer); err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
		switch {
		case answer.Error != nil:
			return fmt.Errorf("%s: %s", command, answer.Error.Description)
		case answer.Return != nil:
			return nil
		}
	}
}

// begin prepares for saving or restoring: the memory is a file already and stays out of
// the stream.
func (m monitor) begin() error {
	if err := m.do("qmp_capabilities", arguments{}); err != nil {
		return err
	}
	var capabilities []arguments
	for _, name := range []string{"x-ignore-shared", "events"} {
		capabilities = append(capabilities, arguments{"capability": name, "state": true})
	}
	return m.do("migrate-set-capabilities", arguments{"capabilities": capabilities})
}

// save stops the machine and writes the state of its devices to a file in QEMU's directory.
func (m monitor) save(file string) error {
	if err := m.begin(); err != nil {
		return err
	}
	return m.migrate("migrate", "exec:cat >"+file)
}

func (m monitor) restore(file string) error {
	if err := m.begin(); err != nil {
		return err
	}
	return m.migrate("migrate-incoming", "exec:cat "+file)
}

func (m monitor) migrate(command, uri string) error {
	if err := m.do(command, arguments{"uri": uri}); err != nil {
		return err
	}
	for {
		var event message
		if err := m.dec.Decode(&event); err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
		if event.Event != "MIGRATION" {
			continue
		}
		switch event.Data.Status {
		case "completed":
			return nil
		case "failed":
			return fmt.Errorf("%s: failed", command)
		}
	}
}
