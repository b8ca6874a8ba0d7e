package managers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// crioLifeCases: from create to remove.
var crioLifeCases = []crioCase{
	{"Life", func(c *crio) {
		p := c.pod(nil)
		id, err := p.create(`echo out; echo err >&2; exit 7`, nil)
		c.ok(err)
		c.equal("created", p.status(id).State.String(), "CONTAINER_CREATED")
		_, err = p.StartContainer(c.Context(), &cri.StartContainerRequest{ContainerId: id})
		c.ok(err)
		status := p.ended(id)
		if status.ExitCode != 7 || status.Reason != "Error" {
			c.Errorf("status: %+v", status)
		}
		c.contains("log", readFile(c.T, filepath.Join(p.config.LogDirectory, "one.log")), " stdout F out\n", " stderr F err")
		p.remove(id)
		if !c.cgroupIsGone(id) {
			c.Errorf("the cgroup of %s is still there", id)
		}
		list, err := p.ListContainers(c.Context(), &cri.ListContainersRequest{})
		c.ok(err)
		if len(list.Containers) != 0 {
			c.Errorf("containers: %v", list.Containers)
		}
	}},
	{"Refused", func(c *crio) {
		p := c.pod(nil)
		for command, want := range map[string]string{
			"no-such-program":  "executable file not found in $PATH",
			"/no/such/program": "no such file or directory",
			"/etc/passwd":      "permission denied",
		} {
			_, err := p.create("", func(config *cri.ContainerConfig) { config.Command = []string{command} })
			c.contains("error", fmt.Sprint(err), want)
		}
		list, err := os.ReadDir(filepath.Join(c.dir, "state"))
		c.ok(err)
		if len(list) != 0 {
			c.Errorf("the runtime's state: %v", list)
		}
	}},
	{"Stop", func(c *crio) {
		p := c.pod(nil)
		id := p.start(`trap 'echo asked; exit 5' TERM; echo ready; while :; do sleep 0.1; done`, nil)
		c.awaitLog(p, "ready")
		p.stop(id, 100)
		status := p.status(id)
		if status.State != cri.ContainerState_CONTAINER_EXITED || status.ExitCode != 5 {
			c.Errorf("status: %+v", status)
		}
		c.contains("log", readFile(c.T, filepath.Join(p.config.LogDirectory, "one.log")), "asked")
	}},
	{"StopKills", func(c *crio) {
		p := c.pod(nil)
		id := p.start(`trap 'echo no' TERM; sleep 1001 & echo ready; while :; do sleep 0.1; done`, nil)
		c.awaitLog(p, "ready")
		p.stop(id, 1)
		status := p.status(id)
		if status.State != cri.ContainerState_CONTAINER_EXITED || status.ExitCode != 128+int32(syscall.SIGKILL) {
			c.Errorf("status: %+v", status)
		}
		c.contains("log", readFile(c.T, filepath.Join(p.config.LogDirectory, "one.log")), "no")
		p.remove(id)
		if !c.cgroupIsGone(id) {
			c.Errorf("the cgroup of %s is still there", id)
		}
	}},
	{"RemoveRunning", func(c *crio) {
		p := c.pod(nil)
		id := p.start(`exec sleep 1000`, nil)
		p.remove(id)
		if !c.cgroupIsGone(id) {
			c.Errorf("the cgroup of %s is still there", id)
		}
	}},
	{"ReopenLog", func(c *crio) {
		p := c.pod(nil)
		id := p.start(`echo first; until [ -e /go ]; do sleep 0.1; done; echo second; exec sleep 1000`, nil)
		c.awaitLog(p, "first")
		log := filepath.Join(p.config.LogDirectory, "one.log")
		c.ok(os.Rename(log, log+".1"))
		_, err := p.ReopenContainerLog(c.Context(), &cri.ReopenContainerLogRequest{ContainerId: id})
		c.ok(err)
		p.exec(id, "touch", "/go")
		c.awaitLog(p, "second")
		if strings.Contains(readFile(c.T, log), "first") || strings.Contains(readFile(c.T, log+".1"), "second") {
			c.Errorf("%s and %[1]s.1: %s", log, readFile(c.T, log))
		}
	}},
	{"Restart", func(c *crio) {
		p := c.pod(nil)
		id := p.start(`trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done`, nil)
		c.awaitLog(p, "ready")
		before := p.proc(id, "")
		c.end(c.T, syscall.SIGTERM)
		c.start(c.T)
		c.equal("init", p.proc(id, ""), before)
		c.equal("exec", p.exec(id, "echo", "alive"), "alive")
		p.stop(id, 100)
		c.equal("reason", p.status(id).Reason, "Error")
	}},
	{"Many", func(c *crio) {
		p := c.pod(nil)
		type outcome struct {
			id  string
			err error
		}
		const n = 8
		made := make(chan outcome)
		for i := range n {
			go func() {
				id, err := p.create(`exec sleep 1000`, func(config *cri.ContainerConfig) {
					config.Metadata.Attempt = uint32(i)
					config.LogPath = ""
				})
				if err == nil {
					_, err = p.StartContainer(c.Context(), &cri.StartContainerRequest{ContainerId: id})
				}
				made <- outcome{id, err}
			}()
		}
		for range n {
			if o := <-made; o.err != nil {
				c.Errorf("%s: %v", o.id, o.err)
			}
		}
	}},
}

// awaitLog waits until a container of the pod has printed a text.
func (c *crio) awaitLog(p *pod, text string) {
	c.Helper()
	log := filepath.Join(p.config.LogDirectory, "one.log")
	eventually(c.T, text+" in the log", func() bool {
		content, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(content), text)
	})
}
