package managers

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// dockerRunCases: what a container is made with, seen from inside.
var dockerRunCases = []dockerCase{
	{"Run", func(c *docker) {
		c.equal("output", c.sh(`echo $$ hello`), "1 hello")
	}},
	{"ExitCodes", func(c *docker) {
		for _, test := range []struct {
			flags, line []string
			code        int
			stderr      string
		}{
			{nil, []string{"true"}, 0, ""},
			{nil, []string{"sh", "-c", "echo problem >&2; exit 7"}, 7, "problem"},
			{nil, []string{"sh", "-c", "kill -KILL $$; kill -TERM $$; exit 255"}, 255, ""}, // its process 1 is out of their reach
			{nil, []string{"/etc/passwd"}, 126, "permission denied"},
			{nil, []string{"/etc"}, 126, "permission denied"},
			{nil, []string{"no-such-program"}, 127, `exec: "no-such-program": executable file not found in $PATH`},
			{nil, []string{"/no/such/program"}, 127, "no such file or directory"},
			{[]string{"--workdir", "/etc/passwd"}, []string{"true"}, 125, "not a directory"},
			{[]string{"--memory", "1k"}, []string{"true"}, 125, "Minimum memory limit"},
			{[]string{"--runtime", "nobody-s"}, []string{"true"}, 125, "nobody-s"},
		} {
			call := c.runCall(append(append(test.flags, busyboxImage), test.line...)...)
			res := call.run(c.T)
			if res.code != test.code || !strings.Contains(res.stderr, test.stderr) {
				c.Errorf("%q: exit code %d, want %d; stderr: %s", test.line, res.code, test.code, res.stderr)
			}
		}
	}},
	{"Environment", func(c *docker) {
		file := filepath.Join(tempDir(c.T), "env")
		writeFile(c.T, file, "FILED=away\n# a comment\nINHERITED\n")
		call := c.scriptCall(`echo $BAKED $ADDED $FILED $INHERITED $HOME; tr '\0' '\n' </proc/1/environ | grep -c ^PATH=`,
			"--env", "ADDED=more", "--env-file", file)
		call.env = []string{"INHERITED=from the client"}
		c.equal("environment", c.output(call), "in more away from the client /root\n1")
	}},
	{"UserAndGroups", func(c *docker) {
		for _, test := range []struct{ user, want string }{
			{"user", "uid=1000(user) gid=1000(user) groups=50(staff),1000(user),1234\n/home/user"},
			{"1000:50", "uid=1000(user) gid=50(staff) groups=50(staff),1234\n/home/user"},
			{"2000:3000", "uid=2000 gid=3000 groups=1234,3000\n/"},
		} {
			c.equal(test.user, c.sh(`id; echo $HOME`, "--user", test.user, "--group-add", "1234"), test.want)
		}
	}},
	{"WorkingDirectory", func(c *docker) {
		c.equal("existing", c.sh(`pwd`, "--workdir", "/tmp"), "/tmp")
		c.equal("missing", c.sh(`pwd; stat -c %a .`, "--workdir", "/not/there"), "/not/there\n755")
	}},
	{"HostnameAndResolver", func(c *docker) {
		got := c.sh(`hostname; dnsdomainname; cat /etc/hostname; grep -c elsewhere /etc/hosts; grep -E '^(search|nameserver)' /etc/resolv.conf | sort -r`,
			"--hostname", "combs", "--domainname", "hive.test", "--add-host", "elsewhere:192.0.2.7", "--dns", "192.0.2.53", "--dns-search", "hive.test")
		c.equal("inside", got, "combs\nhive.test\ncombs\n1\nsearch hive.test\nnameserver 192.0.2.53")
	}},
	{"BindMounts", func(c *docker) {
		dir := tempDir(c.T)
		writeFile(c.T, filepath.Join(dir, "host"), "from the host\n")
		got := c.sh(`cat /rw/host; echo from inside >/rw/container; ! echo no >/ro/container; ! echo no >/mount/container; cat /ro/container /file; ls /made`,
			"--volume", dir+":/rw", "--volume", dir+":/ro:ro", "--mount", "type=bind,src="+dir+",dst=/mount,readonly",
			"--mount", "type=bind,src="+dir+"/host,dst=/file", "--volume", dir+"/made:/made")
		c.equal("read inside", got, "from the host\nfrom inside\nfrom the host")
		c.equal("written inside", readFile(c.T, filepath.Join(dir, "container")), "from inside")
		for propagation, want := range map[string]string{"rprivate": "", "rslave": "master", "rshared": "shared"} {
			script := `grep ' /here ' /proc/self/mountinfo | grep -o -E 'shared|master' || true`
			c.equal(propagation, c.scriptCall(script, "--volume", dir+":/here:"+propagation).succeed(c.T), want)
		}
	}},
	{"NamedVolumes", func(c *docker) {
		volume := c.docker("volume", "create", c.id).succeed(c.T)
		c.Cleanup(func() { c.docker("volume", "rm", volume).succeed(c.T) })
		c.equal("first", c.sh(`echo kept >/home/user/file; stat -c %u:%g /home/user`, "--volume", volume+":/home/user"), "1000:1000")
		script := `cat /data/file; ! touch /data/other; stat -c %u:%g /data`
		c.equal("second", c.sh(script, "--mount", "type=volume,src="+volume+",dst=/data,readonly"), "kept\n1000:1000")
		c.detach(`echo shared >/anonymous/file; `+ready+`exec sleep 1000`, "--volume", "/anonymous")
		c.awaitReady()
		c.equal("--volumes-from", c.output(c.docker("run", "--rm", "--volumes-from", c.id, busyboxImage, "cat", "/anonymous/file")), "shared")
	}},
	{"Tmpfs", func(c *docker) {
		fill := `! dd if=/dev/zero of=/scratch/f bs=1M count=2 2>/dev/null; stat -c %s /scratch/f`
		got := c.sh(`grep ' /scratch ' /proc/self/mountinfo; stat -c %a /scratch; `+fill, "--tmpfs", "/scratch:size=1m,mode=1770,exec,nodev")
		c.contains("--tmpfs", got, "nosuid,nodev", "size=1024k", "\n1770\n1048576")
		got = c.sh(`grep ' /scratch ' /proc/self/mountinfo; stat -c %a /scratch; `+fill, "--mount", "type=tmpfs,dst=/scratch,tmpfs-size=1048576,tmpfs-mode=0700")
		c.contains("--mount", got, "nosuid,nodev,noexec", "size=1024k", "\n700\n1048576")
	}},
	{"ReadOnly", func(c *docker) {
		res := c.scriptCall(`touch /dev/shm/f /tmp/f; touch /f`, "--read-only", "--tmpfs", "/tmp").run(c.T)
		if res.code != 1 || res.stderr != "touch: /f: Read-only file system" {
			c.Errorf("%+v", res)
		}
	}},
	{"Init", func(c *docker) {
		// The child's child is orphaned; without an init that reaps it stays a zombie.
		c.detach(`sh -c 'true & echo $! >/orphan'; `+ready+`exec sleep 1000`, "--init")
		c.awaitReady()
		c.equal("process 1", c.exec("cat", "/proc/1/comm"), "docker-init")
		c.exec("sh", "-c", `while [ -e /proc/$(cat /orphan)/status ]; do :; done; echo reaped`)
	}},
	{"Devices", func(c *docker) {
		script := `stat -c '%F %t:%T' /dev/other; head -c 0 /dev/other && echo read; (: >/dev/other) && echo written || true`
		got := c.sh(script, "--device", "/dev/kmsg:/dev/other", "--cap-add", "SYSLOG")
		c.equal("--device", got, "character special file 1:b\nread\nwritten")
		got = c.sh(script, "--device", "/dev/kmsg:/dev/other:r", "--cap-add", "SYSLOG")
		c.equal("--device read-only", got, "character special file 1:b\nread")
		script = `mknod /kmsg c 1 11; head -c 0 /kmsg && echo opened`
		c.scriptCall(script, "--cap-add", "SYSLOG").refuse(c.T, "Operation not permitted")
		c.equal("--device-cgroup-rule", c.sh(script, "--cap-add", "SYSLOG", "--device-cgroup-rule", "c 1:11 rm"), "opened")
		c.equal("defaults", c.sh(`for d in null zero full random urandom tty ptmx; do [ -c /dev/$d ] || echo lacks $d; done; echo x >/dev/null; readlink /dev/fd`), "/proc/self/fd")
	}},
	{"Sysctls", func(c *docker) {
		got := c.sh(`cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_unprivileged_port_start; ! echo 1 >/proc/sys/kernel/msgmax`,
			"--sysctl", "kernel.msgmax=9000", "--sysctl", "net.ipv4.ip_unprivileged_port_start=77")
		c.equal("inside", got, "9000\n77")
	}},
	{"SharedMemory", func(c *docker) {
		c.contains("/dev/shm", c.sh(`grep ' /dev/shm ' /proc/self/mountinfo`, "--shm-size", "8m"), "size=8192k", "nosuid,nodev,noexec")
	}},
	{"HostNamespaces", func(c *docker) {
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
	{"SharedNamespaces", func(c *docker) {
		c.detach(`echo shared >/dev/shm/file; `+ready+`exec sleep 1234`, "--ipc", "shareable", "--hostname", "combs")
		c.awaitReady()
		script := `for ns in pid ipc net; do readlink /proc/self/ns/$ns; done; tr '\0' ' ' </proc/1/cmdline; echo; cat /dev/shm/file; hostname`
		got := c.output(c.docker("run", "--rm", "--pid", "container:"+c.id, "--ipc", "container:"+c.id, "--network", "container:"+c.id, busyboxImage, "sh", "-c", script))
		var want strings.Builder
		for _, ns := range []string{"pid", "ipc", "net"} {
			link, err := os.Readlink(c.proc("ns/" + ns))
			c.ok(err)
			fmt.Fprintln(&want, link)
		}
		c.equal("seen from the second", got, want.String()+"sleep 1234 \nshared\ncombs")
	}},
	{"ImageConfig", func(c *docker) {
		image := "skep.test/configured:latest"
		c.docker("load", "--input", busyboxArchive(c.T, image, imageConfig{
			User: "user", WorkingDir: "/home/user", Entrypoint: []string{"/bin/sh", "-c"}, Cmd: []string{`id -un; pwd; echo $PATH`},
			Env: []string{"PATH=/bin"}, Volumes: map[string]struct{}{"/data": {}},
		})).succeed(c.T)
		c.Cleanup(func() { c.docker("rmi", image).succeed(c.T) })
		c.equal("as configured", c.output(c.runCall(image)), "user\n/home/user\n/bin")
		c.equal("arguments", c.output(c.runCall(image, "grep -c ' /data ' /proc/self/mountinfo")), "1")
		c.equal("--entrypoint", c.output(c.runCall("--entrypoint", "/bin/echo", image, "replaced")), "replaced")
	}},
	{"Debian", func(c *docker) {
		script := `dpkg-query -W -f '${Status}\n' libc6; su -s /bin/sh nobody -c 'id -un'; apt-config dump >/dev/null && echo apt`
		c.equal("output", c.output(c.runCall(debianImage, "bash", "-ec", script)), "install ok installed\nnobody\napt")
	}},
	{"HiddenPaths", func(c *docker) {
		script := `cd /proc; for f in kcore keys timer_list latency_stats sched_debug; do [ ! -e $f ] || wc -c <$f; done | sort -u; ls /sys/firmware | wc -l; echo 1 2>/dev/null >/proc/sys/kernel/msgmax || echo read-only`
		c.equal("default", c.sh(script), "0\n0\nread-only")
		c.equal("systempaths=unconfined", c.sh(`grep -c ' /proc/' /proc/self/mountinfo || true`, "--security-opt", "systempaths=unconfined"), "0")
	}},
}
