package spec

import (
	"strconv"
	"strings"
	"testing"
)

// idMaps returns n mappings of the given size, each beginning one id later.
func idMaps(n, size int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = `{"containerID":` + strconv.Itoa(i) + `,"hostID":` + strconv.Itoa(i+1000) + `,"size":` + strconv.Itoa(size) + `}`
	}
	return strings.Join(list, ",")
}

// res wraps members of linux.resources.
func res(members string) string { return `"linux":{"resources":{` + members + `}}` }

func TestBadDevices(t *testing.T) {
	dev := func(d string) string { return `"linux":{"devices":[{` + d + `}]}` }
	rule := func(d string) string {
		return res(`"devices":[{"allow":false,"access":"rwm"},{"allow":true,` + d + `}]`)
	}
	net := func(members string) string {
		return `"linux":{"namespaces":[{"type":"network"}],"netDevices":{` + members + `}}`
	}
	testBad(t, []badConfig{
		{"DEV-02", dev(`"path":"/a","type":"x","major":1,"minor":1`), is(`linux.devices[0].type: unknown type "x"`), Options{}},
		{"DEV-02", dev(`"path":"/a","major":1,"minor":1`), is("linux.devices[0].type: required"), Options{}},
		{"DEV-03", dev(`"path":"a","type":"p"`), is("linux.devices[0].path: not an absolute path"), Options{}},
		{"DEV-03", dev(`"type":"p"`), is("linux.devices[0].path: required"), Options{}},
		{"DEV-03", dev(`"path":"/..","type":"p"`), is("linux.devices[0].path: root directory"), Options{}},
		{"DEV-05", dev(`"path":"/a","type":"c","major":-1,"minor":1048576`), is("linux.devices[0].major: -1 is not", "linux.devices[0].minor: 1048576 is not"), Options{}},
		{"DEV-05", dev(`"path":"/a","type":"b","major":4096,"minor":0`), is("linux.devices[0].major: 4096 is not"), Options{}},
		{"DEV-06", dev(`"path":"/a","type":"c","major":1,"minor":3,"fileMode":69206454`), is("linux.devices[0].fileMode: neither permissions"), Options{}},
		{"DEV-07", dev(`"path":"/a","type":"p","uid":4294967295,"gid":4294967295`), is("linux.devices[0].uid: (-1)", "linux.devices[0].gid: (-1)"), Options{}},
		{"NETD-02", net(`"eth0":{"name":"0123456789abcdef"},"..":{},"a/b":{"name":"x:y"}`),
			is(`linux.netDevices[".."]: not the name`, `linux.netDevices["a/b"]: slash`, `linux.netDevices["a/b"].name: colon`, "linux.netDevices.eth0.name: longer than 15"), Options{}},
		{"NETD-02", net(`"eth0":{"name":"a b"}`), is("linux.netDevices.eth0.name: blank"), Options{}},
		{"NETD-05", net(`"eth0":{"name":"x%dy%d"},"eth1":{"name":"%s"},"%":{}`),
			is(`linux.netDevices["%"]: other than that of one %d`, "linux.netDevices.eth0.name: one %d", "linux.netDevices.eth1.name: one %d"), Options{}},
		{"NETD-04", net(`"eth0":{"name":"x"},"eth1":{"name":"x"}`), is(`linux.netDevices.eth1: "x" is also the name that linux.netDevices.eth0`), Options{}},
		{"NETD-12", `"linux":{"netDevices":{"eth0":{}}}`, is("linux.netDevices: needs a network namespace"), Options{}},
		{"NETD-12", `"linux":{"namespaces":[{"type":"network"},{"type":"user","path":"/x"}],"netDevices":{"eth0":{}}}`, is("linux.netDevices: rootless"), Options{Rootless: true}},
		{"CGD-03", rule(`"type":"p"`), is(`linux.resources.devices[1].type: unknown type "p"`), Options{}},
		{"CGD-04", rule(`"major":-2,"minor":9999999`), is("linux.resources.devices[1].major: -2 is not", "linux.resources.devices[1].minor: 9999999 is not"), Options{}},
		{"CGD-05", rule(`"access":"rwx"`), is(`linux.resources.devices[1].access: "rwx"`), Options{}},
	})
}

