package tests

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// parallel runs n workers at the same time and waits for all.
func parallel(n int, work func(worker int)) {
	var group sync.WaitGroup
	for i := range n {
		group.Add(1)
		go func() {
			defer group.Done()
			work(i)
		}()
	}
	group.Wait()
}

// expect runs a command that must succeed. Unlike ok it can be called by any
// goroutine: it goes on.
func (r *ociRuntime) expect(args ...string) result {
	res, err := r.start(call{args: args})()
	if err != nil {
		r.t.Error(err)
	} else if res.code != 0 || res.stderr != "" {
		r.t.Errorf("%s: exit %d, %s", strings.Join(args, " "), res.code, res.stderr)
	}
	return res
}

// LC-14 OPD-04 OPD-06 CLI-10: containers come and go at the same time, below
// a cgroup that the first of them makes and the last one removes. Nobody gets
// in another's way, and whoever lists them meanwhile sees no broken one.
func TestContainersComeAndGo(t *testing.T) {
	r := newCgroupfsRuntime(t)
	const workers, rounds = 8, 4
	var bundles [workers]bundle
	var ids [workers]string
	for i := range workers {
		bundles[i] = newBundle(t, linux(func(l *specs.Linux) {
			l.CgroupsPath = fmt.Sprintf("/skep-test/%s/shared/%d", suite.mark, i)
		}))
		ids[i] = r.id()
	}
	done := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Add(1)
	go func() {
		defer watcher.Done()
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			r.expect("list")
			res, err := r.start(call{args: []string{"state", ids[i%workers]}})()
			if err != nil || res.code != 0 && !strings.Contains(res.stderr, "does not exist") {
				t.Errorf("state: exit %d, %s%v", res.code, res.stderr, err)
			}
		}
	}()
	parallel(workers, func(i int) {
		for range rounds {
			r.expect("create", "--bundle", bundles[i].dir, ids[i])
			r.expect("start", ids[i])
			r.expect("kill", ids[i], "KILL")
			r.expect("delete", "--force", ids[i])
		}
	})
	close(done)
	watcher.Wait()
	shared := bundle{cgroup: filepath.Dir(bundles[0].cgroup)}
	for _, dir := range cgroupsOf(shared) {
		t.Errorf("left: cgroup %s", dir)
	}
}

// LC-14 OPD-05 CGP-05: a cgroup on the way to several containers' goes with the last of
// them, whoever made it, unless somebody else did.
func TestSharedParentCgroup(t *testing.T) {
	r := newCgroupfsRuntime(t)
	parent := "/skep-test/" + suite.mark + "/parent"
	below := func(name string) edit {
		return linux(func(l *specs.Linux) { l.CgroupsPath = parent + "/" + name })
	}
	first := r.create(newBundle(t, below("first")))
	second := r.create(newBundle(t, below("second")))
	first.delete()
	second.start()
	third := r.create(newBundle(t, below("third")))
	second.delete("--force")
	third.delete()
	if left := cgroupsOf(bundle{cgroup: parent}); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	foreign := makeCgroup(t, "pids", parent)
	r.create(newBundle(t, below("fourth"))).delete()
	if left := cgroupsOf(bundle{cgroup: parent}); len(left) != 1 || left[0] != foreign {
		t.Errorf("left: %v, want %s", left, foreign)
	}
}

// OPK-03 OPS-02: kill and start at the same time; either may come first.
func TestKillDuringStart(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t)
	for range 8 {
		id := r.id()
		r.ok("create", "--bundle", b.dir, id)
		parallel(2, func(i int) {
			if i == 0 {
				r.expect("kill", id, "KILL")
				return
			}
			res, err := r.start(call{args: []string{"start", id}})()
			if err != nil || res.code != 0 && res.code != 1 {
				t.Errorf("start: exit %d, %s, %v", res.code, res.stderr, err)
			}
		})
		eventually(t, "stopped", func() bool { return r.state(id).Status == "stopped" })
		r.ok("delete", id)
	}
}

// OPD-04 OPC-04: delete --force during create waits for it and then deletes, or
// comes too early for it.
func TestDeleteDuringCreate(t *testing.T) {
	r := newRuntime(t)
	b := newBundle(t)
	for range 8 {
		id := r.id()
		parallel(2, func(i int) {
			if i == 0 {
				r.expect("create", "--bundle", b.dir, id)
			} else {
				r.expect("delete", "--force", id)
			}
		})
		r.ok("delete", "--force", id)
		r.checkGone(b, id)
	}
}
