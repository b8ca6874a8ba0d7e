package managers

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/websocket"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// crioExecCases: other programs in a container that runs, and the streams of all.
var crioExecCases = []crioCase{
	{"ExecSync", func(c *crio) {
		p := c.pod(nil)
		id := p.start(`exec sleep 1000`, func(config *cri.ContainerConfig) {
			config.Envs = []*cri.KeyValue{{Key: "ADDED", Value: "more"}}
			config.WorkingDir = "/tmp"
		})
		for _, test := range []struct {
			line           []string
			stdout, stderr string
			code           int32
		}{
			{[]string{"true"}, "", "", 0},
			{[]string{"sh", "-c", "echo out; echo err >&2; exit 9"}, "out\n", "err\n", 9},
			{[]string{"sh", "-c", "kill -TERM $$"}, "", "", 143},
			{[]string{"sh", "-c", "echo $ADDED $BAKED; pwd; cat"}, "more in\n/tmp\n", "", 0},
			{[]string{"sh", "-c", "yes 0123456789abcde | head -n 65536 | tail -n 1"}, "0123456789abcde\n", "", 0},
		} {
			res, err := p.ExecSync(c.Context(), &cri.ExecSyncRequest{ContainerId: id, Cmd: test.line})
			c.ok(err)
			if string(res.Stdout) != test.stdout || string(res.Stderr) != test.stderr || res.ExitCode != test.code {
				c.Errorf("%q: %v", test.line, res)
			}
		}
		for line, want := range map[string]string{"no-such-program": "executable file not found in $PATH", "/etc/passwd": "permission denied"} {
			_, err := p.ExecSync(c.Context(), &cri.ExecSyncRequest{ContainerId: id, Cmd: []string{line}})
			c.contains("error", fmt.Sprint(err), want)
		}
	}},
	{"Probes", func(c *crio) {
		p := c.pod(nil)
		id := p.start(`exec sleep 1000`, limited(podResources(64<<20, 100)))
		for i := range 20 {
			c.equal("probe", p.exec(id, "sh", "-c", fmt.Sprint("echo ", i)), fmt.Sprint(i))
		}
		c.equal("processes", strings.TrimSpace(p.exec(id, "sh", "-c", "ls -d /proc/[0-9]* | wc -l")), "4") // ls and wc with them
	}},
	{"ExecTimeout", func(c *crio) {
		p := c.pod(nil)
		id := p.start(`exec sleep 1000`, nil)
		res, err := p.ExecSync(c.Context(), &cri.ExecSyncRequest{ContainerId: id, Cmd: []string{"sleep", "1001"}, Timeout: 1})
		c.ok(err)
		if res.ExitCode != -1 || !strings.Contains(string(res.Stderr), "timed out") {
			c.Errorf("%v", res)
		}
		eventually(c.T, "the program ends", func() bool { return !strings.Contains(p.exec(id, "ps"), "sleep 1001") })
		c.equal("afterwards", p.exec(id, "echo", "alive"), "alive")
	}},
	{"Exec", func(c *crio) {
		p := c.pod(nil)
		id := p.start(`exec sleep 1000`, nil)
		line := []string{"sh", "-c", "read line; echo got $line; echo problem >&2; exit 4"}
		res, err := p.Exec(c.Context(), &cri.ExecRequest{ContainerId: id, Cmd: line, Stdin: true, Stdout: true, Stderr: true})
		c.ok(err)
		s := dialStream(c.T, res.Url)
		s.send(streamStdin, "a line\n")
		s.await(streamStdout, "got a line\n")
		s.await(streamStderr, "problem\n")
		s.await(streamStatus, `"ExitCode","message":"4"`)
	}},
	{"ExecTerminal", func(c *crio) {
		p := c.pod(nil)
		id := p.start(`exec sleep 1000`, nil)
		line := []string{"sh", "-c", `tty; trap 'stty size; read line; exit 6' WINCH; echo ready; while :; do sleep 0.1; done`}
		res, err := p.Exec(c.Context(), &cri.ExecRequest{ContainerId: id, Cmd: line, Stdin: true, Stdout: true, Tty: true})
		c.ok(err)
		s := dialStream(c.T, res.Url)
		s.await(streamStdout, "/dev/pts/0\r\nready\r\n")
		s.send(streamResize, `{"Width":123,"Height":45}`)
		s.await(streamStdout, "45 123\r\n") // CRI-O drops what a terminal says at its end
		s.send(streamStdin, "\n")
		s.await(streamStatus, `"ExitCode","message":"6"`)
	}},
	{"ExecEndsWithContainer", func(c *crio) {
		p := c.pod(nil)
		id := p.start(`exec sleep 1000`, nil)
		res, err := p.Exec(c.Context(), &cri.ExecRequest{ContainerId: id, Cmd: []string{"sh", "-c", "echo ready; exec sleep 1001"}, Stdout: true})
		c.ok(err)
		s := dialStream(c.T, res.Url)
		s.await(streamStdout, "ready\n")
		p.stop(id, 0)
		s.await(streamStatus, `"status":"Failure"`)
	}},
	{"Attach", func(c *crio) {
		p := c.pod(nil)
		id := p.start(`while read line; do echo "got $line"; done`, func(config *cri.ContainerConfig) { config.Stdin = true })
		res, err := p.Attach(c.Context(), &cri.AttachRequest{ContainerId: id, Stdin: true, Stdout: true, Stderr: true})
		c.ok(err)
		s := dialStream(c.T, res.Url)
		s.send(streamStdin, "a line\n")
		s.await(streamStdout, "got a line\n")
		c.awaitLog(p, "got a line")
	}},
	{"Terminal", func(c *crio) {
		p := c.pod(nil)
		id := p.start(`tty; while read line; do stty size; done`, func(config *cri.ContainerConfig) { config.Stdin, config.Tty = true, true })
		c.awaitLog(p, "/dev/pts/0")
		res, err := p.Attach(c.Context(), &cri.AttachRequest{ContainerId: id, Stdin: true, Stdout: true, Tty: true})
		c.ok(err)
		s := dialStream(c.T, res.Url)
		s.send(streamResize, `{"Width":99,"Height":33}`)
		eventually(c.T, "the size arrives", func() bool {
			s.send(streamStdin, "\n")
			return strings.Contains(readFile(c.T, filepath.Join(p.config.LogDirectory, "one.log")), "33 99")
		})
		c.contains("exec", p.exec(id, "ls", "-l", "/dev/console"), "/dev/console")
	}},
}

