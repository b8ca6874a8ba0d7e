package spec

import (
	"strings"
	"testing"
)

// A bad configuration: the members to add to base, and the problems to find.
type badConfig struct {
	id      string // rows of the requirement checklist
	members string
	want    []string // "path: fragment of the text"
	opt     Options
}

func testBad(t *testing.T, tests []badConfig) {
	t.Helper()
	for _, tt := range tests {
		raw := base("," + tt.members)
		if strings.HasPrefix(tt.members, "{") {
			raw = tt.members
		}
		_, err := check(t, raw, tt.opt)
		wantProblems(t, tt.id+" "+tt.members, err, tt.want...)
	}
}

// is makes a list of one problem or more.
func is(want ...string) []string { return want }

// proc wraps members of a process that is valid without them.
func proc(members string) string {
	return `"process":{"cwd":"/","args":["sh"],"user":{"uid":0,"gid":0},` + members + `}`
}

func TestBadRootAndMounts(t *testing.T) {
	mount := func(m string) string { return `"mounts":[{"destination":"/ok","type":"tmpfs"},{` + m + `}]` }
	testBad(t, []badConfig{
		{"ROOT-01", `{"ociVersion":"1.0.0"}`, is("root: required"), Options{}},
		{"ROOT-01", `{"ociVersion":"1.0.0","root":null}`, is("root: required"), Options{}},
		{"ROOT-02", `{"ociVersion":"1.0.0","root":{}}`, is("root.path: required"), Options{}},
		{"ROOT-02", `{"ociVersion":"1.0.0","root":{"path":"a\u0000"}}`, is("root.path: NUL"), Options{}},
		{"MNT-02", mount(`"type":"tmpfs"`), is("mounts[1].destination: required"), Options{}},
		{"MNT-06", mount(`"destination":"/","type":"tmpfs"`), is(`mounts[1].destination: "/" would cover`), Options{}},
		{"MNT-06", mount(`"destination":"/a/..//","type":"tmpfs"`), is("mounts[1].destination: would cover"), Options{}},
		{"MNT-06", mount(`"destination":"..","type":"tmpfs"`), is("mounts[1].destination: would cover"), Options{}},
		{"MNT-07", mount(`"destination":"/a"`), is("mounts[1].type: needs a type"), Options{}},
		{"MNT-08", mount(`"destination":"/a","type":"bind","source":"/b"`), is("mounts[1].type: not a filesystem"), Options{}},
		{"MNT-09", mount(`"destination":"/a","options":["rbind"]`), is("mounts[1].source: needs a source"), Options{}},
		{"MNT-11", mount(`"destination":"/a\u0000","type":"tmpfs"`), is("mounts[1].destination: NUL"), Options{}},
		{"MNT-11", mount(`"destination":"/a","type":"tm\u0000fs","source":"\u0000"`), is("mounts[1].type: NUL", "mounts[1].source: NUL"), Options{}},
		{"MNT-11", mount(`"destination":"/a","type":"tmpfs","options":["size=\u0000"]`), is("mounts[1].options: NUL"), Options{}},
		{"MNT-14", mount(`"destination":"/a","source":"/b","options":["bind","size=1k","ro","mode=7"]`), is(`mounts[1].options[1]: "size=1k"`, `mounts[1].options[3]: "mode=7"`), Options{}},
		{"MNT-18", mount(`"destination":"/proc/self/attr","source":"/b","options":["bind"]`), is("mounts[1].destination: below /proc"), Options{}},
		{"MNT-18", mount(`"destination":"/proc/../proc/sys","type":"tmpfs"`), is("mounts[1].destination: below /proc"), Options{}},
		{"MNT-18", mount(`"destination":"proc/sys","type":"tmpfs"`), is("mounts[1].destination: below /proc"), Options{}},
		{"MOPT-43", mount(`"destination":"/a","type":"ramfs","options":["tmpcopyup"]`), is("mounts[1].options: tmpfs only"), Options{}},
		{"MOPT-43", mount(`"destination":"/a","type":"tmpfs","source":"/b","options":["bind","tmpcopyup"]`), is("mounts[1].options: tmpfs only"), Options{}},
		{"IDM-01", mount(`"destination":"/a","type":"tmpfs","uidMappings":[{"containerID":0,"hostID":1,"size":1}]`), is("mounts[1].gidMappings: required"), Options{}},
		{"IDM-01", mount(`"destination":"/a","type":"tmpfs","gidMappings":[{"containerID":0,"hostID":1,"size":1}]`), is("mounts[1].uidMappings: required"), Options{}},
		{"IDM-05", mount(`"destination":"/a","source":"/b","options":["bind","idmap"]`), is("mounts[1].options: needs a user namespace"), Options{}},
		{"IDM-05", mount(`"destination":"/a","source":"/b","options":["rbind","ridmap"]`), is("mounts[1].options: needs a user namespace"), Options{}},
		{"IDM-12", mount(`"destination":"/a","type":"tmpfs","uidMappings":[{"containerID":0,"hostID":1,"size":0}],"gidMappings":[{"containerID":0,"hostID":1,"size":5},{"containerID":9,"hostID":5,"size":1}]`),
			is("mounts[1].uidMappings[0].size: 0 ids", "mounts[1].gidMappings[1].hostID: overlaps that of mounts[1].gidMappings[0]"), Options{}},
		{"IDM-12", mount(`"destination":"/a","type":"tmpfs","uidMappings":[` + idMaps(1, 1) + `],"gidMappings":[` + idMaps(341, 1) + `]`),
			is("mounts[1].gidMappings: 341 mappings are more"), Options{}},
	})
}

