package managers

import (
	"fmt"
	"path/filepath"
	"strings"
)

// dockerPrivilegeCases: what a container may do.
var dockerPrivilegeCases = []dockerCase{
	{"Capabilities", func(c *docker) {
		const initial = 0xa80425fb // Docker's default set
		const sysPtrace, chown = 1 << 19, 1 << 0
		script := `grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/1/status`
		for _, test := range []struct {
			flags []string
			want  uint64
		}{
			{nil, initial},
			{[]string{"--cap-add", "SYS_PTRACE", "--cap-drop", "CHOWN"}, initial&^chown | sysPtrace},
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
	{"UnprivilegedUser", func(c *docker) {
		got := c.sh(`grep -E '^(Uid|Gid|CapPrm|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status`, "--user", "1000:1000")
		c.equal("status", strings.Join(strings.Fields(got), " "), "Uid: 1000 1000 1000 1000 Gid: 1000 1000 1000 1000 "+
			"CapPrm: 0000000000000000 CapEff: 0000000000000000 CapBnd: 00000000a80425fb NoNewPrivs: 0 Seccomp: 2")
	}},
	{"Seccomp", func(c *docker) {
		script := `grep Seccomp: /proc/self/status; unshare --user true`
		res := c.scriptCall(script).run(c.T)
		if res.code == 0 || strings.TrimSpace(res.stdout) != "Seccomp:\t2" || !strings.Contains(res.stderr, "Operation not permitted") {
			c.Errorf("default profile: %+v", res)
		}
		c.equal("unconfined", c.sh(script, "--security-opt", "seccomp=unconfined"), "Seccomp:\t0")
	}},
	{"SeccompProfile", func(c *docker) {
		profile := filepath.Join(tempDir(c.T), "profile.json")
		writeFile(c.T, profile, `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}`)
		res := c.scriptCall(`grep Seccomp: /proc/self/status; mkdir /new`, "--security-opt", "seccomp="+profile).run(c.T)
		if res.code == 0 || strings.TrimSpace(res.stdout) != "Seccomp:\t2" || !strings.Contains(res.stderr, "'/new': No space left on device") {
			c.Errorf("%+v", res)
		}
	}},
	{"NoNewPrivileges", func(c *docker) {
		script := `grep NoNewPrivs /proc/self/status`
		c.equal("default", c.sh(script), "NoNewPrivs:\t0")
		c.equal("no-new-privileges", c.sh(script, "--security-opt", "no-new-privileges"), "NoNewPrivs:\t1")
	}},
}
