package tests

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// processFile writes a process file. Without an edit it is a shell script and
// nothing more.
func processFile(t *testing.T, script string, change ...func(*specs.Process)) string {
	t.Helper()
	p := &specs.Process{Args: []string{"/bin/sh", "-ec", script}, Env: []string{"PATH=/bin"}, Cwd: "/"}
	for _, c := range change {
		c(p)
	}
	content, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(tempDir(t), "process.json")
	writeFile(t, path, string(content))
	return path
}

// execFile runs a process file, which must succeed.
func (c *container) execFile(script string, change ...func(*specs.Process)) string {
	c.t.Helper()
	return strings.TrimSpace(c.ok("exec", "--process", processFile(c.t, script, change...), c.id).stdout)
}

// What managers wrote runs.
func TestExecRecorded(t *testing.T) {
	files, err := filepath.Glob("testdata/bundles/*-exec-*.process.json")
	if err != nil || len(files) < 9 {
		t.Fatalf("%d recorded process files, %v", len(files), err)
	}
	r := newRuntime(t)
	c := r.runDetached(newBundle(t))
	for _, file := range files {
		var p specs.Process
		if err := json.Unmarshal([]byte(readFile(t, file)), &p); err != nil {
			t.Fatal(err)
		}
		if p.Terminal { // conmon's command line
			path, accept := consoleSocket(t)
			r.ok("exec", "--pid-file", filepath.Join(tempDir(t), "pid"), "--process", file, "--detach", "--tty", "--console-socket", path, c.id)
			_, master := accept()
			readUntil(t, master, "ready\n")
			continue
		}
		wantLines(t, r.ok("exec", "--process", file, c.id).stdout, "ready")
		log := filepath.Join(tempDir(t), "log.json")
		r.succeed(call{args: []string{"--log", log, "--log-format", "json", "exec", "--process", file, "--detach", "--pid-file", log + ".pid", c.id}})
		if said := readFile(t, log); said != "" {
			t.Errorf("%s: %s", file, said)
		}
	}
	c.delete("--force")
}

// CAP-08 USR-03 RLIM-01 SCHED-06 PROC-18: what a process file leaves out is the container's, what it says counts.
func TestExecInherits(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t, proc(func(p *specs.Process) {
		p.User = specs.User{UID: 5, GID: 6, AdditionalGids: []uint32{7}, Umask: ptr(uint32(0o027))}
		p.Env = append(p.Env, "OF=container")
		p.OOMScoreAdj = ptr(321)
		p.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch, Nice: 3}
		p.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 6}
		p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Hard: 222, Soft: 111}}
	})))
	const show = `umask; cat /proc/self/oom_score_adj; ulimit -n; id -u; id -G; echo "$OF"; pwd; ` + showCaps
	all := strings.Split(c.execFile(show), "\n")
	wantLines(t, strings.Join(all[:7], "\n"), "0027", "321", "111", "0", "0", "", "/")
	wantStatus(t, strings.Join(all[7:], "\n"), map[string]string{"CapEff": defaultCaps, "NoNewPrivs": "0"})

	pid := c.execDetached([]string{"--process", processFile(t, "exec sleep 1000")})
	if got, want := scheduledOf(t, pid), (scheduled{unix.SCHED_BATCH, 3, 2<<13 | 6}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	all = strings.Split(c.execFile(show, func(p *specs.Process) {
		p.User = specs.User{UID: 8, GID: 9, Umask: ptr(uint32(0o077))}
		p.OOMScoreAdj, p.NoNewPrivileges, p.Cwd = ptr(400), true, "/tmp"
		p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Hard: 4000, Soft: 2000}}
		p.Capabilities = &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL"}}
	}), "\n")
	wantLines(t, strings.Join(all[:7], "\n"), "0077", "400", "2000", "8", "9", "", "/tmp")
	wantStatus(t, strings.Join(all[7:], "\n"), map[string]string{"CapEff": noCaps, "CapBnd": capKill, "NoNewPrivs": "1"})

	pid = c.execDetached([]string{"--process", processFile(t, "exec sleep 1000", func(p *specs.Process) {
		p.Scheduler = &specs.Scheduler{Policy: specs.SchedIdle}
		p.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_IDLE}
	})})
	if got, want := scheduledOf(t, pid), (scheduled{unix.SCHED_IDLE, scheduledOf(t, 0).nice, 3 << 13}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	c.delete("--force")
}