func TestBadResources(t *testing.T) {
	path := func(p string) string { return `"linux":{"cgroupsPath":"` + p + `"}` }
	testBad(t, []badConfig{
		{"CGP-07", path("/a\\u0000"), is("linux.cgroupsPath: NUL"), Options{}},
		{"CGM-01", res(`"memory":{"limit":-2,"reservation":-3,"swap":-4}`),
			is("linux.resources.memory.limit: -2 is below", "linux.resources.memory.reservation: -3 is below", "linux.resources.memory.swap: -4 is below"), Options{}},
		{"CGM-03", res(`"memory":{"limit":100,"swap":99}`), is("linux.resources.memory.swap: 99"), Options{}},
		{"CGM-03", res(`"memory":{"limit":-1,"swap":99}`), is("linux.resources.memory.swap: 99"), Options{}},
		{"CGM-06", res(`"memory":{"swappiness":101}`), is("linux.resources.memory.swappiness: 101"), Options{}},
		{"CGC-02", res(`"cpu":{"period":999,"quota":999}`), is("linux.resources.cpu.period: 999", "linux.resources.cpu.quota: 999"), Options{}},
		{"CGC-02", res(`"cpu":{"period":1000001}`), is("linux.resources.cpu.period: 1000001"), Options{}},
		{"CGC-03, CGC-04", res(`"cpu":{"quota":10000,"burst":10001}`), is("linux.resources.cpu.burst: 10001"), Options{}},
		{"CGC-06", res(`"cpu":{"cpus":"a","mems":"1-"}`), is("linux.resources.cpu.cpus: not a number", "linux.resources.cpu.mems: missing"), Options{}},
		{"CGC-07", res(`"cpu":{"idle":2}`), is("linux.resources.cpu.idle: 2"), Options{}},
		{"CGB-01", res(`"blockIO":{"weight":9}`), is("linux.resources.blockIO.weight: 9 is not between"), Options{}},
		{"CGB-02", res(`"blockIO":{"leafWeight":1001}`), is("linux.resources.blockIO.leafWeight: 1001"), Options{}},
		{"CGB-03", res(`"blockIO":{"weightDevice":[{"major":8,"minor":-1},{"major":8,"minor":1,"weight":1,"leafWeight":2}]}`),
			is("linux.resources.blockIO.weightDevice[0].minor: -1", "linux.resources.blockIO.weightDevice[0]: at least one",
				"linux.resources.blockIO.weightDevice[1].weight: 1", "linux.resources.blockIO.weightDevice[1].leafWeight: 2"), Options{}},
		{"CGB-04", res(`"blockIO":{"throttleReadBpsDevice":[{"major":-8,"minor":0,"rate":1}]}`), is("linux.resources.blockIO.throttleReadBpsDevice[0].major: -8"), Options{}},
		{"CGB-05", res(`"blockIO":{"throttleWriteIOPSDevice":[{"major":8,"minor":-3,"rate":1}]}`), is("linux.resources.blockIO.throttleWriteIOPSDevice[0].minor: -3"), Options{}},
		{"CGH-01", res(`"hugepageLimits":[{"pageSize":"64kB","limit":1},{"limit":1},{"pageSize":"B","limit":1},{"pageSize":"0MB","limit":1},{"pageSize":"02MB","limit":1},{"pageSize":"../MB","limit":1},{"pageSize":"2TB","limit":1},{"pageSize":"2.5MB","limit":1},{"pageSize":"2MB ","limit":1}]`),
			is(`linux.resources.hugepageLimits[0].pageSize: "64kB"`, "linux.resources.hugepageLimits[1].pageSize: required", "linux.resources.hugepageLimits[2].pageSize: B",
				"linux.resources.hugepageLimits[3].pageSize: 0MB", "linux.resources.hugepageLimits[4].pageSize: 02MB", "linux.resources.hugepageLimits[5].pageSize: ../MB",
				"linux.resources.hugepageLimits[6].pageSize: 2TB", "linux.resources.hugepageLimits[7].pageSize: 2.5MB", `linux.resources.hugepageLimits[8].pageSize: "2MB "`), Options{}},
		{"CGN-02", res(`"network":{"priorities":[{"name":"","priority":1}]}`), is("linux.resources.network.priorities[0].name: not the name"), Options{}},
		{"CGI-01", res(`"pids":{"limit":-2}`), is("linux.resources.pids.limit: -2 is below"), Options{}},
		{"CGR-01", res(`"rdma":{"mlx5_1":{}}`), is("linux.resources.rdma.mlx5_1: at least one"), Options{}},
		{"CGR-01", res(`"rdma":{"a b":{"hcaHandles":1},"a\tb":{"hcaHandles":1},"a\nb":{"hcaHandles":1}}`), is(`linux.resources.rdma["a\tb"]: not the name`,
			`linux.resources.rdma["a\nb"]: not the name`, `linux.resources.rdma["a b"]: not the name`), Options{}},
		{"UNI-05", res(`"unified":{"../x.y":"1","memory":"1",".":"1","..":"1","a.":"1","cpu.max":"\u0000"}`),
			is(`linux.resources.unified["."]: cgroup file`, `linux.resources.unified[".."]: cgroup file`, `linux.resources.unified["../x.y"]: cgroup file`,
				`linux.resources.unified["a."]: cgroup file`, `linux.resources.unified["cpu.max"]: NUL`, "linux.resources.unified.memory: cgroup file"), Options{}},
		{"RDT-04", `"linux":{"intelRdt":{"closID":".."}}`, is("linux.intelRdt.closID: not the name"), Options{}},
		{"RDT-04", `"linux":{"intelRdt":{"closID":"a/b"}}`, is("linux.intelRdt.closID: not the name"), Options{}},
		{"RDT-06", `"linux":{"intelRdt":{"l3CacheSchema":"L3:0=f\nMB:0=1"}}`, is("linux.intelRdt.l3CacheSchema: more than one line"), Options{}},
		{"RDT-07", `"linux":{"intelRdt":{"memBwSchema":"L3:0=f\n"}}`, is("linux.intelRdt.memBwSchema: more than one line", "linux.intelRdt.memBwSchema: begin with MB:"), Options{}},
		{"RDT-08", `"linux":{"intelRdt":{"schemata":["L3:0=f","a\nb"]}}`, is("linux.intelRdt.schemata[1]: more than one line"), Options{}},
		{"MPOL-01", `"linux":{"memoryPolicy":{"mode":"BIND","nodes":"0"}}`, is(`linux.memoryPolicy.mode: unknown mode "BIND"`), Options{}},
		{"MPOL-01", `"linux":{"memoryPolicy":{"nodes":"0"}}`, is("linux.memoryPolicy.mode: required"), Options{}},
		{"MPOL-02", `"linux":{"memoryPolicy":{"mode":"MPOL_BIND","nodes":""}}`, is("linux.memoryPolicy.nodes: needs at least one"), Options{}},
		{"MPOL-02", `"linux":{"memoryPolicy":{"mode":"MPOL_LOCAL","nodes":"0"}}`, is("linux.memoryPolicy.nodes: takes no nodes"), Options{}},
		{"MPOL-02", `"linux":{"memoryPolicy":{"mode":"MPOL_INTERLEAVE","nodes":"x"}}`, is("linux.memoryPolicy.nodes: not a number"), Options{}},
		{"MPOL-03", `"linux":{"memoryPolicy":{"mode":"MPOL_BIND","nodes":"0","flags":["MPOL_F_STATIC_NODES","X","MPOL_F_RELATIVE_NODES"]}}`,
			is(`linux.memoryPolicy.flags[1]: "X"`, "linux.memoryPolicy.flags: exclude each other"), Options{}},
	})
}

