package managers

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// ctrPrivilegeCases: what a container may do.
var ctrPrivilegeCases = []ctrCase{
	{"Capabilities", func(c *ctr) {
		const initial = 0xa80425fb // containerd's default set
		const sysPtrace, chown = 1 << 19, 1 << 0
		script := `grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/1/status`
		for _, test := range []struct {
			flags []string
			want  uint64
		}{
			{nil, initial},
			{[]string{"--cap-add", "CAP_SYS_PTRACE"}, initial | sysPtrace},
			{[]string{"--cap-drop", "CAP_CHOWN"}, initial &^ chown},
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
	{"Privileged", func(c *ctr) {
		got := c.sh(`grep -E '^Cap(Eff|Bnd)' /proc/1/status; [ -w /proc/sys/kernel/msgmax ] && [ -w /sys ] && echo writable; mount -t tmpfs t /tmp && echo mounted`, "--privileged")
		bounding := regexp.MustCompile(`(?m)^CapBnd:\t(\w+)$`).FindStringSubmatch(readFile(c.T, "/proc/self/status"))[1]
		c.equal("privileges", got, "CapEff:\t"+bounding+"\nCapBnd:\t"+bounding+"\nwritable\nmounted")
	}},
	{"NoNewPrivileges", func(c *ctr) {
		script := `grep NoNewPrivs /proc/self/status`
		c.equal("default", c.sh(script), "NoNewPrivs:\t1")
		c.equal("--allow-new-privs", c.sh(script, "--allow-new-privs"), "NoNewPrivs:\t0")
	}},
	{"Seccomp", func(c *ctr) {
		script := `grep Seccomp: /proc/self/status; mkdir /new; mount -t tmpfs t /tmp`
		// Without a profile the mount is allowed by the capability.
		res := c.outcome(c.scriptCall(script, "--rm", "--cap-add", "CAP_SYS_ADMIN"), stdout)
		if res.code != 0 || res.stdout != "Seccomp:\t0" {
			c.Errorf("without: %+v", res)
		}
		// The default profile permits it with that capability only.
		res = c.outcome(c.scriptCall(script, "--rm", "--seccomp"), stdout|stderr)
		if res.code == 0 || res.stdout != "Seccomp:\t2" {
			c.Errorf("with the default profile: %+v", res)
		}
		profile := filepath.Join(tempDir(c.T), "profile.json")
		writeFile(c.T, profile, `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}`)
		res = c.outcome(c.scriptCall(script, "--rm", "--seccomp", "--seccomp-profile", profile), stdout|stderr)
		if res.code == 0 || res.stdout != "Seccomp:\t2" || !strings.Contains(res.stderr, "'/new': No space left on device") {
			c.Errorf("with a profile: %+v", res)
		}
	}},
	{"UnprivilegedUser", func(c *ctr) {
		image := "skep.test/unprivileged:latest"
		config := defaultConfig
		config.User = "1000:1000"
		c.ctr("images", "import", busyboxArchive(c.T, image, config)).succeed(c.T)
		script := `grep -E '^(Uid|Gid|Groups|CapPrm|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status`
		// Without no_new_privs the filter is loaded while there still are privileges.
		got := c.output(c.runCall("--rm", "--seccomp", "--allow-new-privs", image, c.id, "sh", "-c", script))
		c.equal("status", strings.Join(strings.Fields(got), " "),
			"Uid: 1000 1000 1000 1000 Gid: 1000 1000 1000 1000 Groups: 50 1000 CapPrm: 0000000000000000 CapEff: 0000000000000000 "+
				"CapBnd: 00000000a80425fb NoNewPrivs: 0 Seccomp: 2")
	}},
	{"Devices", func(c *ctr) {
		script := `stat -c '%F %t:%T' /dev/kmsg; head -c 0 /dev/kmsg && echo opened`
		c.equal("--device", c.sh(script, "--device", "/dev/kmsg", "--cap-add", "CAP_SYSLOG"), "character special file 1:b\nopened")
		res := c.outcome(c.scriptCall(`mknod /kmsg c 1 11; head -c 0 /kmsg`, "--rm", "--cap-add", "CAP_SYSLOG"), stderr)
		if res.code == 0 || !strings.Contains(res.stderr, "Operation not permitted") {
			c.Errorf("a node that no rule allows: %+v", res)
		}
		c.equal("defaults", c.sh(`for d in null zero full random urandom tty ptmx; do [ -c /dev/$d ] || echo lacks $d; done; echo x >/dev/null; head -c 2 /dev/zero | wc -c; readlink /dev/fd`), "2\n/proc/self/fd")
	}},
	{"HiddenPaths", func(c *ctr) {
		got := c.sh(`cd /proc; for f in kcore keys timer_list latency_stats sched_debug; do [ ! -e $f ] || wc -c <$f; done | sort -u; ls /sys/firmware | wc -l; ! echo 1 >/proc/sys/kernel/msgmax; ! touch /proc/sysrq-trigger; echo done`)
		c.equal("inside", got, "0\n0\ndone")
	}},
}