// AFF-01 AFF-02 AFF-03 AFF-04 AFF-05 AFF-06
func TestExecAffinity(t *testing.T) {
	r := newRuntime(t)
	const show = `grep Cpus_allowed_list /proc/self/status | cut -f2`
	affinity := func(initial, final string) func(*specs.Process) {
		return func(p *specs.Process) { p.ExecCPUAffinity = &specs.CPUAffinity{Initial: initial, Final: final} }
	}
	allowed := strings.TrimSpace(r.sh(show))
	cpus := strings.FieldsFunc(allowed, func(r rune) bool { return r < '0' || r > '9' })
	first, last := cpus[0], cpus[len(cpus)-1] // the same one where there is one only
	c := r.runDetached(newBundle(t, proc(affinity(first, first)), args("/bin/sh", "-c", show+"; sleep 1000")))
	eventually(t, "output of init", func() bool { return c.made.later(t) != "" })
	wantLines(t, c.made.later(t), allowed) // not applied to init
	wantLines(t, c.exec(show), first)      // the container's
	// What the kernel makes of an affinity when a process moves into the cgroup depends on its version.
	move := exec.Command("taskset", "-c", last, "sh", "-c", `echo 0 >"$0"/cgroup.procs; `+show, cgroupDir(t, "cpuset", c.bundle.cgroup))
	moved, err := childOutput(move)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []struct{ initial, final, want string }{
		{"", last, last}, {first, last + " ", last}, {last, "", strings.TrimSpace(moved)}, {first, allowed + ", " + last, allowed},
		{"", first + "-" + last + ",2000", allowed}, {"", "", allowed},
	} {
		wantLines(t, c.execFile(show, affinity(a.initial, a.final)), a.want)
	}
	pinned := call{args: c.execLine([]string{"--process", processFile(t, show, affinity("", ""))}), wrap: []string{"taskset", "-c", first}}
	wantLines(t, r.succeed(pinned).stdout, allowed)
	for _, bad := range []string{"2-1", "a", "0,,1"} {
		c.refuseExec("process.execCPUAffinity.final", []string{"--process", processFile(t, show, affinity("0", bad))})
		c.refuseExec("process.execCPUAffinity.initial", []string{"--process", processFile(t, show, affinity(bad, "0"))})
	}
	c.refuseExec("process.execCPUAffinity.final: run on the CPUs 2000: sched_setaffinity: invalid argument",
		[]string{"--process", processFile(t, show, affinity("", "2000"))})
	c.delete("--force")
}

// PRP-16 MPOL-04: what init has and every later process is to have.
func TestExecPersonality(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t, linux(func(l *specs.Linux) {
		l.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32}
		l.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0"}
	})))
	pid := c.execDetached(nil, "/bin/sleep", "1000")
	for file, want := range map[string]string{"personality": "00000008\n", "numa_maps": " bind:0 "} {
		if got := readFile(t, procPath(pid, file)); !strings.Contains(got, want) {
			t.Errorf("%s of exec: %s", file, got)
		}
	}
	c.delete("--force")
}

// A process file that cannot be used is one error.
func TestExecBadProcessFile(t *testing.T) {
	r := newRuntime(t)
	c := r.runDetached(newBundle(t))
	file := filepath.Join(tempDir(t), "process.json")
	for content, want := range map[string]string{
		"":                      "the file is empty",
		"null":                  "null",
		"[]":                    "process",
		"{":                     "process",
		`{}`:                    "process.cwd",
		`{"cwd":"/","args":[]}`: "process.args",
		`{"cwd":"/","args":["true"],"args":["x"]}`:                                      "args",
		`{"cwd":"/","args":["true"],"user":{"uid":-1}}`:                                 "process.user.uid",
		`{"cwd":"/","args":["true"],"user":{"uid":4294967295,"gid":0}}`:                 "process.user.uid",
		`{"cwd":"/","args":["true"],"env":["x"]}`:                                       "process.env[0]",
		`{"cwd":"/","args":["true"],"rlimits":[{"type":"RLIMIT_X","soft":1,"hard":1}]}`: "process.rlimits[0].type",
		`{"cwd":"/","args":["true"],"oomScoreAdj":2000}`:                                "process.oomScoreAdj",
		`{"cwd":"/","args":["true"],"scheduler":{"policy":"SCHED_X"}}`:                  "process.scheduler.policy",
		`{"cwd":"/","args":["true"],"terminal":true,"consoleSize":{"height":99999}}`:    "process.consoleSize",
	} {
		writeFile(t, file, content)
		c.refuseExec(want, []string{"--process", file, "--detach"})
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	c.refuseExec("not a regular file", []string{"--process", file})
	good := processFile(t, "true")
	c.refuseExec(`"/bin/true" cannot be given besides`, []string{"--process", good}, "/bin/true")
	for _, flag := range []string{"--cwd=/", "-e=A=b", "-u=0", "-g=0", "--cap=CAP_KILL", "--no-new-privs", "--apparmor=x", "--process-label=x"} {
		c.refuseExec("cannot be given besides", []string{"--process", good, flag})
	}
	c.delete("--force")
}