func TestBadSysctl(t *testing.T) {
	sysctl := func(ns, name string) string {
		if ns != "" {
			ns = `{"type":"` + ns + `"}`
		}
		if ns == `{"type":"user"}` {
			ns = `{"type":"user","path":"/x"}`
		}
		return `"linux":{"namespaces":[` + ns + `],"sysctl":{"` + name + `":"1"}}`
	}
	testBad(t, []badConfig{
		{"SYS-02", sysctl("ipc", "net.core.somaxconn"), is(`linux.sysctl["net.core.somaxconn"]: network namespace`), Options{}},
		{"SYS-03", sysctl("network", "kernel.shmmax"), is(`linux.sysctl["kernel.shmmax"]: ipc namespace`), Options{}},
		{"SYS-03", sysctl("", "fs.mqueue.msg_max"), is(`linux.sysctl["fs.mqueue.msg_max"]: ipc namespace`), Options{}},
		{"SYS-04", sysctl("", "kernel.domainname"), is(`linux.sysctl["kernel.domainname"]: uts namespace`), Options{}},
		{"SYS-04", sysctl("uts", "kernel.hostname"), is(`linux.sysctl["kernel.hostname"]: set hostname`), Options{}},
		{"SYS-05", sysctl("", "user.max_user_namespaces"), is(`linux.sysctl["user.max_user_namespaces"]: user namespace`), Options{}},
		{"SYS-06", sysctl("ipc", "vm.swappiness"), is(`linux.sysctl["vm.swappiness"]: change the host`), Options{}},
		{"SYS-06", sysctl("network", "network.x"), is(`linux.sysctl["network.x"]: change the host`), Options{}},
		{"SYS-06", sysctl("ipc", "kernel.shmmax2"), is(`linux.sysctl["kernel.shmmax2"]: change the host`), Options{}},
		{"SYS-06", sysctl("network", "net"), is("linux.sysctl.net: change the host"), Options{}},
		{"SYS-08", sysctl("network", "net/../kernel/x"), is(`linux.sysctl["net/../kernel/x"]: leaves its directory`), Options{}},
		{"SYS-08", sysctl("network", "net.//.kernel"), is(`linux.sysctl["net.//.kernel"]: leaves its directory`), Options{}},
		{"SYS-08", sysctl("network", "net..x"), is(`linux.sysctl["net..x"]: empty`), Options{}},
		{"SYS-08", sysctl("network", "/net/x"), is(`linux.sysctl["/net/x"]: empty`), Options{}},
	})
}

