package tests

import (
	"strings"
	"testing"
)

// OPD-04 HKW-10: a hook that hangs does not keep delete --force waiting for ever. What it hangs in is undone by who has
// run it, and the container is gone before its poststop hooks have ended.
func TestDeleteDuringHangingHook(t *testing.T) {
	r := newRuntime(t)
	type hung struct {
		hookList
		bundle
		id          string
		run, delete func() (result, error)
	}
	var all []*hung
	for _, l := range hookLists()[1:5] {
		h := &hung{hookList: l, bundle: newBundle(t, args("/bin/sleep", "1000")), id: r.id()}
		if l.name == "startContainer" {
			h.bundle = newBundle(t, args("/bin/sleep", "1000"), without("pid")) // else it ends with init
		}
		addHooks(h.bundle, l, shHook("echo hangs >>"+l.file(h.bundle, "log")+"; sleep 1000 & sleep 1000; true"))
		addHooks(h.bundle, hookLists()[5], shHook("while [ ! -e "+h.rootfs+"/go ]; do sleep 0.01; done; echo poststop >>"+h.rootfs+"/log"))
		h.run = r.start(call{args: []string{"run", "--detach", "--bundle", h.dir, h.id}})
		eventually(t, "the hook hangs", func() bool { return h.exists("log") })
		all = append(all, h)
	}
	for _, h := range all { // all at once: each takes its time
		h.delete = r.start(call{args: []string{"delete", "--force", h.id}})
	}
	for _, h := range all {
		if res, err := h.delete(); err != nil || res.code != 0 || res.stderr != "" {
			t.Errorf("%s: delete: exit %d, %s%v", h.name, res.code, res.stderr, err)
		}
		r.fails("does not exist", "state", h.id)
		wantLines(t, strings.Join(h.log(), "\n"), "hangs")
		h.write("go", "", 0o644)
		res, err := h.run()
		if want := "hooks." + h.name + "[0] /bin/sh: was killed: delete --force has waited 10s for it"; err != nil || res.code != 1 || !strings.Contains(res.stderr, want) {
			t.Errorf("exit %d, %s%v; want %s", res.code, res.stderr, err, want)
		}
		wantLines(t, strings.Join(h.log(), "\n"), "hangs", "poststop")
	}
	if left := r.entries(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
