package managers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ctrRunCases: what a container is made with, seen from inside.
var ctrRunCases = []ctrCase{
	{"Run", func(c *ctr) {
		c.equal("output", c.sh(`echo $$ hello`), "1 hello")
	}},
	{"ExitStatus", func(c *ctr) {
		res := c.outcome(c.scriptCall(`echo out; echo err >&2; exit 7`, "--rm"), stdout|stderr)
		if res.code != 7 || res.stdout != "out" || !strings.HasSuffix(res.stderr, "err") {
			c.Errorf("%+v", res)
		}
	}},
	{"Environment", func(c *ctr) {
		file := filepath.Join(tempDir(c.T), "env")
		writeFile(c.T, file, "FILED=away\n")
		got := c.sh(`echo $BAKED $ADDED $FILED; tr '\0' '\n' </proc/1/environ | grep -c ^PATH=`, "--env", "ADDED=more", "--env-file", file)
		c.equal("environment", got, "in more away\n1")
	}},
	{"ImageConfig", func(c *ctr) {
		image := "skep.test/configured:latest"
		c.ctr("images", "import", busyboxArchive(c.T, image, imageConfig{
			User: "user", WorkingDir: "/home/user", Entrypoint: []string{"/bin/sh", "-c"}, Cmd: []string{`id; pwd; echo $HOME`},
			Env: []string{"PATH=/bin"},
		})).succeed(c.T)
		got := c.output(c.runCall("--rm", image, c.id))
		c.equal("user and directory", got, "uid=1000(user) gid=1000(user) groups=50(staff),1000(user)\n/home/user\n/home/user")
	}},
	{"Cwd", func(c *ctr) {
		c.equal("existing directory", c.sh(`pwd`, "--cwd", "/tmp"), "/tmp")
		c.equal("missing directory", c.sh(`pwd; stat -c %a .`, "--cwd", "/not/there"), "/not/there\n755")
	}},
	{"BindMounts", func(c *ctr) {
		dir := tempDir(c.T)
		writeFile(c.T, filepath.Join(dir, "host"), "from the host\n")
		mount := func(dst, options string) string {
			return "type=bind,src=" + dir + ",dst=" + dst + ",options=" + options
		}
		got := c.sh(`cat /rw/host; echo from inside >/rw/container; ! echo no >/ro/container; cat /ro/container; cat /file`,
			"--mount", mount("/rw", "rbind:rw"), "--mount", mount("/ro", "rbind:ro"),
			"--mount", "type=bind,src="+dir+"/host,dst=/file,options=bind:ro")
		c.equal("read inside", got, "from the host\nfrom inside\nfrom the host")
		c.equal("written inside", readFile(c.T, filepath.Join(dir, "container")), "from inside")
	}},
	{"MountThroughSymlink", func(c *ctr) {
		dir := tempDir(c.T)
		writeFile(c.T, filepath.Join(dir, "host"), "from the host\n")
		got := c.output(c.runCall("--rm", "--read-only", "--mount", "type=bind,src="+dir+",dst=/var/run/made/data,options=rbind:ro",
			debianImage, c.id, "sh", "-c", `readlink /var/run; cat /run/made/data/host`))
		c.equal("output", got, "/run\nfrom the host")
	}},
	{"ManyMounts", func(c *ctr) {
		var flags []string
		for i := range 60 {
			flags = append(flags, "--mount", fmt.Sprintf("type=bind,src=/etc,dst=/mounts/%d,options=rbind:ro:nosuid", i))
		}
		c.equal("mounts", c.sh(`grep -c ' /mounts/.* ro,nosuid' /proc/self/mountinfo`, flags...), "60")
	}},
	{"LargeProcess", func(c *ctr) {
		var flags []string
		for i := range 1000 {
			flags = append(flags, "--env", fmt.Sprintf("V%d=%060d", i, i))
		}
		got := c.sh(`env | grep -c ^V; echo ${#V999}; : `+strings.Repeat("x", 100000), flags...)
		c.equal("variables", got, "1000\n60")
	}},
	{"LongID", func(c *ctr) {
		id := strings.Repeat("Long_id.with-76", 5) + "x" // containerd's maximum
		got := c.output(c.runCall("--rm", busyboxImage, id, "echo", "out"))
		c.equal("output", got, "out")
	}},
	{"Tmpfs", func(c *ctr) {
		got := c.sh(`grep ' /scratch ' /proc/self/mountinfo; stat -c %a /scratch; ! dd if=/dev/zero of=/scratch/f bs=1M count=2 2>/dev/null; stat -c %s /scratch/f`,
			"--mount", "type=tmpfs,src=tmpfs,dst=/scratch,options=nosuid:noexec:size=1m:mode=1770")
		c.contains("mount", got, "nosuid,noexec", "size=1024k", "\n1770\n1048576")
	}},
	{"ReadOnly", func(c *ctr) {
		res := c.outcome(c.scriptCall(`touch /dev/shm/f /run/f; touch /f`, "--rm", "--read-only"), stderr)
		if res.code != 1 || !strings.HasSuffix(res.stderr, "touch: /f: Read-only file system") {
			c.Errorf("%+v", res)
		}
	}},
	{"Rootfs", func(c *ctr) {
		root := busyboxTree(c.T)
		got := c.output(c.runCall("--rm", "--env", "PATH=/bin", "--rootfs", root, c.id, "sh", "-c", `echo $$ >/written; cat /etc/group | head -n 1`))
		c.equal("output", got, "root:x:0:")
		c.equal("written in the host's tree", readFile(c.T, filepath.Join(root, "written")), "1")
	}},
	{"NoPivot", func(c *ctr) {
		c.equal("root", c.sh(`ls /bin/busybox; ls / | wc -l`, "--no-pivot"), c.sh(`ls /bin/busybox; ls / | wc -l`))
	}},
	{"RootfsPropagation", func(c *ctr) {
		script := `grep -o -E ' / / .* (shared|master):' /proc/self/mountinfo | grep -o -E 'shared|master' || echo private`
		c.equal("default", c.sh(script), "master")
		c.equal("private", c.sh(script, "--rootfs-propagation", "private"), "private")
	}},
	{"Namespaces", func(c *ctr) {
		inside := strings.Fields(c.sh(`for ns in pid ipc uts mnt net user; do readlink /proc/self/ns/$ns; done`))
		for i, name := range []string{"pid", "ipc", "uts", "mnt", "net", "user"} {
			host, err := os.Readlink("/proc/self/ns/" + name)
			if err != nil {
				c.Fatal(err)
			}
			if shared := inside[i] == host; shared != (name == "user") {
				c.Errorf("%s namespace: %s, the host's is %s", name, inside[i], host)
			}
		}
		host, _ := os.Readlink("/proc/self/ns/net")
		c.equal("--net-host", c.sh(`readlink /proc/self/ns/net`, "--net-host"), host)
	}},
	{"SharedNamespaces", func(c *ctr) {
		c.detach(`hostname shared; exec sleep 1000`, "--cap-add", "CAP_SYS_ADMIN")
		c.execCall(nil, "sh", "-c", `until [ "$(hostname)" = shared ]; do :; done`).succeed(c.T)
		proc := fmt.Sprintf("/proc/%d/ns/", c.pid())
		call := c.runCall("--rm", "--with-ns", "network:"+proc+"net", "--with-ns", "pid:"+proc+"pid", "--with-ns", "uts:"+proc+"uts",
			busyboxImage, c.id+"-2", "sh", "-c", `readlink /proc/self/ns/net; tr '\0' ' ' </proc/1/cmdline; echo; hostname`)
		net, err := os.Readlink(proc + "net")
		if err != nil {
			c.Fatal(err)
		}
		c.equal("seen from the second", c.output(call), net+"\nsleep 1000 \nshared")
	}},
	{"UserNamespace", func(c *ctr) {
		s := c.attach(`id -u; cat /proc/self/uid_map /proc/self/gid_map; touch /mine; stat -c %u /mine; read -r _`,
			"--uidmap", "0:100000:65536", "--gidmap", "0:200000:65536")
		s.await("0\n", "100000", "65536", "200000", "65536", "\n0\n")
		status := readFile(c.T, fmt.Sprintf("/proc/%d/status", c.pid()))
		c.contains("status of init on the host", status, "Uid:\t100000\t", "Gid:\t200000\t")
		s.send("\n")
		if code := s.wait(); code != 0 {
			c.Errorf("exit %d: %s", code, s.out)
		}
	}},
	{"Debian", func(c *ctr) {
		script := `dpkg-query -W -f '${Status}\n' libc6; su -s /bin/sh nobody -c 'id -un'; apt-config dump >/dev/null && echo apt`
		got := c.output(c.runCall("--rm", debianImage, c.id, "bash", "-ec", script))
		c.equal("output", got, "install ok installed\nnobody\napt")
	}},
	{"Annotations", func(c *ctr) {
		root := tempDir(c.T)
		c.detach(`exec sleep 1000`, "--runc-root", root, "--annotation", "test.skep/colour=amber")
		state := run(c.T, runtimeUnderTest, "--root", filepath.Join(root, ctrNamespace), "state", c.id)
		c.contains("state", state, `"test.skep/colour": "amber"`, `"status": "running"`)
	}},
	{"ProgramMissing", func(c *ctr) {
		c.runCall("--rm", busyboxImage, c.id, "no-such-program").refuse(c.T, `exec: "no-such-program": executable file not found in $PATH`)
		c.runCall("--rm", busyboxImage, c.id, "/no/such/program").refuse(c.T, "/no/such/program", "no such file or directory")
		c.runCall("--rm", busyboxImage, c.id, "/etc/passwd").refuse(c.T, "/etc/passwd", "permission denied")
	}},
	{"MountSourceMissing", func(c *ctr) {
		c.scriptCall(`:`, "--rm", "--mount", "type=bind,src=/no/such/source,dst=/x,options=rbind").refuse(c.T, "/no/such/source", "no such file or directory")
		c.equal("afterwards", c.sh(`echo the id is free`), "the id is free")
	}},
}