func TestBadSecurity(t *testing.T) {
	sec := func(members string) string {
		return `"linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW",` + members + `}}`
	}
	call := func(members string) string { return sec(`"syscalls":[{` + members + `}]`) }
	hook := func(list, members string) string {
		return `"hooks":{"` + list + `":[{"path":"/ok"},{` + members + `}]}`
	}
	testBad(t, []badConfig{
		{"PRP-05", `"linux":{"rootfsPropagation":"foo"}`, is(`linux.rootfsPropagation: unknown propagation "foo"`), Options{}},
		{"PRP-07", `"linux":{"rootfsPropagation":"rprivate"}`, is("linux.rootfsPropagation: --no-pivot"), Options{NoPivot: true}},
		{"PRP-09", `"linux":{"namespaces":[{"type":"mount"}],"maskedPaths":["/a","b",""],"readonlyPaths":["c","/\u0000"]}`,
			is(`linux.maskedPaths[1]: "b"`, `linux.maskedPaths[2]: ""`, `linux.readonlyPaths[0]: "c"`, "linux.readonlyPaths[1]: NUL"), Options{}},
		{"PRP-13", `"linux":{"mountLabel":"\u0000"}`, is("linux.mountLabel: NUL"), Options{}},
		{"PRP-14", `"linux":{"personality":{"domain":"BSD"}}`, is(`linux.personality.domain: unknown domain "BSD"`), Options{}},
		{"PRP-14", `"linux":{"personality":{}}`, is("linux.personality.domain: required"), Options{}},
		{"PRP-15", `"linux":{"personality":{"domain":"LINUX","flags":["X"]}}`, is("linux.personality.flags: no flags"), Options{}},
		{"SEC-01", `"linux":{"seccomp":{}}`, is("linux.seccomp.defaultAction: required"), Options{}},
		{"SEC-01", `"linux":{"seccomp":{"defaultAction":"ALLOW"}}`, is(`linux.seccomp.defaultAction: unknown action "ALLOW"`), Options{}},
		{"SEC-02", sec(`"defaultErrnoRet":1`), is("linux.seccomp.defaultErrnoRet: SCMP_ACT_ALLOW does not return"), Options{}},
		{"SEC-03", sec(`"architectures":["SCMP_ARCH_X86","x86"]`), is(`linux.seccomp.architectures[1]: unknown architecture "x86"`), Options{}},
		{"SEC-05", sec(`"flags":["SECCOMP_FILTER_FLAG_LOG","NEW"]`), is(`linux.seccomp.flags[1]: unknown flag "NEW"`), Options{}},
		{"SEC-10", `"linux":{"seccomp":{"defaultAction":"SCMP_ACT_NOTIFY"}}`, is("linux.seccomp.listenerPath: needs somebody"), Options{}},
		{"SEC-10", `"linux":{"seccomp":{"defaultAction":"SCMP_ACT_NOTIFY","listenerPath":"x"}}`, is("linux.seccomp.listenerPath: not an absolute path"), Options{}},
		{"SEC-13", sec(`"listenerMetadata":"x"`), is("linux.seccomp.listenerMetadata: useless"), Options{}},
		{"SEC-14", call(`"action":"SCMP_ACT_LOG"`), is("linux.seccomp.syscalls[0].names: at least one"), Options{}},
		{"SEC-14", call(`"names":["a",""],"action":"SCMP_ACT_LOG"`), is("linux.seccomp.syscalls[0].names[1]: empty"), Options{}},
		{"SEC-15", call(`"names":["a"],"action":"X"`), is(`linux.seccomp.syscalls[0].action: unknown action "X"`), Options{}},
		{"SEC-15", call(`"names":["a"]`), is("linux.seccomp.syscalls[0].action: required"), Options{}},
		{"SEC-16", call(`"names":["a"],"action":"SCMP_ACT_ERRNO","errnoRet":4096`), is("linux.seccomp.syscalls[0].errnoRet: 4096 is above 4095"), Options{}},
		{"SEC-16", call(`"names":["a"],"action":"SCMP_ACT_TRACE","errnoRet":65536`), is("linux.seccomp.syscalls[0].errnoRet: 65536 is above"), Options{}},
		{"SEC-16", call(`"names":["a"],"action":"SCMP_ACT_KILL","errnoRet":0`), is("linux.seccomp.syscalls[0].errnoRet: SCMP_ACT_KILL does not return"), Options{}},
		{"SEC-17", call(`"names":["a"],"action":"SCMP_ACT_LOG","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"},{"index":6,"value":1,"op":"EQ"},{"index":1,"value":1}]`),
			is(`linux.seccomp.syscalls[0].args[1].op: unknown operator "EQ"`, "linux.seccomp.syscalls[0].args[1].index: 6 is not", "linux.seccomp.syscalls[0].args[2].op: required"), Options{}},
		{"HK-01", hook("prestart", `"path":"bin/x"`), is("hooks.prestart[1].path: not an absolute path"), Options{}},
		{"HK-01", hook("createContainer", `"args":["x"]`), is("hooks.createContainer[1].path: required"), Options{}},
		{"HK-02", hook("createRuntime", `"path":"/x","args":["a","\u0000"]`), is("hooks.createRuntime[1].args[1]: NUL"), Options{}},
		{"HK-03", hook("startContainer", `"path":"/x","env":["A=1","B"]`), is("hooks.startContainer[1].env[1]: NAME=value"), Options{}},
		{"HK-05", hook("poststart", `"path":"/x","timeout":0`), is("hooks.poststart[1].timeout: 0 is not"), Options{}},
		{"HK-05", hook("poststop", `"path":"/x","timeout":-1`), is("hooks.poststop[1].timeout: -1 is not"), Options{}},
	})
}
