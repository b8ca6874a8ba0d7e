package managers

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// podmanCapabilities is Podman's default set.
const podmanCapabilities = 0x800405fb

// podmanPrivilegeCases: what a container may do.
var podmanPrivilegeCases = []podmanCase{
	{"Capabilities", func(c *podman) {
		const sysPtrace, chown = 1 << 19, 1 << 0
		script := `grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/1/status`
		for _, test := range []struct {
			flags []string
			want  uint64
		}{
			{nil, podmanCapabilities},
			{[]string{"--cap-add", "SYS_PTRACE", "--cap-drop", "CHOWN"}, podmanCapabilities&^chown | sysPtrace},
			{[]string{"--cap-drop", "ALL", "--cap-add", "CAP_SYS_PTRACE"}, sysPtrace},
		} {
			for line := range strings.Lines(c.sh(script, test.flags...)) {
				want := test.want
				if strings.HasPrefix(line, "CapInh") || strings.HasPrefix(line, "CapAmb") {
					want = 0
				}
				c.equal(strings.Join(test.flags, " "), strings.TrimSpace(line), fmt.Sprintf("%s:\t%016x", line[:6], want))
			}
		}
	}},
	{"UnprivilegedUser", func(c *podman) {
		script := `grep -E '^(Uid|Gid|CapPrm|CapEff|CapAmb|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status`
		status := func(flags ...string) string {
			return strings.Join(strings.Fields(c.sh(script, append(flags, "--user", "1000:1000")...)), " ")
		}
		c.equal("status", status(), "Uid: 1000 1000 1000 1000 Gid: 1000 1000 1000 1000 "+
			"CapPrm: 0000000000000000 CapEff: 0000000000000000 CapBnd: 00000000800405fb CapAmb: 0000000000000000 NoNewPrivs: 0 Seccomp: 2")
		// What is asked for by name is inherited by the program.
		c.contains("with --cap-add", status("--cap-add", "NET_BIND_SERVICE"), "CapEff: 0000000000000400", "CapAmb: 0000000000000400")
	}},
	{"Seccomp", func(c *podman) {
		script := `grep Seccomp: /proc/self/status; unshare --user --map-root-user --uts hostname combs`
		res := c.scriptCall(script).run(c.T)
		if res.code == 0 || strings.TrimSpace(res.stdout) != "Seccomp:\t2" || !strings.Contains(res.stderr, "Operation not permitted") {
			c.Errorf("default profile: %+v", res)
		}
		c.equal("unconfined", c.sh(script, "--security-opt", "seccomp=unconfined"), "Seccomp:\t0")
	}},
	{"SeccompProfile", func(c *podman) {
		profile := filepath.Join(tempDir(c.T), "profile.json")
		writeFile(c.T, profile, `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}`)
		res := c.scriptCall(`grep Seccomp: /proc/self/status; mkdir /new`, "--security-opt", "seccomp="+profile).run(c.T)
		if res.code == 0 || strings.TrimSpace(res.stdout) != "Seccomp:\t2" || !strings.Contains(res.stderr, "'/new': No space left on device") {
			c.Errorf("%+v", res)
		}
	}},
	{"NoNewPrivileges", func(c *podman) {
		script := `grep NoNewPrivs /proc/self/status`
		c.equal("default", c.sh(script), "NoNewPrivs:\t0")
		c.equal("no-new-privileges", c.sh(script, "--security-opt", "no-new-privileges"), "NoNewPrivs:\t1")
	}},
	{"Privileged", func(c *podman) {
		got := c.sh(`grep -E '^(CapEff|Seccomp):' /proc/self/status; [ -c /dev/kmsg ] && echo devices; mount -t tmpfs none /mnt && echo mounts`,
			"--privileged", "--tmpfs", "/mnt")
		own := regexp.MustCompile(`CapBnd:\t(\w+)`).FindStringSubmatch(readFile(c.T, "/proc/self/status"))
		c.equal("inside", got, "CapEff:\t"+own[1]+"\nSeccomp:\t0\ndevices\nmounts")
	}},
	{"UserNamespaces", func(c *podman) {
		// Podman 4.3 cannot map the owners of overlay's layers on a tmpfs.
		c.podmanStore = newPodmanStore(c.T, "vfs", c.archive)
		appendLine(c.T, "/etc/subuid", "containers:500000:10000")
		appendLine(c.T, "/etc/subgid", "containers:500000:10000")
		dir := tempDir(c.T)
		c.ok(os.Chmod(dir, 0o777))
		got := c.sh(`cat /proc/self/uid_map /proc/self/gid_map; stat -c %u:%g /bin/busybox /host; id -u; touch /new /host/new; hostname combs`,
			"--uidmap", "0:200000:1000", "--uidmap", "1000:300000:1", "--gidmap", "0:400000:1001", "--volume", dir+":/host", "--cap-add", "SYS_ADMIN")
		c.equal("--uidmap", strings.Join(strings.Fields(got), " "), "0 200000 1000 1000 300000 1 0 400000 1001 0:0 65534:65534 0")
		c.equal("owner on the host", run(c.T, "stat", "-c", "%u:%g", dir+"/new"), "200000:400000")
		got = c.sh(`cat /proc/self/uid_map; stat -c %u:%g /bin/busybox`, "--userns", "auto:size=2000")
		c.equal("--userns=auto", strings.Join(strings.Fields(got), " "), "0 500000 2000 0:0")
	}},
}