func TestBadProcess(t *testing.T) {
	testBad(t, []badConfig{
		{"PROC-03", proc(`"terminal":true`), is("process.terminal: needs a console socket"), Options{Detached: true}},
		{"PROC-03", proc(`"terminal":false`), is("process.terminal: has no terminal"), Options{ConsoleSocket: true}},
		{"PROC-04", proc(`"terminal":true,"consoleSize":{"height":65536,"width":1}`), is("process.consoleSize: 65536 by 1"), Options{}},
		{"PROC-06", `"process":{"args":["a"]}`, is("process.cwd: required"), Options{}},
		{"PROC-06", `"process":{"args":["a"],"cwd":"tmp"}`, is(`process.cwd: "tmp" is not an absolute path`), Options{}},
		{"PROC-06", `"process":{"args":["a"],"cwd":"/\u0000"}`, is("process.cwd: NUL"), Options{}},
		{"PROC-09", proc(`"env":["A=1","SECRET","=x","B\u0000=1","C=\u0000"]`), is("process.env[1]: NAME=value", "process.env[2]: empty", "process.env[3]: NUL", "process.env[4]: the value of C has a NUL byte"), Options{}},
		{"PROC-13", `"process":{"cwd":"/"}`, is("process.args: at least one"), Options{}},
		{"PROC-13", `"process":{"cwd":"/","args":[]}`, is("process.args: at least one"), Options{}},
		{"PROC-13", `"process":{"cwd":"/","args":["","x\u0000"]}`, is("process.args[0]: empty", "process.args[1]: NUL"), Options{}},
		{"PROC-18", proc(`"oomScoreAdj":1001`), is("process.oomScoreAdj: 1001 is not between"), Options{}},
		{"PROC-18", proc(`"oomScoreAdj":-1001`), is("process.oomScoreAdj: -1001 is not between"), Options{}},
		{"PROC-21", proc(`"apparmorProfile":"a\u0000","selinuxLabel":"\u0000"`), is("process.apparmorProfile: NUL", "process.selinuxLabel: NUL"), Options{}},
		{"USR-01", `"process":{"cwd":"/","args":["a"],"user":{"uid":7,"gid":0}},` + userNS(`"containerID":0,"hostID":1000,"size":5`), is("process.user.uid: 7 is not mapped"), Options{}},
		{"USR-02", `"process":{"cwd":"/","args":["a"],"user":{"uid":4,"gid":5}},` + userNS(`"containerID":0,"hostID":1000,"size":5`), is("process.user.gid: 5 is not mapped"), Options{}},
		{"USR-03", `"process":{"cwd":"/","args":["a"],"user":{"uid":4,"gid":5,"umask":512}}`, is("process.user.umask: 512"), Options{}},
		{"USR-05", `"process":{"cwd":"/","args":["a"],"user":{"uid":0,"gid":0,"additionalGids":[1]}},` + userNS(`"containerID":0,"hostID":1000,"size":1`),
			is("process.user.additionalGids[0]: 1 is not mapped", "process.user.additionalGids: rootless"), Options{Rootless: true}},
		{"USR-05", `"process":{"cwd":"/","args":["a"],"user":{"uid":0,"gid":0,"additionalGids":[` + strings.Repeat("7,", 65536) + `7]}}`,
			is("process.user.additionalGids: 65537 groups"), Options{}},
		{"USR-06", `"process":{"cwd":"/","args":["a"],"user":{"uid":4294967295,"gid":4294967295,"additionalGids":[4294967295]}}`,
			is("process.user.uid: (-1)", "process.user.gid: (-1)", "process.user.additionalGids[0]: (-1)"), Options{}},
		{"RLIM-01", proc(`"rlimits":[{"type":"RLIMIT_FOO","soft":1,"hard":1},{"type":"NOFILE","soft":1,"hard":1},{"soft":1,"hard":1}]`),
			is(`process.rlimits[0].type: "RLIMIT_FOO"`, `process.rlimits[1].type: "NOFILE"`, "process.rlimits[2].type: required"), Options{}},
		{"RLIM-02", proc(`"rlimits":[{"type":"RLIMIT_CORE","soft":2,"hard":1}]`), is("process.rlimits[0].soft: 2 is above the hard limit 1"), Options{}},
		{"RLIM-04", proc(`"rlimits":[{"type":"RLIMIT_NOFILE","soft":1,"hard":1},{"type":"RLIMIT_NOFILE","soft":1,"hard":1}]`), is("process.rlimits[1].type: given twice"), Options{}},
		{"SCHED-01", proc(`"scheduler":{"nice":1}`), is("process.scheduler.policy: required"), Options{}},
		{"SCHED-01", proc(`"scheduler":{"policy":"FIFO"}`), is(`process.scheduler.policy: unknown policy "FIFO"`), Options{}},
		{"SCHED-01", proc(`"scheduler":{"policy":"SCHED_ISO"}`), is("process.scheduler.policy: no Linux kernel"), Options{}},
		{"SCHED-02", proc(`"scheduler":{"policy":"SCHED_OTHER","nice":20}`), is("process.scheduler.nice: 20 is not"), Options{}},
		{"SCHED-02", proc(`"scheduler":{"policy":"SCHED_BATCH","nice":-21}`), is("process.scheduler.nice: -21 is not"), Options{}},
		{"SCHED-03", proc(`"scheduler":{"policy":"SCHED_OTHER","priority":1}`), is("process.scheduler.priority: not for SCHED_OTHER"), Options{}},
		{"SCHED-03", proc(`"scheduler":{"policy":"SCHED_FIFO","priority":100}`), is("process.scheduler.priority: between 1 and 99"), Options{}},
		{"SCHED-03", proc(`"scheduler":{"policy":"SCHED_RR"}`), is("process.scheduler.priority: 0 is not between 1 and 99"), Options{}},
		{"SCHED-04", proc(`"scheduler":{"policy":"SCHED_IDLE","flags":["SCHED_FLAG_RECLAIM","X"]}`), is(`process.scheduler.flags[1]: unknown flag "X"`), Options{}},
		{"SCHED-05", proc(`"scheduler":{"policy":"SCHED_OTHER","runtime":1,"deadline":2,"period":3}`),
			is("process.scheduler.runtime: 1 is for SCHED_DEADLINE only", "process.scheduler.deadline: only", "process.scheduler.period: only"), Options{}},
		{"SCHED-05", proc(`"scheduler":{"policy":"SCHED_DEADLINE","runtime":3000,"deadline":2000,"period":1000}`),
			is("process.scheduler.runtime: above the deadline", "process.scheduler.deadline: above the period"), Options{}},
		{"SCHED-05", proc(`"scheduler":{"policy":"SCHED_DEADLINE"}`), is("process.scheduler.runtime: needs a runtime"), Options{}},
		{"IOP-01", proc(`"ioPriority":{"priority":1}`), is("process.ioPriority.class: required"), Options{}},
		{"IOP-01", proc(`"ioPriority":{"class":"RT","priority":1}`), is(`process.ioPriority.class: unknown class "RT"`), Options{}},
		{"IOP-02", proc(`"ioPriority":{"class":"IOPRIO_CLASS_BE","priority":8}`), is("process.ioPriority.priority: 8 is not"), Options{}},
		{"IOP-02", proc(`"ioPriority":{"class":"IOPRIO_CLASS_BE","priority":-1}`), is("process.ioPriority.priority: -1 is not"), Options{}},
		{"AFF-05", proc(`"execCPUAffinity":{"initial":"3-1","final":"1,,2"}`), is("process.execCPUAffinity.initial: upside down", "process.execCPUAffinity.final: a number is missing"), Options{}},
	})
}