// Channels of the kubelet's streams.
const (
	streamStdin = iota
	streamStdout
	streamStderr
	streamStatus
	streamResize
)

// stream is a connection that carries what a program reads and writes, as kubectl has it.
type stream struct {
	t    *testing.T
	conn *websocket.Conn
	text [streamResize][]byte // what has arrived and was not awaited
}

func dialStream(t *testing.T, url string) *stream {
	t.Helper()
	conn, err := websocket.Dial(strings.Replace(url, "http", "ws", 1), "v4.channel.k8s.io", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &stream{t: t, conn: conn}
}

func (s *stream) send(channel byte, text string) {
	s.t.Helper()
	if err := websocket.Message.Send(s.conn, append([]byte{channel}, text...)); err != nil {
		s.t.Fatal(err)
	}
}

// await waits until a text has arrived by a channel.
func (s *stream) await(channel byte, want string) {
	s.t.Helper()
	for !strings.Contains(string(s.text[channel]), want) {
		var message []byte
		if err := websocket.Message.Receive(s.conn, &message); err != nil {
			s.t.Fatalf("%q does not arrive: %v; there is %q", want, err, s.text)
		}
		if len(message) > 0 && int(message[0]) < len(s.text) {
			s.text[message[0]] = append(s.text[message[0]], message[1:]...)
		}
	}
	_, after, _ := strings.Cut(string(s.text[channel]), want)
	s.text[channel] = []byte(after)
}
