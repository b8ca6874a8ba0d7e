package spec

import (
	"slices"
	"strings"
	"testing"
)

// What looks odd but is valid; want are the warnings.
func TestAccepted(t *testing.T) {
	tests := []struct {
		id, members string
		want        []string
		opt         Options
	}{
		{"PROC-01", `"hostname":""`, nil, Options{Detached: true}},
		{"MNT-03", `"mounts":[{"destination":"tmp","type":"tmpfs"}]`, is(`mounts[0].destination: "tmp" is relative`), Options{}},
		{"MNT-08", `"mounts":[{"destination":"/a","type":"none","source":"b","options":["bind"]},{"destination":"/b","source":"c","options":["rbind","defaults"]}]`, nil, Options{}},
		{"MNT-18", `"mounts":[{"destination":"/proc/cpuinfo","source":"b","options":["bind"]},{"destination":"/proc","type":"proc"},{"destination":"/process","type":"tmpfs"}]`, nil, Options{}},
		{"MNT-19", `"mounts":[{"destination":"/proc","source":"/proc","options":["bind"]},{"destination":"/proc/","source":"/proc/self","options":["rbind"]}]`,
			is(`mounts[1].source: "/proc/self" is a part of a procfs only`), Options{}},
		{"MOPT-29", `"mounts":[{"destination":"/a","options":["remount","ro"]}]`, nil, Options{}},
		{"IDM-09", `"mounts":[{"destination":"/a","source":"/b","options":["bind"],"uidMappings":[` + idMaps(1, 9) + `],"gidMappings":[` + idMaps(1, 9) + `]}]`, nil, Options{}},
		{"IDM-10", `"mounts":[{"destination":"/a","source":"/b","options":["bind","idmap"]}],"linux":{"namespaces":[{"type":"user","path":"/x"}]}`, nil, Options{}},
		{"PROC-05", proc(`"consoleSize":{"height":70000,"width":70000}`), nil, Options{}},
		{"PROC-10", proc(`"env":["A=1","A=2","B=","C==="]`), nil, Options{}},
		{"PROC-16", proc(`"commandLine":"x"`), nil, Options{}},
		{"RLIM-05", proc(`"rlimits":[{"type":"RLIMIT_CORE","soft":18446744073709551615,"hard":18446744073709551615},{"type":"RLIMIT_CPU","soft":0,"hard":0}]`), nil, Options{}},
		{"CAP-06, CAP-07", proc(`"capabilities":{"bounding":["CAP_FOO","CAP_KILL","cap_kill"],"effective":["CAP_FOO"]}`),
			is(`process.capabilities: ignoring unknown capabilities: ["CAP_FOO" "cap_kill"]`), Options{}},
		{"CAP-05", proc(`"capabilities":{"permitted":["CAP_KILL","CAP_CHOWN"],"inheritable":["CAP_CHOWN"],"ambient":["CAP_KILL","CAP_CHOWN"]}`),
			is("process.capabilities.ambient: not both permitted and inheritable, so not ambient: CAP_KILL"), Options{}},
		{"SCHED-05", proc(`"scheduler":{"policy":"SCHED_DEADLINE","runtime":1000,"deadline":2000}`), nil, Options{}},
		{"AFF-05", proc(`"execCPUAffinity":{"initial":"0-3, 7","final":"2000"}`), nil, Options{}},
		{"ANN-04, ANN-06", `"annotations":{"org.opencontainers.foo":"x","x":"","org.systemd.property.x":"1"}`, nil, Options{}},
		{"NS-19", `"linux":{"namespaces":[{"type":"network","path":"/a,b"}]}`, nil, Options{}},
		{"UIDM-05", `"linux":{"namespaces":[{"type":"user","path":"/x"}],"uidMappings":[` + idMaps(1, 9) + `],"gidMappings":[` + idMaps(1, 9) + `]}`, nil, Options{Rootless: true}},
		{"UIDM-08", `"linux":{"namespaces":[{"type":"user"}],"uidMappings":[{"containerID":5,"hostID":5,"size":1}],"gidMappings":[{"containerID":5,"hostID":5,"size":1}]}`, nil, Options{}},
		{"UTS-04", `"hostname":"h","linux":{"namespaces":[{"type":"uts","path":"/x"}]}`, nil, Options{}},
		{"DEV-08, DEV-12", `"linux":{"devices":[{"path":"/dev/ptmx","type":"c","major":5,"minor":2,"fileMode":8630},{"path":"/x","type":"u","major":5,"minor":2},{"path":"/p","type":"p"}]}`, nil, Options{}},
		{"NETD-05", `"linux":{"namespaces":[{"type":"network"}],"netDevices":{"a":{"name":"eth%d"},"b":{"name":"eth%d"},"0123456789abcde":{}}}`, nil, Options{}},
		{"CGP-03", `"linux":{"cgroupsPath":"../../x:y"}`, nil, Options{}},
		{"CGP-10", `"linux":{"cgroupsPath":"user-1000.slice:libpod:abc"}`, nil, Options{}},
		{"CGP-10", `"linux":{"cgroupsPath":":skep:abc"}`, nil, Options{}},
		{"CGD-03, CGD-04, CGD-05", res(`"devices":[{"allow":false},{"allow":true,"type":"a","major":-1,"minor":-1,"access":""}]`), nil, Options{}},
		{"CGM-04, CGM-11", res(`"memory":{"limit":-1,"swap":-1,"reservation":0}`), nil, Options{}},
		{"CGM-11", res(`"memory":{"limit":100,"swap":0}`), nil, Options{}},
		{"CGM-05", res(`"memory":{"kernel":1,"kernelTCP":1}`), is("linux.resources.memory.kernel: ignored", "linux.resources.memory.kernelTCP: ignored"), Options{}},
		{"CGC-02", res(`"cpu":{"quota":-1,"period":0,"burst":5,"shares":0,"cpus":"0-1,3"}`), nil, Options{}},
		{"CGB-01", res(`"blockIO":{"weight":0,"leafWeight":0}`), nil, Options{}},
		{"CGH-01", res(`"hugepageLimits":[{"pageSize":"64KB","limit":0},{"pageSize":"16GB","limit":1}]`), nil, Options{}},
		{"CGI-02", res(`"pids":{"limit":0}`), nil, Options{}},
		{"UNI-03", res(`"unified":{"misc.max":"res_a 1\nres_b 2","hugetlb.2MB.max":"0"}`), nil, Options{}},
		{"RDT-04, RDT-18", `"linux":{"intelRdt":{"closID":"/","enableCMT":true,"memBwSchema":"MB:0=10"}}`, nil, Options{}},
		{"MPOL-02", `"linux":{"memoryPolicy":{"mode":"MPOL_PREFERRED","nodes":""}}`, nil, Options{}},
		{"SYS-02", `"linux":{"namespaces":[{"type":"network"}],"sysctl":{"net.ipv4.ip_forward":"1","net/ipv4/conf/eth0.100/x":"1"}}`, nil, Options{}},
		{"PRP-05", `"linux":{"rootfsPropagation":"rslave"}`, nil, Options{NoPivot: true}},
		{"SEC-09", `"linux":{"seccomp":{"defaultAction":"SCMP_ACT_KILL","flags":[]}}`, nil, Options{}},
		{"SEC-12", `"linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"x","listenerMetadata":"y"}}`, nil, Options{}},
		{"SEC-18", `"linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["foo"],"action":"SCMP_ACT_TRACE","errnoRet":65535,"args":[{"index":0,"value":0,"op":"SCMP_CMP_EQ"},{"index":0,"value":2,"op":"SCMP_CMP_EQ"}]}]}}`, nil, Options{}},
		{"HK-02", `"hooks":{"poststop":[{"path":"/x","timeout":1,"env":[]}]}`, nil, Options{}},
	}
	for _, tt := range tests {
		warnings, err := check(t, base(","+tt.members), tt.opt)
		if err != nil {
			t.Errorf("%s: %v", tt.id, err)
		}
		if !slices.EqualFunc(warnings, tt.want, strings.HasPrefix) {
			t.Errorf("%s: warnings %q, want %q", tt.id, warnings, tt.want)
		}
	}
}

