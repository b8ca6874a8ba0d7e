package tests

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// hookList gives access to one of the six lists.
type hookList struct {
	name   string
	of     func(*specs.Hooks) *[]specs.Hook
	status string // of the container at that point
	inside bool   // run in the container's namespaces
}

// hookLists are in the order of the lifecycle.
func hookLists() []hookList {
	return []hookList{
		{"prestart", func(h *specs.Hooks) *[]specs.Hook { return &h.Prestart }, "creating", false},
		{"createRuntime", func(h *specs.Hooks) *[]specs.Hook { return &h.CreateRuntime }, "creating", false},
		{"createContainer", func(h *specs.Hooks) *[]specs.Hook { return &h.CreateContainer }, "creating", true},
		{"startContainer", func(h *specs.Hooks) *[]specs.Hook { return &h.StartContainer }, "created", true},
		{"poststart", func(h *specs.Hooks) *[]specs.Hook { return &h.Poststart }, "running", false},
		{"poststop", func(h *specs.Hooks) *[]specs.Hook { return &h.Poststop }, "stopped", false},
	}
}

// onHost is the part of the lists whose hooks run outside the container.
func onHost() []hookList {
	return slices.DeleteFunc(hookLists(), func(l hookList) bool { return l.inside })
}

// shHook is a hook that runs a script: the host's shell, or the container's.
func shHook(script string) specs.Hook {
	return specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", script}}
}

// addHooks appends hooks to a list.
func addHooks(b bundle, l hookList, hooks ...specs.Hook) {
	b.t.Helper()
	if b.spec.Hooks == nil {
		b.spec.Hooks = &specs.Hooks{}
	}
	list := l.of(b.spec.Hooks)
	*list = append(*list, hooks...)
	b.save()
}

// file names a file of the bundle's root as a hook of the list sees it.
func (l hookList) file(b bundle, name string) string {
	if l.name == "startContainer" {
		return "/" + name
	}
	return filepath.Join(b.rootfs, name)
}

// says is a bundle of which two hooks of each list write a line.
func says(t *testing.T) bundle {
	b := newBundle(t, args("/bin/true"))
	for _, l := range hookLists() {
		for _, n := range []string{"1", "2"} {
			addHooks(b, l, shHook("echo "+l.name+n+" >>"+l.file(b, "log")))
		}
	}
	return b
}

func (b bundle) log() []string {
	content, err := os.ReadFile(filepath.Join(b.rootfs, "log"))
	if err != nil {
		return nil // nobody has written yet
	}
	return strings.Fields(string(content))
}

// HK-07 HKW-01 HKW-02 HKW-03 HKW-04 HKW-05 HKW-06 HKW-11 LC-05 LC-06 LC-07
// LC-09 LC-11 LC-15
func TestHooksOrder(t *testing.T) {
	var all []string
	for _, l := range hookLists() {
		all = append(all, l.name+"1", l.name+"2")
	}
	r := newRuntime(t)
	t.Run("create start delete", func(t *testing.T) {
		b := says(t)
		c := r.create(b)
		wantLines(t, strings.Join(b.log(), "\n"), all[:6]...)
		// LC-04: the hooks are those of create, too.
		if err := os.Remove(b.config()); err != nil {
			t.Fatal(err)
		}
		c.start()
		wantLines(t, strings.Join(b.log(), "\n"), all[:10]...)
		c.awaitStatus("stopped")
		c.delete()
		wantLines(t, strings.Join(b.log(), "\n"), all...)
	})
	t.Run("run", func(t *testing.T) {
		b := says(t)
		r.output(b)
		wantLines(t, strings.Join(b.log(), "\n"), all...)
	})
	t.Run("delete force", func(t *testing.T) { // HKW-10
		b := says(t)
		b.spec.Process.Args = []string{"/bin/sleep", "1000"}
		b.save()
		c := r.runDetached(b)
		c.delete("--force")
		wantLines(t, strings.Join(b.log(), "\n"), all...)
	})
	t.Run("delete created", func(t *testing.T) {
		b := says(t)
		c := r.create(b)
		c.delete()
		wantLines(t, strings.Join(b.log(), "\n"), append(all[:6:6], all[10:]...)...)
	})
}

