package managers

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// dockerGroup is where dockerd makes the cgroups of the containers.
const dockerGroup = "/docker-cases"

// dockerClient is the client of dockerd's own version: another one may come
// first in PATH.
const dockerClient = "/usr/bin/docker"

// dockerRuntime is the name that dockerd knows the runtime under test by.
const dockerRuntime = "under-test"

// dockerd is a daemon with its own containerd, and a client's configuration.
type dockerd struct {
	*daemon
	dir   string
	host  string // the client's --host
	calls string // a file with the command lines of `runc`
}

// TestDocker drives dockerd by its client.
func TestDocker(t *testing.T) {
	need(t, "dockerd", "docker-init", "docker-proxy", "iptables", "ps", dockerClient, "busybox")
	ownCgroup(t, dockerGroup)
	ownCgroup(t, dockerGroup+"/buildkit")
	archives := []string{busyboxArchive(t, busyboxImage, defaultConfig), debianArchive(t, debianImage, defaultConfig)}
	config := filepath.Join(tempDir(t), "daemon.json") // rather than the host's
	writeFile(t, config, "{}")
	hideOpt(t)
	calls := countCalls(t)
	d := startDockerd(t, archives, "--add-runtime", dockerRuntime+"="+runtimeUnderTest, "--default-runtime", dockerRuntime,
		"--config-file", config)
	d.calls = calls
	// The first containers make what dockerd keeps: the network namespace of its
	// own that it gives to those with the host's, and rules of the firewall.
	for _, network := range []string{"host", "bridge"} {
		d.docker("run", "--rm", "--network", network, busyboxImage, "true").succeed(t)
	}
	for _, c := range slices.Concat(dockerRunCases, dockerLimitCases, dockerPrivilegeCases, dockerExecCases, dockerIOCases,
		dockerLifeCases, dockerNetworkCases, dockerImageCases, dockerDaemonCases) {
		testCase(t, c.name, d.daemon, func(t *testing.T) { c.run(newDocker(t, d)) })
	}
}

// hideOpt keeps the directories that dockerd's containerd makes in /opt away
// from the host.
func hideOpt(t *testing.T) {
	t.Helper()
	dir := tempDir(t)
	upper, work := filepath.Join(dir, "upper"), filepath.Join(dir, "work")
	for _, name := range []string{upper, work} {
		if err := os.Mkdir(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mount("overlay", "/opt", "overlay", 0, "lowerdir=/opt,upperdir="+upper+",workdir="+work); err != nil {
		t.Fatalf("cover /opt: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount("/opt", unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// startDockerd starts a dockerd that has the images of the archives.
func startDockerd(t *testing.T, archives []string, flags ...string) *dockerd {
	t.Helper()
	dir := tempDir(t)
	d := &dockerd{dir: dir, host: "unix://" + dir + "/sock"}
	t.Cleanup(func() { unmountBelow(t, dir) }) // dockerd leaves its network namespace
	if !systemdRuns() {                        // which has a place for them
		flags = append(flags, "--cgroup-parent", dockerGroup)
	}
	d.daemon = startDaemon(t, "API listen on", append([]string{
		"dockerd", "--host", d.host, "--data-root", dir + "/data", "--exec-root", dir + "/exec",
		"--pidfile", dir + "/pid", "--storage-driver", "overlay2",
	}, flags...)...)
	for _, archive := range archives {
		d.docker("load", "--input", archive).succeed(t)
	}
	return d
}

// docker is a command of the client.
func (d *dockerd) docker(args ...string) call {
	return call{
		line: append([]string{dockerClient, "--config", d.dir + "/client", "--host", d.host}, args...),
	}
}

// dockerCase is one subtest.
type dockerCase struct {
	name string
	run  func(c *docker)
}

// docker is what a case has: a container's name, and how to get at it.
type docker struct {
	checks
	*dockerd
	id string
}

func newDocker(t *testing.T, d *dockerd) *docker {
	c := &docker{checks: checks{t}, dockerd: d, id: strings.ToLower(filepath.Base(t.Name()))}
	t.Cleanup(func() {
		if t.Failed() { // it may have left what the next cases would stumble over
			for _, id := range strings.Fields(d.docker("ps", "--all", "--quiet").run(t).stdout) {
				c.remove(id)
			}
		}
	})
	return c
}

// runCall is `docker run` of a container that is removed afterwards; args
// begin with flags.
func (c *docker) runCall(args ...string) call {
	return c.docker(append([]string{"run", "--rm", "--name", c.id}, args...)...)
}

// scriptCall runs a shell script in a container of the busybox image.
func (c *docker) scriptCall(script string, flags ...string) call {
	return c.runCall(append(flags, busyboxImage, "sh", "-ec", script)...)
}

// sh runs a script in the foreground and returns what it has printed.
func (c *docker) sh(script string, flags ...string) string {
	c.Helper()
	return c.output(c.scriptCall(script, flags...))
}

// detach runs a script in the background until the case ends.
func (c *docker) detach(script string, flags ...string) {
	c.Helper()
	c.detachAs(c.id, script, flags...)
}

// detachAs does so with a name.
func (c *docker) detachAs(name, script string, flags ...string) {
	c.Helper()
	args := slices.Concat([]string{"run", "--detach", "--name", name}, flags, []string{busyboxImage, "sh", "-ec", script})
	c.docker(args...).succeed(c.T)
	c.Cleanup(func() { c.remove(name) })
}

// remove kills and removes a container with its volumes.
func (c *docker) remove(name string) {
	c.Helper()
	c.docker("rm", "--force", "--volumes", name).succeed(c.T)
}

// exec runs a command in the container and returns what it has printed.
func (c *docker) exec(line ...string) string {
	c.Helper()
	return c.output(c.execCall(nil, line...))
}

// execCall is `docker exec` with flags.
func (c *docker) execCall(flags []string, line ...string) call {
	return c.docker(slices.Concat([]string{"exec"}, flags, []string{c.id}, line)...)
}

// output returns what a program writes, which must succeed. containerd may
// lose the last output of a container on a busy machine, with any runtime: what
// has printed nothing runs once more.
func (c *docker) output(call call) string {
	c.Helper()
	if out := call.succeed(c.T); out != "" {
		return out
	}
	return call.succeed(c.T)
}

// inspect fills a template with what dockerd knows of the container.
func (c *docker) inspect(format string) string {
	c.Helper()
	return c.docker("inspect", "--format", format, c.id).succeed(c.T)
}

// proc is the path of a file of init's below /proc.
func (c *docker) proc(name string) string {
	c.Helper()
	return fmt.Sprintf("/proc/%s/%s", c.inspect("{{.State.Pid}}"), name)
}

// cgroup reads a file of the container's cgroup on the host.
func (c *docker) cgroup(v1Controller, v1File, v2File string) string {
	c.Helper()
	group := filepath.Join(dockerGroup, c.inspect("{{.Id}}"))
	if systemdRuns() {
		group = "/system.slice/docker-" + filepath.Base(group) + ".scope"
	}
	return cgroupValue(c.T, group, v1Controller, v1File, v2File)
}

// ready is a script's beginning that tells awaitReady that the rest has begun.
const ready = "echo ready; "

// awaitReady waits for what a script prints first.
func (c *docker) awaitReady() *session {
	c.Helper()
	s := onPipes(c.T, c.docker("logs", "--follow", c.id).line...)
	s.await("ready\n")
	return s
}