func TestValidateProcess(t *testing.T) {
	p, _, err := ParseProcess([]byte(`{"args":["a"],"cwd":"/","user":{"uid":7,"gid":0},"terminal":true}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ValidateProcess(p, nil, Options{}); err != nil {
		t.Error(err)
	}
	container, _, err := Parse([]byte(base("," + userNS(`"containerID":0,"hostID":1000,"size":5`))))
	if err != nil {
		t.Fatal(err)
	}
	_, err = ValidateProcess(p, container, Options{})
	wantProblems(t, "USR-01", err, "process.user.uid: 7 is not mapped")
}

func TestValidateResources(t *testing.T) { // CLI-15
	r, _, err := ParseResources([]byte(`{"memory":{"limit":-5}}`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = ValidateResources(r, Options{})
	wantProblems(t, "update", err, "linux.resources.memory.limit: -5 is below")
}

func TestParseList(t *testing.T) { // AFF-05, CGC-06
	tests := []struct {
		in   string
		want []Range
		ok   bool
	}{
		{"", nil, true}, {"  ", nil, true},
		{"0", []Range{{0, 0}}, true},
		{"0-3,7", []Range{{0, 3}, {7, 7}}, true},
		{" 0 - 3 , 7 ", []Range{{0, 3}, {7, 7}}, true},
		{"2000,65535", []Range{{2000, 2000}, {65535, 65535}}, true},
		{"3-1", nil, false}, {",", nil, false}, {"1,", nil, false}, {"1--2", nil, false}, {"-1", nil, false},
		{"a", nil, false}, {"0x1", nil, false}, {"1;2", nil, false}, {"65536", nil, false}, {"99999999999", nil, false},
	}
	for _, tt := range tests {
		got, err := ParseList(tt.in)
		if !slices.Equal(got, tt.want) || (err == nil) != tt.ok {
			t.Errorf("ParseList(%q) = %v, %v", tt.in, got, err)
		}
	}
}

func TestSysctlPath(t *testing.T) { // SYS-07
	for name, want := range map[string]string{
		"net.ipv4.ip_forward":               "net/ipv4/ip_forward",
		"net/ipv4/conf/eth0.100/forwarding": "net/ipv4/conf/eth0.100/forwarding",
		"net.ipv4.conf.eth0/100.forwarding": "net/ipv4/conf/eth0.100/forwarding",
		"kernel/shmmax":                     "kernel/shmmax",
		"net.ipv4.conf.../..forwarding":     "",
		"net/./x":                           "",
		"":                                  "",
		".":                                 "",
		"net.ipv4.\x00":                     "",
	} {
		got, err := SysctlPath(name)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("SysctlPath(%q) = %q, %v", name, got, err)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	s, _, err := Parse(readFile(b, bundles+"/docker-05.json"))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Validate(s, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
