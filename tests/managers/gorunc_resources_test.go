package managers

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/containerd/go-runc"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func (c *goRunc) pause() {
	c.started("exec sleep 1000")
	c.check(c.Pause(c.ctx, c.id))
	if now := c.status(); now != "paused" {
		c.Errorf("status %s, want paused", now)
	}
	p := *c.spec.Process
	p.Args = []string{"true"}
	c.wantError(c.Exec(c.ctx, c.id, p, nil), "paused")
	c.check(c.Resume(c.ctx, c.id))
	c.check(c.Exec(c.ctx, c.id, p, nil))
	if now := c.status(); now != "running" {
		c.Errorf("status %s, want running", now)
	}
}

func (c *goRunc) processes() {
	init := c.started("sleep 2000 & exec sleep 1000")
	eventually(c.T, "two processes", func() bool {
		pids, err := c.Ps(c.ctx, c.id)
		c.check(err)
		return len(pids) == 2 && slices.Contains(pids, init)
	})

	eventually(c.T, "their programs run", func() bool {
		top, err := c.Top(c.ctx, c.id, "-ef")
		c.check(err)
		column := slices.Index(top.Headers, "PID")
		if column < 0 {
			c.Fatalf("%+v", top)
		}
		var commands []string
		listed := false
		for _, p := range top.Processes {
			listed = listed || p[column] == strconv.Itoa(init)
			commands = append(commands, p[len(p)-1])
		}
		slices.Sort(commands)
		return listed && slices.Equal(commands, []string{"sleep 1000", "sleep 2000"})
	})
}

func (c *goRunc) update() {
	limit, pids := int64(64<<20), int64(30)
	c.spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit}
	c.spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: &pids}
	c.started("exec sleep 1000")
	newLimit, newPids := int64(96<<20), int64(40)
	c.check(c.Update(c.ctx, c.id, &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &newLimit}, Pids: &specs.LinuxPids{Limit: &newPids}}))
	if got := c.cgroupNumber("memory", "memory.limit_in_bytes", "memory.max"); got != newLimit {
		c.Errorf("memory limit %d, want %d", got, newLimit)
	}
	if got := c.cgroupNumber("pids", "pids.max", "pids.max"); got != newPids {
		c.Errorf("pids limit %d, want %d", got, newPids)
	}
}

func (c *goRunc) stats() {
	limit, pids := int64(64<<20), int64(30)
	c.spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit}
	c.spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: &pids}
	c.started("dd if=/dev/zero of=/dev/shm/f bs=1M count=8; touch /dev/shm/ready; while :; do :; done")
	var s *runc.Stats
	eventually(c.T, "8 MB and some time are used", func() bool {
		var err error
		s, err = c.Stats(c.ctx, c.id)
		if errors.Is(err, os.ErrClosed) {
			return false // go-runc closes the pipe when the runtime ends, read or not
		}
		c.check(err)
		return s.Memory.Usage.Usage >= 8<<20 && s.Cpu.Usage.Total > 0
	})
	if s.Memory.Usage.Limit != uint64(limit) || s.Pids.Limit != uint64(pids) || s.Pids.Current == 0 || len(s.Memory.Raw) < 10 {
		c.Errorf("%+v", s)
	}
	// What the library reads has to be what the files say.
	if now := c.cgroupNumber("pids", "pids.current", "pids.current"); uint64(now) != s.Pids.Current {
		c.Errorf("%d processes, pids.current is %d", s.Pids.Current, now)
	}
}

func (c *goRunc) events() {
	limit := int64(32 << 20)
	c.spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit, Swap: &limit}
	// The shell goes on when the kernel has killed its child.
	c.started("sleep 1; sh -c 'x=x; while :; do x=$x$x; done' || true; exec sleep 1000")
	stream, err := c.Events(c.ctx, c.id, time.Second)
	c.check(err)
	seen := map[string]bool{}
	for limit := time.After(patience); !seen["stats"] || !seen["oom"]; {
		select {
		case e := <-stream:
			if e == nil || e.Err != nil {
				c.Fatalf("event %+v", e)
			}
			if e.ID != c.id {
				c.Errorf("event of %q", e.ID)
			}
			if e.Type == "stats" && e.Stats.Pids.Current == 0 {
				c.Errorf("stats without processes: %+v", e.Stats)
			}
			seen[e.Type] = true
		case <-limit:
			c.Fatalf("events within %v: %v", patience, seen)
		}
	}
	// The stream ends with the container's cgroup.
	c.check(c.Delete(c.ctx, c.id, &runc.DeleteOpts{Force: true}))
	for e := range stream {
		if errors.Is(e.Err, os.ErrClosed) { // as in stats; this one comes again for ever
			break
		}
	}
}
