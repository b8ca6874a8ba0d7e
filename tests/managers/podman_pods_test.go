package managers

import (
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// podmanPodCases: what Podman makes of several containers, or of none.
var podmanPodCases = []podmanCase{
	{"Pod", func(c *podman) {
		c.pod("--share", "net,ipc,uts", "--hostname", "combs")
		script := `for ns in net ipc uts; do readlink /proc/self/ns/$ns; done; hostname`
		inPod := func(script string) string {
			return c.podman("run", "--rm", "--pod", c.id+"-pod", busyboxImage, "sh", "-ec", script).succeed(c.T)
		}
		first := inPod(script + `; echo $$; echo shared >/dev/shm/file`)
		c.contains("the first container", first, "\ncombs\n1")
		c.equal("the second container", inPod(script+`; echo $$; cat /dev/shm/file`), first+"\nshared")
	}},
	{"PodPids", func(c *podman) {
		c.pod("--share", "pid,net")
		c.detach(ready+`exec sleep 7000`, "--pod", c.id+"-pod")
		c.awaitReady()
		script := `until cat /proc/[0-9]*/cmdline | tr '\0' ' ' | grep -q 'sleep 700[0]'; do :; done; tr '\0' ' ' </proc/1/cmdline`
		c.equal("process 1", c.podman("run", "--rm", "--pod", c.id+"-pod", busyboxImage, "sh", "-c", script).succeed(c.T), "sleep infinity")
	}},
	{"PodLife", func(c *podman) {
		pod := c.pod()
		c.detach(`trap 'echo asked; exit 6' TERM; `+ready+`while :; do sleep 0.01; done`, "--pod", pod)
		s := c.awaitReady()
		c.podman("pod", "pause", pod).succeed(c.T)
		c.equal("paused", c.inspect("{{.State.Status}}"), "paused")
		c.podman("pod", "unpause", pod).succeed(c.T)
		c.equal("unpaused", c.inspect("{{.State.Status}}"), "running")
		c.contains("stats", c.podman("pod", "stats", "--no-stream", "--no-reset", pod).succeed(c.T), c.id)
		c.podman("pod", "stop", "--time", "60", pod).succeed(c.T)
		s.await("asked")
		c.equal("exit code", c.inspect("{{.State.ExitCode}}"), "6")
		c.podman("pod", "start", pod).succeed(c.T)
		c.equal("started again", c.inspect("{{.State.Status}}"), "running")
	}},
	{"Kube", func(c *podman) {
		file := filepath.Join(tempDir(c.T), "pod.yaml")
		writeFile(c.T, file, strings.NewReplacer("NAME", c.id, "IMAGE", busyboxImage).Replace(`
apiVersion: v1
kind: Pod
metadata:
  name: NAME-pod
spec:
  hostname: combs
  containers:
    - name: one
      image: IMAGE
      command: [sh, -c, 'hostname; echo $GIVEN; id -u; touch /new 2>&1; echo ready; exec sleep 1000']
      env: [{name: GIVEN, value: this}]
      resources: {limits: {memory: 64Mi, cpu: 500m}}
      securityContext: {runAsUser: 1000, readOnlyRootFilesystem: true, capabilities: {drop: [CHOWN]}}
    - name: two
      image: IMAGE
      command: [sleep, "1000"]
`))
		c.Cleanup(func() { removeOwnCgroup(c.T, "/libpod_parent") })
		c.Cleanup(func() { c.podman("play", "kube", "--down", file).succeed(c.T) })
		c.podman("play", "kube", "--network", "none", file).succeed(c.T)
		c.id += "-pod-one"
		s := c.awaitReady()
		c.contains("output", s.out.String(), "combs\nthis\n1000\ntouch: /new: Read-only file system")
		c.equal("memory", c.cgroup("memory", "memory.limit_in_bytes", "memory.max"), "67108864")
		c.equal("quota", firstWord(c.cgroup("cpu", "cpu.cfs_quota_us", "cpu.max")), "50000")
		pod := strings.TrimSuffix(c.id, "-one")
		c.contains("generate kube", c.podman("generate", "kube", pod).succeed(c.T), "name: "+pod, "runAsUser: 1000", "memory: 64Mi")
	}},
	{"Build", func(c *podman) {
		c.build("oci")
	}},
	{"BuildChroot", func(c *podman) {
		c.build("chroot")
	}},
	{"Commit", func(c *podman) {
		image := "skep.test/committed:latest"
		c.Cleanup(func() { c.podman("rmi", image).succeed(c.T) })
		c.detach(`echo changed >/etc/new; ` + ready + `exec sleep 1000`)
		c.awaitReady()
		c.podman("commit", "--quiet", "--change", `ENV MORE=said`, c.id, image).succeed(c.T) // pauses it meanwhile
		c.equal("status", c.inspect("{{.State.Status}}"), "running")
		c.remove(c.id)
		c.equal("output", c.runCall(image, "sh", "-c", `cat /etc/new; echo $MORE`).succeed(c.T), "changed\nsaid")
	}},
	{"Copy", func(c *podman) {
		dir := tempDir(c.T)
		writeFile(c.T, dir+"/in", "from the host\n")
		c.detach(`exec sleep 1000`, "--tmpfs", "/scratch")
		c.podman("cp", dir+"/in", c.id+":/scratch/in").succeed(c.T)
		c.equal("inside", c.exec("cat", "/scratch/in"), "from the host")
		c.exec("sh", "-c", `echo from inside >/scratch/out`)
		c.podman("cp", c.id+":/scratch/out", dir+"/out").succeed(c.T)
		c.equal("outside", readFile(c.T, dir+"/out"), "from inside")
	}},
	{"Bridge", func(c *podman) {
		network := c.id + "-net"
		c.podman("network", "create", "--disable-dns", "--subnet", "10.89.77.0/24", network).succeed(c.T)
		c.Cleanup(func() { c.podman("network", "rm", "--force", network).succeed(c.T) })
		c.Cleanup(func() { _ = unix.Unmount("/run/netns", unix.MNT_DETACH) }) // Podman leaves it
		c.detach(ready+`echo answer | nc -l -p 7777 >/heard; exec sleep 1000`, "--network", network, "--ip", "10.89.77.9")
		c.awaitReady()
		script := `ip -o -4 address show eth0 | grep -o '10.89.77[0-9./]*' | head -n 1; until nc 10.89.77.9 7777 </dev/null; do :; done`
		second := c.podman("run", "--rm", "--cgroup-parent", podmanGroup, "--network", network, "--ip", "10.89.77.10", busyboxImage, "sh", "-c", script)
		c.equal("second container", second.succeed(c.T), "10.89.77.10/24\nanswer")
	}},
}

// pod makes a pod with an infra container that lasts until the case ends, and
// returns its name.
func (c *podman) pod(flags ...string) string {
	c.Helper()
	name := c.id + "-pod"
	line := append([]string{"pod", "create", "--name", name, "--cgroup-parent", podmanGroup}, flags...)
	group := podmanGroup + "/" + c.podman(line...).succeed(c.T)
	c.Cleanup(func() {
		c.podman("pod", "rm", "--force", "--time", "0", name).succeed(c.T)
		removeOwnCgroup(c.T, group) // Podman removes it where it knows of the hierarchy
	})
	return name
}

// build builds an image in steps that run in containers.
func (c *podman) build(isolation string) {
	c.Helper()
	dir := tempDir(c.T)
	writeFile(c.T, dir+"/Containerfile", `FROM `+busyboxImage+`
ARG GIVEN
WORKDIR /work
COPY data .
RUN echo $GIVEN >given && id -u >>given && [ $$ = 1 ] && echo first >>given || echo not first >>given
USER user
RUN id -un; ! touch /no
CMD cat given data
`)
	writeFile(c.T, dir+"/data", "copied\n")
	image := "skep.test/" + c.id + ":latest"
	c.Cleanup(func() { c.podman("rmi", image).succeed(c.T) })
	// Podman 5 wants more open files than a machine may allow.
	line := []string{"build", "--isolation", isolation, "--cgroup-parent", podmanGroup + "/" + c.id, "--ulimit", "nofile=1000:1000", "--ulimit", "nproc=1000:1000"}
	c.podman(append(line, "--quiet", "--build-arg", "GIVEN=argument", "--tag", image, dir)...).succeed(c.T)
	first := map[string]string{"oci": "first", "chroot": "not first"}[isolation]
	c.equal("output", c.runCall(image).succeed(c.T), "argument\n0\n"+first+"\ncopied")
	c.podman(append(line, "--file", "-", dir)...).with("FROM "+busyboxImage+"\nRUN exit 5\n").refuse(c.T, "exit status 5")
}