// HK-08 HK-09 HK-10 HK-11 HK-12: what hooks read is the state, compact, with
// an end.
func TestHookState(t *testing.T) {
	r := newRuntime(t)
	for _, kind := range []string{"own pid namespace", "host's pid namespace"} {
		t.Run(kind, func(t *testing.T) {
			b := newBundle(t, func(s *specs.Spec) {
				s.Annotations = map[string]string{"org.example/key": "a/b <&> ü \"x\""}
				if kind != "own pid namespace" {
					without(specs.PIDNamespace)(s)
				}
			})
			for _, l := range hookLists() {
				addHooks(b, l, shHook("cat >"+l.file(b, l.name)))
			}
			c := r.create(b)
			c.start()
			c.delete("--force")
			for _, l := range hookLists() {
				pid := c.pid
				if l.inside && kind == "own pid namespace" {
					pid = 1
				}
				want := map[string]any{
					"ociVersion": specs.Version, "id": c.id, "status": l.status, "pid": float64(pid), "bundle": b.dir,
					"annotations": map[string]any{"org.example/key": "a/b <&> ü \"x\""},
				}
				if l.name == "poststop" {
					delete(want, "pid")
				}
				text := readFile(t, filepath.Join(b.rootfs, l.name))
				var got map[string]any
				if err := json.Unmarshal([]byte(text), &got); err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("%s got %s, %v; want %v", l.name, text, err, want)
				}
				if strings.Contains(text, ": ") || strings.Count(text, "\n") != 1 || !strings.Contains(text, "a/b <&> ü") {
					t.Errorf("%s: not compact, or escaped: %q", l.name, text)
				}
			}
		})
	}
}

// HK-08: a hook need not read, and one that reads gets everything, whatever
// fits into a pipe.
func TestHookStdin(t *testing.T) {
	r := newRuntime(t)
	long := strings.Repeat("x", 200_000)
	b := newBundle(t, args("/bin/true"), func(s *specs.Spec) { s.Annotations = map[string]string{"long": long} })
	for _, l := range hookLists() {
		addHooks(b, l, specs.Hook{Path: "/bin/true"}, shHook("exec <&-; true"), shHook("wc -c >>"+l.file(b, "sizes")))
	}
	r.output(b)
	sizes := strings.Fields(readFile(t, filepath.Join(b.rootfs, "sizes")))
	if len(sizes) != 6 {
		t.Fatalf("%d hooks have read: %v", len(sizes), sizes)
	}
	for _, s := range sizes {
		if n, err := strconv.Atoi(s); err != nil || n < len(long) {
			t.Errorf("a hook read %s bytes", s)
		}
	}
}

// ST-10: a container in the making is visible, with its pid.
func TestHookSeesState(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t)
	for _, l := range onHost() {
		addHooks(b, l, shHook(r.binary+" --root "+r.root+" state $(grep -o '\"id\":\"[^\"]*' | cut -d'\"' -f4) >"+l.file(b, l.name)+" 2>&1 || true"))
	}
	c := r.create(b)
	c.start()
	c.delete("--force")
	for _, l := range onHost() {
		text := readFile(t, filepath.Join(b.rootfs, l.name))
		if l.name == "poststop" { // HKW-06: nothing is left by then
			if !strings.Contains(text, "does not exist") {
				t.Errorf("poststop saw %s", text)
			}
			continue
		}
		var s state
		if err := json.Unmarshal([]byte(text), &s); err != nil || s.Status != l.status || s.Pid != c.pid {
			t.Errorf("%s saw %s, %v", l.name, text, err)
		}
	}
}

