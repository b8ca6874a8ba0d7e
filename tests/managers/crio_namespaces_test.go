package managers

import (
	"os"
	"path/filepath"
	"strings"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// crioNamespaceCases: what the containers of a pod share.
var crioNamespaceCases = []crioCase{
	{"PodNamespaces", func(c *crio) {
		p := c.pod(func(config *cri.PodSandboxConfig) {
			config.Hostname = "comb"
			config.Linux.SecurityContext.NamespaceOptions.Network = cri.NamespaceMode_POD
			config.DnsConfig = &cri.DNSConfig{Servers: []string{"192.0.2.53"}}
		})
		ids := []string{p.start(`exec sleep 1000`, nil), p.start(`exec sleep 1001`, func(config *cri.ContainerConfig) { config.Metadata.Name = "two" })}
		for _, ns := range []string{"net", "ipc", "uts"} {
			c.equal(ns, p.exec(ids[0], "readlink", "/proc/self/ns/"+ns), p.exec(ids[1], "readlink", "/proc/self/ns/"+ns))
			own, err := os.Readlink("/proc/self/ns/" + ns)
			c.ok(err)
			if p.exec(ids[0], "readlink", "/proc/self/ns/"+ns) == own {
				c.Errorf("%s: the host's", ns)
			}
		}
		c.equal("hostname", p.exec(ids[0], "hostname"), "comb")
		c.contains("addresses", p.exec(ids[1], "ip", "address"), "10.85.")
		c.contains("resolver", p.exec(ids[0], "cat", "/etc/resolv.conf"), "192.0.2.53")
		status, err := p.PodSandboxStatus(c.Context(), &cri.PodSandboxStatusRequest{PodSandboxId: p.id})
		c.ok(err)
		c.contains("address", p.exec(ids[0], "ip", "address"), status.Status.Network.Ip)
	}},
	{"HostNamespaces", func(c *crio) {
		p := c.pod(func(config *cri.PodSandboxConfig) {
			config.Linux.SecurityContext.NamespaceOptions = &cri.NamespaceOption{
				Network: cri.NamespaceMode_NODE, Pid: cri.NamespaceMode_NODE, Ipc: cri.NamespaceMode_NODE,
			}
		})
		id := p.start(`sleep 1001 & exec sleep 1000`, nil)
		for _, ns := range []string{"net", "ipc", "pid"} {
			own, err := os.Readlink("/proc/self/ns/" + ns)
			c.ok(err)
			c.equal(ns, p.exec(id, "readlink", "/proc/self/ns/"+ns), own)
		}
		awaitProcess(c.T, "sleep 1001")
		p.stop(id, 0) // with all its processes, says the leak check
	}},
	{"TargetNamespace", func(c *crio) { // an ephemeral container, as kubectl debug makes it
		p := c.pod(nil)
		target := p.start(`exec sleep 1000`, nil)
		id := p.start(`exec sleep 1001`, func(config *cri.ContainerConfig) {
			config.Metadata.Name = "debug"
			config.Linux.SecurityContext.NamespaceOptions = &cri.NamespaceOption{
				Network: cri.NamespaceMode_NODE, Pid: cri.NamespaceMode_TARGET, TargetId: target,
			}
		})
		for _, process := range []string{"sleep 1000", "sleep 1001"} {
			eventually(c.T, process+" is seen", func() bool { return strings.Contains(p.exec(id, "ps"), process) })
		}
		p.stop(id, 0)
		c.equal("the target", p.exec(target, "echo", "alive"), "alive")
	}},
	{"UserNamespace", func(c *crio) {
		mappings := []*cri.IDMapping{{HostId: 200_000, ContainerId: 0, Length: 65536}}
		p := c.pod(func(config *cri.PodSandboxConfig) {
			config.Linux.SecurityContext.NamespaceOptions = &cri.NamespaceOption{
				Network: cri.NamespaceMode_POD, Pid: cri.NamespaceMode_CONTAINER,
				UsernsOptions: &cri.UserNamespace{Mode: cri.NamespaceMode_POD, Uids: mappings, Gids: mappings},
			}
		})
		volume := tempDir(c.T)
		c.ok(os.Chmod(volume, 0o755))
		writeFile(c.T, filepath.Join(volume, "file"), "of root")
		id := p.start(`exec sleep 1000`, func(config *cri.ContainerConfig) {
			config.Mounts = []*cri.Mount{{HostPath: volume, ContainerPath: "/volume", UidMappings: mappings, GidMappings: mappings}}
		})
		c.equal("map", strings.Join(strings.Fields(p.exec(id, "cat", "/proc/self/uid_map")), " "), "0 200000 65536")
		c.equal("owner", p.exec(id, "stat", "-c", "%u:%g", "/volume/file", "/bin/busybox"), "0:0\n0:0")
		p.exec(id, "touch", "/volume/new")
		c.contains("status", readFile(c.T, p.proc(id, "status")), "Uid:\t200000\t200000")
	}},
}
