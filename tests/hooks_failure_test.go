package tests

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// failing is a bundle whose list ends with a hook that must not run, and with
// a poststop hook that must.
func failing(t *testing.T, l hookList, hook specs.Hook) bundle {
	b := newBundle(t, args("/bin/sleep", "1000"))
	addHooks(b, l, specs.Hook{Path: "/bin/true"}, hook, shHook("echo next >>"+l.file(b, "log")))
	addHooks(b, hookLists()[5], shHook("echo poststop >>"+b.rootfs+"/log"))
	return b
}

// refusedByHook tries a bundle in both ways and returns the error of the
// operation in which the hook failed. Nothing of the container is left.
func (r *ociRuntime) refusedByHook(l hookList, b bundle, want ...string) {
	r.t.Helper()
	want = append(want, "hooks."+l.name+"[1] ")
	id := r.id()
	create := call{args: []string{"create", "--bundle", b.dir, id}}
	if l.status == "creating" {
		r.refuse(create, want...)
	} else {
		r.succeed(create)
		r.live = append(r.live, id)
		r.refuse(call{args: []string{"start", id}}, want...)
	}
	r.fails("does not exist", "state", id)
	wantLines(r.t, strings.Join(b.log(), "\n"), "poststop")
	file := filepath.Join(tempDir(r.t), "pid")
	r.refuse(call{args: append(r.runLine(b), "--pid-file", file)}, want...)
	wantNoFile(r.t, file)
	wantLines(r.t, strings.Join(b.log(), "\n"), "poststop", "poststop")
	if left := r.entries(); len(left) > 0 {
		r.t.Errorf("left: %v", left)
	}
}

// HK-13 HKW-01 HKW-02 HKW-03 HKW-04 HKW-05 HKW-07 HKW-10 HKW-11 LC-05 LC-06
// LC-07 LC-09 LC-11
func TestHookFailure(t *testing.T) {
	for _, l := range hookLists()[:5] {
		t.Run(l.name, func(t *testing.T) {
			b := failing(t, l, shHook("echo to stdout; echo the reason >&2; exit 3"))
			newRuntime(t).refusedByHook(l, b, "/bin/sh: exited with status 3: to stdout\nthe reason")
		})
	}
}

func TestHookFailureKinds(t *testing.T) {
	for name, c := range map[string]struct {
		hook specs.Hook
		want string
	}{
		"missing":        {specs.Hook{Path: "/no/such/hook"}, "/no/such/hook: exec /no/such/hook [\"/no/such/hook\"]: execve: no such file or directory"},
		"not executable": {specs.Hook{Path: "/etc/passwd"}, "permission denied"},
		"signal":         {shHook("kill -SEGV $$"), "/bin/sh: was killed by SIGSEGV"},
		"through a name": {shHook("echo the reason >/dev/stderr; exit 1"), "exited with status 1: the reason"},
		"escapes":        {shHook(`printf '\033[31mred\033[m\r\n'; exit 1`), "exited with status 1: [31mred[m"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRuntime(t)
			for _, l := range hookLists()[1:4] {
				r.refusedByHook(l, failing(t, l, c.hook), c.want)
			}
		})
	}
}

// In a user namespace the output is the hook's too.
func TestHookOutputInUserNamespace(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, userNamespace())
	b.chown(100_000, 100_000)
	addHooks(b, hookLists()[2], shHook("echo the reason >/dev/stderr; exit 1"))
	r.fails("status 1: the reason", "create", "--bundle", b.dir, r.id())
}

// HK-13: of long output the end is told, and it blocks nobody.
func TestHookLongOutput(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/true"))
	l := hookLists()[1]
	addHooks(b, l, shHook("yes begin | head -c 1000000"), shHook("yes begin | head -c 1000000; echo the end; exit 1"))
	res := r.do("create", "--bundle", b.dir, r.id())
	if n := len(res.stderr); res.code != 1 || n > 66_000 || n < 60_000 || !strings.HasSuffix(res.stderr, "the end\n") {
		t.Errorf("exit %d, %d bytes: %.200s … %s", res.code, n, res.stderr, res.stderr[max(0, n-100):])
	}
}

// HK-06: the whole process group is killed.
func TestHookTimeout(t *testing.T) {
	for _, l := range hookLists()[1:4] {
		t.Run(l.name, func(t *testing.T) {
			b := newBundle(t)
			hook := shHook("echo waiting; echo said >>" + l.file(b, "log") + "; sleep 1000 & sleep 1000; true")
			hook.Timeout = ptr(1)
			addHooks(b, l, hook)
			r := newRuntime(t)
			res := r.do("run", "--bundle", b.dir, r.id())
			want := "hooks." + l.name + "[0] /bin/sh: was killed: no end after 1 s"
			if len(b.log()) > 0 { // a busy machine may not get that far in a second
				want += ": waiting"
			}
			if res.code != 1 || !strings.Contains(res.stderr, want) {
				t.Errorf("exit %d, %s; want %s", res.code, res.stderr, want)
			}
		})
	}
}

