package managers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// secured changes a container's security context.
func secured(edit func(s *cri.LinuxContainerSecurityContext)) func(config *cri.ContainerConfig) {
	return func(config *cri.ContainerConfig) { edit(config.Linux.SecurityContext) }
}

// crioPrivilegeCases: what a container may do, and what it sees.
var crioPrivilegeCases = []crioCase{
	{"User", func(c *crio) {
		p := c.pod(nil)
		id := p.start(`exec sleep 1000`, secured(func(s *cri.LinuxContainerSecurityContext) {
			s.RunAsUser, s.RunAsGroup = &cri.Int64Value{Value: 1000}, &cri.Int64Value{Value: 3000}
			s.SupplementalGroups = []int64{1234}
			s.NoNewPrivs = true
			s.Seccomp = &cri.SecurityProfile{ProfileType: cri.SecurityProfile_RuntimeDefault}
			s.Capabilities = &cri.Capability{DropCapabilities: []string{"ALL"}, AddCapabilities: []string{"NET_BIND_SERVICE"}}
		}))
		for _, of := range []string{"1", "self"} {
			status := strings.Join(strings.Fields(p.exec(id, "grep", "-E", "^(Uid|Gid|Groups|CapBnd|CapEff|NoNewPrivs|Seccomp):", "/proc/"+of+"/status")), " ")
			c.equal("status", status, "Uid: 1000 1000 1000 1000 Gid: 3000 3000 3000 3000 Groups: 50 1234 3000 "+
				"CapEff: 0000000000000000 CapBnd: 0000000000000400 NoNewPrivs: 1 Seccomp: 2")
		}
	}},
	{"ReadonlyRoot", func(c *crio) {
		p := c.pod(nil)
		id := p.start(`exec sleep 1000`, secured(func(s *cri.LinuxContainerSecurityContext) { s.ReadonlyRootfs = true }))
		c.equal("written", p.exec(id, "sh", "-c", "for d in / /tmp /dev/shm; do touch $d/new 2>/dev/null && echo $d || :; done"), "/dev/shm")
	}},
	{"Masks", func(c *crio) {
		p := c.pod(nil)
		id := p.start(`exec sleep 1000`, secured(func(s *cri.LinuxContainerSecurityContext) {
			s.MaskedPaths, s.ReadonlyPaths = []string{"/proc/uptime", "/proc/fs"}, []string{"/proc/sys"}
		}))
		c.equal("masked", p.exec(id, "sh", "-c", "cat /proc/uptime; ls /proc/fs"), "")
		c.contains("read-only", p.exec(id, "sh", "-c", "echo combs 2>&1 >/proc/sys/kernel/domainname || :"), "Read-only file system")
	}},
	{"Privileged", func(c *crio) {
		p := c.pod(func(config *cri.PodSandboxConfig) { config.Linux.SecurityContext.Privileged = true })
		id := p.start(`exec sleep 1000`, secured(func(s *cri.LinuxContainerSecurityContext) { s.Privileged = true }))
		c.equal("seccomp", p.exec(id, "grep", "Seccomp:", "/proc/self/status"), "Seccomp:\t0")
		c.equal("devices", p.exec(id, "sh", "-c", "mknod /tmp/kmsg c 1 11 && dd if=/tmp/kmsg of=/dev/null count=0 2>/dev/null && echo open"), "open")
		p.exec(id, "mount", "-t", "tmpfs", "none", "/tmp")
	}},
	{"Seccomp", func(c *crio) {
		p := c.pod(nil)
		profile := filepath.Join(tempDir(c.T), "profile.json")
		writeFile(c.T, profile, `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}`)
		for i, test := range []struct {
			profile *cri.SecurityProfile
			mode    string
			mkdir   string
		}{
			{&cri.SecurityProfile{ProfileType: cri.SecurityProfile_RuntimeDefault}, "2", ""},
			{&cri.SecurityProfile{ProfileType: cri.SecurityProfile_Unconfined}, "0", ""},
			{&cri.SecurityProfile{ProfileType: cri.SecurityProfile_Localhost, LocalhostRef: profile}, "2", "mkdir: can't create directory '/new': No space left on device"},
		} {
			id := p.start(`exec sleep 1000`, func(config *cri.ContainerConfig) {
				config.Metadata.Attempt = uint32(i)
				config.Linux.SecurityContext.Seccomp = test.profile
			})
			c.equal("mode", p.exec(id, "grep", "Seccomp:", "/proc/self/status"), "Seccomp:\t"+test.mode)
			c.equal("mkdir", p.exec(id, "sh", "-c", "mkdir /new 2>&1 || :"), test.mkdir)
		}
	}},
	{"Devices", func(c *crio) {
		p := c.pod(nil)
		id := p.start(`exec sleep 1000`, func(config *cri.ContainerConfig) {
			config.Devices = []*cri.Device{{HostPath: "/dev/kmsg", ContainerPath: "/dev/log-of-kernel", Permissions: "r"}}
			config.Linux.SecurityContext.Capabilities = &cri.Capability{AddCapabilities: []string{"MKNOD", "SYSLOG", "SYS_RAWIO"}}
		})
		const read = "dd if=%s of=/dev/null bs=1 count=0 2>&1 | grep -v records || :"
		c.equal("device", p.exec(id, "sh", "-c", fmt.Sprintf(read, "/dev/log-of-kernel")), "")
		c.contains("to write", p.exec(id, "sh", "-c", "(: >/dev/log-of-kernel) 2>&1 || :"), "Operation not permitted")
		c.contains("another", p.exec(id, "sh", "-c", "mknod /tmp/port c 1 4; "+fmt.Sprintf(read, "/tmp/port")), "Operation not permitted")
	}},
	{"Mounts", func(c *crio) {
		p := c.pod(nil)
		dir := tempDir(c.T)
		for _, name := range []string{"rw", "ro", "rro", "slave", "rro/below"} {
			c.ok(os.Mkdir(filepath.Join(dir, name), 0o777))
		}
		c.ok(unix.Mount(dir+"/slave", dir+"/slave", "", unix.MS_BIND, ""))
		c.Cleanup(func() { c.ok(unix.Unmount(dir+"/slave", unix.MNT_DETACH)) })
		c.ok(unix.Mount("", dir+"/slave", "", unix.MS_SHARED, ""))
		c.ok(unix.Mount("tmpfs", dir+"/rro/below", "tmpfs", 0, ""))
		c.Cleanup(func() { c.ok(unix.Unmount(dir+"/rro/below", unix.MNT_DETACH)) })
		id := p.start(`exec sleep 1000`, func(config *cri.ContainerConfig) {
			config.Mounts = []*cri.Mount{
				{HostPath: dir + "/rw", ContainerPath: "/rw"},
				{HostPath: dir + "/ro", ContainerPath: "/ro", Readonly: true},
				{HostPath: dir + "/rro", ContainerPath: "/rro", Readonly: true, RecursiveReadOnly: true},
				{HostPath: dir + "/slave", ContainerPath: "/slave", Propagation: cri.MountPropagation_PROPAGATION_HOST_TO_CONTAINER},
			}
		})
		c.equal("written", p.exec(id, "sh", "-c", "for d in /rw /ro /rro /rro/below; do touch $d/new 2>/dev/null && echo $d || :; done"), "/rw")
		c.ok(os.Mkdir(dir+"/slave/later", 0o755))
		c.ok(unix.Mount("tmpfs", dir+"/slave/later", "tmpfs", 0, ""))
		c.Cleanup(func() { c.ok(unix.Unmount(dir+"/slave/later", unix.MNT_DETACH)) })
		c.contains("mounts", p.exec(id, "cat", "/proc/self/mountinfo"), " /slave/later ")
	}},
	{"Sysctls", func(c *crio) {
		p := c.pod(func(config *cri.PodSandboxConfig) {
			config.Linux.SecurityContext.NamespaceOptions.Network = cri.NamespaceMode_POD
			config.Linux.Sysctls = map[string]string{"kernel.shm_rmid_forced": "1"}
		})
		id := p.start(`exec sleep 1000`, nil)
		c.equal("value", p.exec(id, "cat", "/proc/sys/kernel/shm_rmid_forced"), "1")
	}},
}
