package managers

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/console"
)

// podmanGroup is where Podman makes the cgroups of the containers and pods.
const podmanGroup = "/podman-cases"

// podmanInfraImage is what holds a pod's namespaces.
const podmanInfraImage = "skep.test/infra:latest"

// podmanStore is what makes one installation of Podman: images and containers,
// their state, and a configuration.
type podmanStore struct {
	flags    []string // before each command
	env      []string
	before   []string // the program that runs Podman as somebody else
	runFlags []string // of each container
	dir      string   // the working directory of the commands
	archive  string   // of its images
}

// TestPodman runs containers by Podman and conmon.
func TestPodman(t *testing.T) {
	need(t, "podman", "conmon", "tini-static", "busybox")
	ownCgroup(t, podmanGroup)
	discardChanges(t, "/var/lib") // network plug-ins keep their state there
	archive := busyboxArchive(t, busyboxImage, defaultConfig)
	p := newPodmanStore(t, "overlay", archive)
	infra := imageConfig{Env: defaultConfig.Env, Cmd: []string{"sleep", "infinity"}, StopSignal: "SIGKILL"}
	p.podman("load", "--input", busyboxArchive(t, podmanInfraImage, infra)).succeed(t)
	// Podman keeps a cgroup for conmon, which the first container makes.
	p.podman("run", "--rm", "--cgroup-parent", podmanGroup, busyboxImage, "true").succeed(t)
	for _, c := range slices.Concat(podmanRunCases, podmanLimitCases, podmanPrivilegeCases, podmanTaskCases, podmanPodCases, podmanAboutCases) {
		testCase(t, c.name, nil, func(t *testing.T) { c.run(newPodman(t, p)) })
	}
}

// newPodmanStore returns an installation with the images of an archive.
// Everything that Podman would look up on the host is given.
func newPodmanStore(t *testing.T, driver, archive string) *podmanStore {
	t.Helper()
	dir := tempDir(t)
	p := &podmanStore{
		flags:    podmanFlags(dir, driver),
		env:      podmanConfiguration(t, dir),
		dir:      dir,
		archive:  archive,
		runFlags: []string{"--cgroup-parent", podmanGroup},
	}
	if driver == "overlay" { // which else makes a mount of its home, and removes it sometimes
		p.flags = append(p.flags, "--storage-opt", "overlay.skip_mount_home=true")
	}
	p.podman("load", "--input", archive).succeed(t)
	return p
}

// podmanFlags are of every command.
func podmanFlags(dir, driver string) []string {
	return []string{
		"--root", dir + "/root", "--runroot", dir + "/run", "--tmpdir", dir + "/tmp", "--storage-driver", driver,
		"--runtime", runtimeUnderTest, "--cgroup-manager", "cgroupfs",
	}
}

// podmanConfiguration writes containers.conf and returns the variables by which
// Podman finds it.
func podmanConfiguration(t *testing.T, dir string) []string {
	t.Helper()
	conf := filepath.Join(dir, "containers.conf")
	name := filepath.Base(runtimeUnderTest)
	writeFile(t, conf, fmt.Sprintf(`
[containers]
log_driver = "k8s-file"
init_path = "/usr/bin/tini-static"
netns = "none"
default_capabilities = [
	"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
]
[engine]
infra_image = %[1]q
events_logger = "file"
image_copy_tmp_dir = %[2]q
lock_type = "file"
runtime_supports_json = [%[3]q]
runtime_supports_nocgroup = [%[3]q]
[network]
network_config_dir = %[4]q
`, podmanInfraImage, dir, name, dir+"/networks"))
	return []string{"CONTAINERS_CONF=" + conf, "HOME=" + dir}
}

// podman is a command of the installation.
func (p *podmanStore) podman(args ...string) call {
	return call{line: slices.Concat(p.before, []string{"podman"}, p.flags, args), env: p.env, dir: p.dir}
}

// podmanCase is one subtest.
type podmanCase struct {
	name string
	run  func(c *podman)
}

// podman is what a case has: a container's name, and how to get at it.
type podman struct {
	checks
	*podmanStore
	id string
}