// HKW-08: the limits hold before the first hook. HKW-05: poststart comes when
// the program has been executed. HKW-06: at poststop the cgroup is gone.
func TestHookMoments(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t, args("/bin/sleep", "1000"), resources(func(res *specs.LinuxResources) { res.Pids = &specs.LinuxPids{Limit: ptr(int64(77))} }))
	dir := cgroupDir(t, "pids", b.cgroup)
	lists := hookLists()
	pid := "pid=$(grep -o '\"pid\":[0-9]*' | cut -d: -f2); "
	addHooks(b, lists[0], shHook("cat "+dir+"/pids.max >"+b.rootfs+"/limit"))
	addHooks(b, lists[1], shHook(pid+"readlink /proc/$pid/ns/net >"+b.rootfs+"/net; cat /proc/$pid/comm >"+b.rootfs+"/before"))
	addHooks(b, lists[4], shHook(pid+"cat /proc/$pid/comm >"+b.rootfs+"/after"))
	addHooks(b, lists[5], shHook("test -e "+dir+" || echo gone >"+b.rootfs+"/cgroup"))
	c := r.create(b)
	wantLines(t, readFile(t, b.rootfs+"/net"), namespaceOf(t, c.pid, "net"))
	c.start()
	c.delete("--force")
	for name, want := range map[string]string{"limit": "77", "before": "skep:[init]", "after": "sleep", "cgroup": "gone"} {
		wantLines(t, readFile(t, filepath.Join(b.rootfs, name)), want)
	}
}

// A create that is killed while a hook runs is undone by delete, with
// poststop (HKW-10).
func TestHookKilledCreate(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t)
	lists := hookLists()
	addHooks(b, lists[1], shHook("echo $$ $PPID >"+b.rootfs+"/pids.new; mv "+b.rootfs+"/pids.new "+b.rootfs+"/pids; sleep 1000"))
	addHooks(b, lists[5], shHook("echo poststop >"+b.rootfs+"/log"))
	id := r.id()
	wait := r.start(call{args: []string{"create", "--bundle", b.dir, id}})
	eventually(t, "the hook runs", func() bool { return b.exists("pids") })
	if s := r.state(id); s.Status != "creating" || s.Pid == 0 { // ST-10
		t.Errorf("meanwhile: %+v", s)
	}
	pids := strings.Fields(readFile(t, b.rootfs+"/pids"))
	for i, text := range []string{pids[1], "-" + pids[0]} { // skep, then the hook's group
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Errorf("kill %d: %v", i, err)
		}
	}
	if res, err := wait(); err != nil || res.code == 0 {
		t.Errorf("create: %+v, %v", res, err)
	}
	r.ok("delete", "--force", id)
	wantLines(t, strings.Join(b.log(), "\n"), "poststop")
}

// What containerd, Docker and Podman record with hooks runs with them, without
// the terminals of some.
func TestRecordedHooks(t *testing.T) {
	paths, err := filepath.Glob("testdata/bundles/*[0-9].json")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, path := range paths {
		var spec specs.Spec
		if err := json.Unmarshal([]byte(readFile(t, path)), &spec); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if spec.Hooks == nil {
			continue
		}
		ran++
		t.Run(strings.TrimSuffix(filepath.Base(path), ".json"), func(t *testing.T) {
			for i, ns := range spec.Linux.Namespaces {
				if ns.Path == "JOIN:pid" { // one joins another container's
					spec.Linux.Namespaces[i].Path = procPath(holder(t, unix.CLONE_NEWPID, nil), "ns/pid")
				}
			}
			b := recordedBundle(t, spec, proc(func(p *specs.Process) { p.Terminal = false }))
			lists := hookLists()
			addHooks(b, lists[0], shHook("echo prestart >>"+b.dir+"/log"))
			addHooks(b, lists[5], shHook("echo poststop >>"+b.dir+"/log"))
			if res := newRuntime(t).run(b); res.code != 0 || res.stdout != "ready\n" {
				t.Errorf("exit %d, %q, %s", res.code, res.stdout, res.stderr)
			}
			wantLines(t, readFile(t, b.dir+"/log"), "prestart", "poststop")
		})
	}
	if ran < 16 {
		t.Errorf("only %d recorded bundles have hooks", ran)
	}
}

// plan shows the hooks, in the order in which they run.
func TestHooksInPlan(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t)
	var want []string
	for _, l := range hookLists() {
		addHooks(b, l, specs.Hook{Path: "/bin/" + l.name}, shHook("echo "+l.name))
		want = append(want, "hook "+l.name, "  exec /bin/"+l.name+` ["/bin/`+l.name+`"]`, "hook "+l.name, `  exec /bin/sh ["sh" "-c" "echo `+l.name+`"]`)
	}
	if got := r.ok("plan", "--bundle", b.dir).stdout; !strings.Contains(got, strings.Join(want, "\n")) {
		t.Errorf("the plan lacks\n%s\n%s", strings.Join(want, "\n"), got)
	}
}
