package managers

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// podmanRunCases: what a container is made with, seen from inside.
var podmanRunCases = []podmanCase{
	{"Run", func(c *podman) {
		c.equal("output", c.sh(`echo $$ hello`), "1 hello")
	}},
	{"RuntimeIsUsed", func(c *podman) {
		c.detach(`exec sleep 1000`)
		c.equal("inspect", c.inspect("{{.OCIRuntime}}"), runtimeUnderTest)
		state := run(c.T, runtimeUnderTest, "state", c.inspect("{{.Id}}"))
		c.contains("its state", state, `"status": "running"`, `"pid": `+c.inspect("{{.State.Pid}}"))
	}},
	{"ExitCodes", func(c *podman) {
		for _, test := range []struct {
			flags, line []string
			code        int
			stderr      string
		}{
			{nil, []string{"true"}, 0, ""},
			{nil, []string{"sh", "-c", "echo problem >&2; exit 7"}, 7, "problem"},
			{nil, []string{"sh", "-c", "kill -KILL $$; kill -TERM $$; exit 255"}, 255, ""}, // its process 1 is out of their reach
			{nil, []string{"/etc/passwd"}, 126, "permission denied"},
			{nil, []string{"/etc"}, 126, ""},
			{nil, []string{"no-such-program"}, 127, "no-such-program"},
			{nil, []string{"/no/such/program"}, 127, "no such file or directory"},
			{[]string{"--workdir", "/etc/passwd"}, []string{"true"}, 126, "not a directory"},
			{[]string{"--no-such-flag"}, []string{"true"}, 125, "no-such-flag"},
			{[]string{"--volume", "/no/such/directory:/x"}, []string{"true"}, 125, "/no/such/directory"},
		} {
			res := c.runCall(append(append(test.flags, busyboxImage), test.line...)...).run(c.T)
			if res.code != test.code || !strings.Contains(res.stderr, test.stderr) {
				c.Errorf("%q %q: exit code %d, want %d; stderr: %s", test.flags, test.line, res.code, test.code, res.stderr)
			}
		}
	}},
	{"Environment", func(c *podman) {
		file := filepath.Join(tempDir(c.T), "env")
		writeFile(c.T, file, "FILED=away\n# a comment\nINHERITED\n")
		call := c.scriptCall(`echo $BAKED $ADDED $FILED $INHERITED $HOME $container; tr '\0' '\n' </proc/1/environ | grep -c ^PATH=`,
			"--env", "ADDED=more", "--env-file", file)
		call.env = append(call.env, "INHERITED=from the caller")
		c.equal("environment", call.succeed(c.T), "in more away from the caller /root podman\n1")
	}},
	{"UserAndGroups", func(c *podman) {
		for _, test := range []struct{ user, want string }{
			{"user", "uid=1000(user) gid=1000(user) groups=50(staff),1000(user),1234\n/home/user"},
			{"1000:50", "uid=1000(user) gid=50(staff) groups=50(staff),1234\n/home/user"},
			{"2000:3000", "uid=2000(2000) gid=3000(3000) groups=1234,3000(3000)\n/"},
		} {
			c.equal(test.user, c.sh(`id; echo $HOME`, "--user", test.user, "--group-add", "1234"), test.want)
		}
	}},
	{"WorkingDirectory", func(c *podman) {
		c.equal("existing", c.sh(`pwd`, "--workdir", "/tmp"), "/tmp")
	}},
	{"HostnameAndResolver", func(c *podman) {
		got := c.sh(`hostname; echo $(cat /etc/hostname); cat /etc/resolv.conf; cat /proc/sys/kernel/hostname`,
			"--hostname", "combs", "--dns", "192.0.2.53", "--dns-search", "hive.test", "--network", "host")
		c.equal("inside", got, "combs\ncombs\nsearch hive.test\nnameserver 192.0.2.53\ncombs")
	}},
	{"BindMounts", func(c *podman) {
		dir := tempDir(c.T)
		writeFile(c.T, filepath.Join(dir, "host"), "from the host\n")
		got := c.sh(`cat /rw/host; echo from inside >/rw/container; ! echo no >/ro/container; ! echo no >/mount/container; cat /ro/container /file`,
			"--volume", dir+":/rw", "--volume", dir+":/ro:ro", "--mount", "type=bind,src="+dir+",dst=/mount,readonly",
			"--mount", "type=bind,src="+dir+"/host,dst=/file")
		c.equal("read inside", got, "from the host\nfrom inside\nfrom the host")
		c.equal("written inside", readFile(c.T, filepath.Join(dir, "container")), "from inside")
		for propagation, want := range map[string]string{"rprivate": "", "rslave": "master", "rshared": "shared"} {
			script := `grep ' /here ' /proc/self/mountinfo | grep -o -E 'shared|master' || true`
			c.equal(propagation, c.sh(script, "--volume", dir+":/here:"+propagation), want)
		}
	}},
	{"NamedVolumes", func(c *podman) {
		c.Cleanup(func() { c.podman("volume", "rm", c.id).succeed(c.T) })
		c.equal("first", c.sh(`echo kept >/home/user/file; stat -c %u:%g /home/user`, "--volume", c.id+":/home/user"), "1000:1000")
		script := `cat /data/file; ! touch /data/other; stat -c %u:%g /data`
		c.equal("second", c.sh(script, "--volume", c.id+":/data:ro"), "kept\n1000:1000")
		c.equal("on the host", readFile(c.T, filepath.Join(c.podman("volume", "inspect", "--format", "{{.Mountpoint}}", c.id).succeed(c.T), "file")), "kept")
		c.detach(`echo shared >/anonymous/file; `+ready+`exec sleep 1000`, "--volume", "/anonymous")
		c.awaitReady()
		c.equal("--volumes-from", c.podman("run", "--rm", "--volumes-from", c.id, "--cgroup-parent", podmanGroup, busyboxImage, "cat", "/anonymous/file").succeed(c.T), "shared")
	}},
	{"Tmpfs", func(c *podman) {
		fill := `! dd if=/dev/zero of=/scratch/f bs=1M count=2 2>/dev/null; stat -c %s /scratch/f`
		got := c.sh(`grep ' /scratch ' /proc/self/mountinfo; stat -c %a /scratch; `+fill, "--tmpfs", "/scratch:size=1m,mode=1770,exec,nodev")
		c.contains("--tmpfs", got, "nosuid,nodev", "size=1024k", "\n1770\n1048576")
		got = c.sh(`grep ' /scratch ' /proc/self/mountinfo; stat -c %a /scratch; `+fill, "--mount", "type=tmpfs,dst=/scratch,tmpfs-size=1048576,tmpfs-mode=0700")
		c.contains("--mount", got, "nosuid,nodev", "size=1024k", "\n700\n1048576")
	}},
	{"ReadOnly", func(c *podman) {
		res := c.scriptCall(`touch /dev/shm/f /tmp/f; touch /f`, "--read-only").run(c.T)
		if res.code != 1 || res.stderr != "touch: /f: Read-only file system" {
			c.Errorf("%+v", res)
		}
		c.scriptCall(`touch /tmp/f`, "--read-only", "--read-only-tmpfs=false").refuse(c.T, "Read-only file system")
	}},
	{"Init", func(c *podman) {
		// The child's child is orphaned; without an init that reaps it stays a zombie.
		c.detach(`sh -c 'true & echo $! >/orphan'; `+ready+`exec sleep 1000`, "--init")
		c.awaitReady()
		c.equal("process 1", c.exec("cat", "/proc/1/comm"), "podman-init")
		c.exec("sh", "-c", `while [ -e /proc/$(cat /orphan)/status ]; do :; done`)
	}},
	{"Devices", func(c *podman) {
		script := `stat -c '%F %t:%T' /dev/other; head -c 0 /dev/other && echo read; (: >/dev/other) && echo written || true`
		got := c.sh(script, "--device", "/dev/kmsg:/dev/other", "--cap-add", "SYSLOG")
		c.equal("--device", got, "character special file 1:b\nread\nwritten")
		got = c.sh(script, "--device", "/dev/kmsg:/dev/other:r", "--cap-add", "SYSLOG")
		c.equal("--device read-only", got, "character special file 1:b\nread")
		script = `mknod /kmsg c 1 11; head -c 0 /kmsg && echo opened`
		c.scriptCall(script, "--cap-add", "SYSLOG,MKNOD").refuse(c.T, "Operation not permitted")
		c.equal("--device-cgroup-rule", c.sh(script, "--cap-add", "SYSLOG,MKNOD", "--device-cgroup-rule", "c 1:11 rm"), "opened")
		c.equal("defaults", c.sh(`for d in null zero full random urandom tty ptmx; do [ -c /dev/$d ] || echo lacks $d; done; echo x >/dev/null; readlink /dev/fd`), "/proc/self/fd")
	}},
	{"Sysctls", func(c *podman) {
		got := c.sh(`cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_unprivileged_port_start; ! echo 1 >/proc/sys/kernel/msgmax`,
			"--sysctl", "kernel.msgmax=9000", "--sysctl", "net.ipv4.ip_unprivileged_port_start=77")
		c.equal("inside", got, "9000\n77")
	}},
	{"SharedMemory", func(c *podman) {
		c.contains("/dev/shm", c.sh(`grep ' /dev/shm ' /proc/self/mountinfo`, "--shm-size", "8m"), "size=8192k", "nosuid,nodev,noexec")
	}},
	{"HostNamespaces", func(c *podman) {
		inside := strings.Fields(c.sh(`for ns in pid uts ipc net mnt cgroup user; do readlink /proc/self/ns/$ns; done`,
			"--pid", "host", "--uts", "host", "--ipc", "host", "--network", "host", "--cgroupns", "host"))
		for i, name := range []string{"pid", "uts", "ipc", "net", "mnt", "cgroup", "user"} {
			host, err := os.Readlink("/proc/self/ns/" + name)
			c.ok(err)
			if shared := inside[i] == host; shared != (name != "mnt") {
				c.Errorf("%s namespace: %s, the host's is %s", name, inside[i], host)
			}
		}
		own := c.sh(`readlink /proc/self/ns/cgroup; cat /proc/self/cgroup`, "--cgroupns", "private")
		if host, _ := os.Readlink("/proc/self/ns/cgroup"); strings.Contains(own, host) || regexp.MustCompile(`(?m):/.+$`).MatchString(own) {
			c.Errorf("a cgroup namespace of its own: %s", own)
		}
	}},
	{"SharedNamespaces", func(c *podman) {
		c.detach(`echo shared >/dev/shm/file; `+ready+`exec sleep 1234`, "--ipc", "shareable", "--hostname", "combs")
		c.awaitReady()
		script := `for ns in pid ipc net uts; do readlink /proc/self/ns/$ns; done; tr '\0' ' ' </proc/1/cmdline; echo; cat /dev/shm/file; hostname`
		other := "container:" + c.id
		got := c.podman("run", "--rm", "--cgroup-parent", podmanGroup, "--pid", other, "--ipc", other, "--network", other, "--uts", other, busyboxImage, "sh", "-c", script).succeed(c.T)
		var want strings.Builder
		for _, ns := range []string{"pid", "ipc", "net", "uts"} {
			link, err := os.Readlink(c.proc("ns/" + ns))
			c.ok(err)
			fmt.Fprintln(&want, link)
		}
		c.equal("seen from the second", got, want.String()+"sleep 1234 \nshared\ncombs")
	}},
	{"ImageConfig", func(c *podman) {
		image := "skep.test/configured:latest"
		c.podman("load", "--input", busyboxArchive(c.T, image, imageConfig{
			User: "user", WorkingDir: "/home/user", Entrypoint: []string{"/bin/sh", "-c"}, Cmd: []string{`id -un; pwd; echo $PATH`},
			Env: []string{"PATH=/bin"}, Volumes: map[string]struct{}{"/data": {}},
		})).succeed(c.T)
		c.Cleanup(func() { c.podman("rmi", image).succeed(c.T) })
		c.equal("as configured", c.runCall(image).succeed(c.T), "user\n/home/user\n/bin")
		c.equal("arguments", c.runCall(image, "grep -c ' /data ' /proc/self/mountinfo").succeed(c.T), "1")
		c.equal("--entrypoint", c.runCall("--entrypoint", "/bin/echo", image, "replaced").succeed(c.T), "replaced")
	}},
	{"HiddenPaths", func(c *podman) {
		script := `cd /proc; for f in kcore keys timer_list latency_stats sched_debug; do [ ! -e $f ] || wc -c <$f; done | sort -u; ls /sys/firmware | wc -l; echo 1 2>/dev/null >/proc/sys/kernel/msgmax || echo read-only`
		c.equal("default", c.sh(script), "0\n0\nread-only")
		c.equal("unmask=ALL", c.sh(`grep -c ' /proc/' /proc/self/mountinfo || true`, "--security-opt", "unmask=ALL"), "0")
	}},
}