func newPodman(t *testing.T, p *podmanStore) *podman {
	c := &podman{checks: checks{t}, podmanStore: p, id: strings.ToLower(filepath.Base(t.Name()))}
	t.Cleanup(func() {
		if t.Failed() { // it may have left what the next cases would stumble over
			c.podman("pod", "rm", "--all", "--force", "--time", "0").run(t)
			c.podman("rm", "--all", "--force", "--time", "0", "--volumes").run(t)
		}
	})
	return c
}

// runCall is `podman run` of a container that is removed afterwards; args
// begin with flags.
func (c *podman) runCall(args ...string) call {
	return c.podman(slices.Concat([]string{"run", "--rm", "--name", c.id}, c.runFlags, args)...)
}

// scriptCall runs a shell script in a container of the busybox image.
func (c *podman) scriptCall(script string, flags ...string) call {
	return c.runCall(append(flags, busyboxImage, "sh", "-ec", script)...)
}

// sh runs a script in the foreground and returns what it has printed.
func (c *podman) sh(script string, flags ...string) string {
	c.Helper()
	return c.scriptCall(script, flags...).succeed(c.T)
}

// detach runs a script in the background until the case ends.
func (c *podman) detach(script string, flags ...string) {
	c.Helper()
	c.detachAs(c.id, script, flags...)
}

// detachAs does so with a name.
func (c *podman) detachAs(name, script string, flags ...string) {
	c.Helper()
	c.detachCall(name, script, flags...).succeed(c.T)
	c.Cleanup(func() { c.remove(name) })
}

// detachCall is `podman run --detach` of a script.
func (c *podman) detachCall(name, script string, flags ...string) call {
	return c.podman(slices.Concat([]string{"run", "--detach", "--name", name}, c.runFlags, flags,
		[]string{busyboxImage, "sh", "-ec", script})...)
}

// remove kills and removes a container with its volumes.
func (c *podman) remove(name string) {
	c.Helper()
	c.podman("rm", "--force", "--time", "0", "--volumes", "--ignore", name).succeed(c.T)
}

// exec runs a command in the container and returns what it has printed.
func (c *podman) exec(line ...string) string {
	c.Helper()
	return c.execCall(nil, line...).succeed(c.T)
}

// execCall is `podman exec` with flags.
func (c *podman) execCall(flags []string, line ...string) call {
	return c.podman(slices.Concat([]string{"exec"}, flags, []string{c.id}, line)...)
}

// inspect fills a template with what Podman knows of the container.
func (c *podman) inspect(format string) string {
	c.Helper()
	return c.podman("container", "inspect", "--format", format, c.id).succeed(c.T)
}

// proc is the path of a file of init's below /proc.
func (c *podman) proc(name string) string {
	c.Helper()
	return fmt.Sprintf("/proc/%s/%s", c.inspect("{{.State.Pid}}"), name)
}

// cgroup reads a file of the container's cgroup on the host.
func (c *podman) cgroup(v1Controller, v1File, v2File string) string {
	c.Helper()
	return cgroupValue(c.T, c.inspect("{{.State.CgroupPath}}"), v1Controller, v1File, v2File)
}

// awaitReady waits for what a script prints first.
func (c *podman) awaitReady() *session {
	c.Helper()
	return c.follow("ready\n")
}

// follow reads the logs of the container, and waits for its first texts.
func (c *podman) follow(texts ...string) *session {
	c.Helper()
	s := c.onPipes(c.podman("logs", "--follow", c.id))
	s.await(texts...)
	return s
}

// onPipes starts a command with pipes for its streams.
func (c *podman) onPipes(call call) *session {
	c.Helper()
	return onPipes(c.T, append(append([]string{"env"}, call.env...), call.line...)...)
}

// onTerminal starts a command on a terminal of its own.
func (c *podman) onTerminal(size console.WinSize, call call) *session {
	c.Helper()
	return onTerminal(c.T, size, append(append([]string{"env"}, call.env...), call.line...)...)
}

// pid is the pid of init.
func (c *podman) pid() int {
	c.Helper()
	pid, err := strconv.Atoi(c.inspect("{{.State.Pid}}"))
	c.ok(err)
	return pid
}