func TestBadNamespaces(t *testing.T) {
	ns := func(list, members string) string { return `"linux":{"namespaces":[` + list + `]` + members + `}` }
	testBad(t, []badConfig{
		{"UTS-01", `"hostname":"h"`, is("hostname: uts namespace"), Options{}},
		{"UTS-02", `"domainname":"d"`, is("domainname: uts namespace"), Options{}},
		{"UTS-03", `"hostname":"` + strings.Repeat("x", 65) + `",` + ns(`{"type":"uts"}`, ""), is("hostname: longer than 64 bytes"), Options{}},
		{"UTS-03", `"domainname":"` + strings.Repeat("x", 65) + `\u0000",` + ns(`{"type":"uts"}`, ""), is("domainname: NUL", "domainname: longer"), Options{}},
		{"ANN-02", `"annotations":{"":"x"}`, is(`annotations[""]: empty`), Options{}},
		{"NS-09", ns(`{"type":"pid","path":"ns/pid"}`, ""), is("linux.namespaces[0].path: not an absolute path"), Options{}},
		{"NS-13", ns(`{"type":"pid"},{"type":"pid","path":"/x"}`, ""), is("linux.namespaces[1].type: pid is given twice"), Options{}},
		{"NS-14", ns(`{"type":"foo"},{"path":"/x"}`, ""), is(`linux.namespaces[0].type: unknown namespace "foo"`, "linux.namespaces[1].type: required"), Options{}},
		{"NS-14", ns(`{"type":"mnt"}`, ""), is("linux.namespaces[0].type: unknown"), Options{}},
		{"NS-20", `"linux":{"maskedPaths":["/a"],"readonlyPaths":["/b"]}`, is("linux.maskedPaths: mount namespace", "linux.readonlyPaths: mount namespace"), Options{}},
		{"UIDM-01", ns(`{"type":"user"}`, `,"uidMappings":[{"containerID":0,"hostID":0,"size":0}],"gidMappings":[`+idMaps(1, 1)+`]`), is("linux.uidMappings[0].size: 0 ids"), Options{}},
		{"UIDM-03", `"linux":{"uidMappings":[` + idMaps(1, 1) + `],"gidMappings":[` + idMaps(1, 1) + `]}`, is("linux.uidMappings: need a user namespace", "linux.gidMappings: need a user namespace"), Options{}},
		{"UIDM-04", ns(`{"type":"user"}`, ""), is("linux.uidMappings: needs mappings", "linux.gidMappings: needs mappings"), Options{}},
		{"UIDM-06", ns(`{"type":"user"}`, `,"uidMappings":[`+idMaps(341, 1)+`],"gidMappings":[`+idMaps(340, 1)+`]`), is("linux.uidMappings: 341 mappings"), Options{}},
		{"UIDM-06", ns(`{"type":"user"}`, `,"uidMappings":[{"containerID":0,"hostID":4294967295,"size":2}],"gidMappings":[`+idMaps(2, 2)+`]`),
			is("linux.uidMappings[0]: beyond the largest id", "linux.gidMappings[1].containerID: overlaps", "linux.gidMappings[1].hostID: overlaps"), Options{}},
		{"OPC-08", ns(`{"type":"pid"}`, ""), is("linux.namespaces: rootless"), Options{Rootless: true}},
		{"TIME-01", ns(`{"type":"time"}`, `,"timeOffsets":{"realtime":{"secs":1}}`), is("linux.timeOffsets.realtime: unknown clock"), Options{}},
		{"TIME-03", `"linux":{"timeOffsets":{"boottime":{"secs":1}}}`, is("linux.timeOffsets: need a time namespace"), Options{}},
		{"TIME-04", ns(`{"type":"time","path":"/x"}`, `,"timeOffsets":{"boottime":{"secs":1}}`), is("linux.timeOffsets: joined"), Options{}},
		{"TIME-05", ns(`{"type":"time"}`, `,"timeOffsets":{"monotonic":{"nanosecs":1000000000}}`), is("linux.timeOffsets.monotonic.nanosecs: not below a second"), Options{}},
		{"MNT-13", `"mounts":[{"destination":"/a","type":"tmpfs","options":["uid=9","gid=0"]}],` + userNS(`"containerID":0,"hostID":1,"size":2`), is("mounts[0].options[0]: not mapped"), Options{}},
	})
}

// userNS is a Linux section with a new user namespace and one mapping.
func userNS(mapping string) string {
	return `"linux":{"namespaces":[{"type":"user"}],"uidMappings":[{` + mapping + `}],"gidMappings":[{` + mapping + `}]}`
}