// HKW-10: SIGINT and its like end a run in whose hook it hangs, the hook, and what there is of the container.
func TestHookInterrupted(t *testing.T) {
	signals := map[string]unix.Signal{"createRuntime": unix.SIGINT, "createContainer": unix.SIGTERM, "startContainer": unix.SIGHUP, "poststart": unix.SIGQUIT}
	for _, l := range hookLists()[1:5] {
		t.Run(l.name, func(t *testing.T) {
			r := newRuntime(t)
			b := newBundle(t, args("/bin/sleep", "1000"))
			addHooks(b, l, shHook("echo hangs >>"+l.file(b, "log")+"; sleep 1000 & sleep 1000; true"))
			addHooks(b, hookLists()[5], shHook("echo poststop >>"+b.rootfs+"/log"))
			wait := r.start(call{args: r.runLine(b)})
			eventually(t, "the hook hangs", func() bool { return len(b.log()) > 0 })
			for _, p := range descendants() {
				if p.parent == os.Getpid() && strings.Contains(p.command, r.root) {
					if err := unix.Kill(p.pid, signals[l.name]); err != nil {
						t.Fatal(err)
					}
				}
			}
			res, err := wait()
			if err != nil {
				t.Fatal(err)
			}
			if want := "hooks." + l.name + "[0] /bin/sh: interrupted by " + unix.SignalName(signals[l.name]); res.code != 1 || !strings.Contains(res.stderr, want) {
				t.Errorf("exit %d, %s; want %s", res.code, res.stderr, want)
			}
			wantLines(t, strings.Join(b.log(), "\n"), "hangs", "poststop")
			if left := r.entries(); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// A signal that comes while hooks run, and is none to end them, is the program's.
func TestSignalDuringHook(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/sh", "-c", `trap "echo got; exit 9" USR1; touch /trapped; while :; do sleep 0.01; done`))
	addHooks(b, hookLists()[1], shHook("echo waits >>"+b.rootfs+"/log; while [ ! -e "+b.rootfs+"/go ]; do sleep 0.01; done"))
	addHooks(b, hookLists()[4], shHook("while [ ! -e "+b.rootfs+"/trapped ]; do sleep 0.01; done"))
	wait := r.start(call{args: r.runLine(b)})
	eventually(t, "the hook waits", func() bool { return b.exists("log") })
	for _, p := range descendants() {
		if p.parent == os.Getpid() && strings.Contains(p.command, r.root) {
			_ = unix.Kill(p.pid, unix.SIGUSR1)
		}
	}
	b.write("go", "", 0o644)
	if res, err := wait(); err != nil || res.code != 9 || res.stdout != "got\n" {
		t.Errorf("exit %d, %q %s%v", res.code, res.stdout, res.stderr, err)
	}
}

// A hook that ends in time is not affected by its timeout.
func TestHookInTime(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/true"))
	for _, l := range hookLists() {
		hook := shHook("true")
		hook.Timeout = ptr(math.MaxInt64)
		addHooks(b, l, hook)
	}
	r.output(b)
}

// HKW-06 LC-15: what poststop hooks do changes nothing.
func TestPoststopFailures(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/true"))
	poststop := hookLists()[5]
	addHooks(b, poststop, shHook("echo the reason; exit 4"), specs.Hook{Path: "/no/such/hook"}, shHook("echo last >>"+b.rootfs+"/log"))
	c := r.create(b)
	res := r.do("delete", c.id)
	checkError(t, "delete", res.stderr, "warning: hooks.poststop[0] /bin/sh: exited with status 4: the reason", "warning: hooks.poststop[1] /no/such/hook")
	if res.code != 0 {
		t.Errorf("delete: exit %d", res.code)
	}
	r.fails("does not exist", "state", c.id)
	r.live = nil
	if res := r.run(b); res.code != 0 || !strings.Contains(res.stderr, "hooks.poststop[0]") { // HKW-11
		t.Errorf("run: exit %d, %s", res.code, res.stderr)
	}
	wantLines(t, strings.Join(b.log(), "\n"), "last", "last")
}

// A create that fails before the first hook could run owes no poststop.
func TestPoststopNotDue(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, mounts(specs.Mount{Destination: "/x", Type: "tmpfs", Source: "x", Options: []string{"size=zork"}}))
	for _, l := range hookLists() {
		addHooks(b, l, shHook("echo "+l.name+" >>"+l.file(b, "log")))
	}
	r.fails("zork", "create", "--bundle", b.dir, r.id())
	if got := b.log(); len(got) > 0 {
		t.Errorf("ran: %v", got)
	}
}

// HKW-10: poststop is due when create fails later for another reason.
func TestPoststopAfterMissingProgram(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/no/such/program"))
	addHooks(b, hookLists()[5], shHook("echo poststop >>"+b.rootfs+"/log"))
	r.fails("/no/such/program", "create", "--bundle", b.dir, r.id())
	wantLines(t, strings.Join(b.log(), "\n"), "poststop")
}

// What a hook leaves behind keeps its output open and delays nobody; a
// container that a hook left a process in goes with it.
func TestHookLeavesProcess(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/true"))
	for _, l := range hookLists() {
		addHooks(b, l, shHook("sleep 1000 & echo $! >>"+l.file(b, "left")))
	}
	r.output(b)
	pids := strings.Fields(readFile(t, filepath.Join(b.rootfs, "left")))
	if len(pids) != 6 {
		t.Fatalf("processes: %v", pids)
	}
	for i, l := range hookLists() {
		pid, err := strconv.Atoi(pids[i])
		if err != nil {
			t.Fatal(err)
		}
		if l.inside {
			continue // its pid is the container's, and it is gone
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Errorf("%s: process %d: %v", l.name, pid, err)
		}
	}
	if _, err := os.Stat(cgroupDir(t, "pids", b.cgroup)); err == nil {
		t.Error("the cgroup is still there")
	}
}
