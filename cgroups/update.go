package cgroups

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// CompileUpdate is [Compile] for an update of resources, of which merged is what
// will be set after it. It also writes present settings that bound what the
// update changes, or share a file with it; what unified says of such a file
// keeps the last word, as in a new container.
func CompileUpdate(mode Mode, update, merged *specs.LinuxResources) (writes []Write, warnings []string, err error) {
	writes, warnings, err = Compile(mode, affected(update, merged))
	if err != nil || mode != V2 { // unified is v2's
		return writes, warnings, err
	}
	asked, _, _ := Compile(mode, update) // by itself it may be incomplete
	var present compiler
	unifiedV2(&present, merged)
	for _, last := range present.writes {
		same := func(w Write) bool { return w.File == last.File && w.device() == last.device() }
		i := slices.IndexFunc(writes, same)
		if i < 0 || writes[i].Last { // by the update's own unified
			continue
		}
		writes = append(writes, last)
		if slices.ContainsFunc(asked, same) {
			warnings = append(warnings, last.Field+": has the last word over "+writes[i].Field)
		}
	}
	return writes, warnings, nil
}

// affected completes an update of resources by those present settings that
// bound what it changes, share a file with it, or would go with it: a limit on
// memory and that on memory with swap, a quota and its burst, weight and
// idleness, the weights of single disks.
func affected(update, merged *specs.LinuxResources) *specs.LinuxResources {
	a := *update
	if u := update.BlockIO; u != nil && deref(u.Weight) != 0 {
		m := *u
		m.WeightDevice = merged.BlockIO.WeightDevice
		a.BlockIO = &m
	}
	if u := update.Memory; u != nil {
		m := *u
		m.CheckBeforeUpdate = merged.Memory.CheckBeforeUpdate
		if deref(u.Limit) != 0 || deref(u.Swap) != 0 {
			m.Limit, m.Swap = merged.Memory.Limit, merged.Memory.Swap
		}
		a.Memory = &m
	}
	if u := update.CPU; u != nil {
		m := *u
		if deref(u.Quota) != 0 || deref(u.Period) != 0 || u.Burst != nil {
			m.Quota, m.Period, m.Burst = merged.CPU.Quota, merged.CPU.Period, merged.CPU.Burst
		}
		if deref(u.Shares) != 0 || u.Idle != nil { // what is idle no more has the default weight
			m.Shares, m.Idle = merged.CPU.Shares, merged.CPU.Idle
		}
		if deref(u.Shares) == 0 && deref(m.Idle) == 1 { // they count again when it ends
			m.Shares = nil
		}
		a.CPU = &m
	}
	return &a
}

// Update does the writes on a cgroup in use. After an error nothing of them is
// left: what the files held before is put back, and where that fails too, the
// error says so. The function does the same later.
//
// The rules are the present ones for devices alone, as Compile has them: of
// these the kernel does not tell all.
func (g *Group) Update(writes, rules []Write) (undo func() error, err error) {
	writes, devices, err := g.devicesLast(writes)
	if err != nil {
		return nil, err
	}
	back := append(backToDevices(devices, rules), g.Before(writes)...)
	undo = func() error { return g.restore(back) }
	if err := g.Apply(append(writes, devices...)); err != nil {
		return nil, errors.Join(err, undo())
	}
	return undo, nil
}

// Before returns the writes that put back what the given ones are going to
// change, the last one first, and those about single disks after all others:
// BFQ's weight takes theirs along. A file that cannot be read has nothing to be
// put back: it does not exist, or holds no value, as memory.reclaim and those
// for devices.
func (g *Group) Before(writes []Write) []Write {
	var before, disks []Write
	for _, w := range slices.Backward(writes) {
		if w.device() != "" {
			disks = append(disks, g.present(w)...)
			continue
		}
		before = append(before, g.present(w)...)
		if w.File == "cpu.idle" { // a cgroup that becomes idle forgets its weight
			for _, weight := range [...]string{"cpu.weight", "cpu.shares"} {
				before = append(before, g.present(Write{Controller: w.Controller, File: weight, Field: w.Field})...)
			}
		}
	}
	return append(before, disks...)
}

// present returns what a write is going to change, as a write.
func (g *Group) present(w Write) []Write {
	dir, err := g.dirOf(w.Controller)
	if err != nil {
		return nil
	}
	text, err := readFile(dir + "/" + w.File)
	if err != nil || (w.File == "cpu.weight" || w.File == "cpu.shares") && g.Value(w.Controller, "cpu.idle") == "1" {
		return nil // an idle cgroup shows a weight that it does not accept
	}
	return []Write{{Controller: w.Controller, File: w.File, Value: earlier(w, text), Field: w.Field}}
}

// Value returns what a file holds, "" if it cannot be read.
func (g *Group) Value(controller, file string) string {
	dir, err := g.dirOf(controller)
	if err != nil {
		return ""
	}
	text, err := readFile(dir + "/" + file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(text)
}

// restore does writes as far as it can, but for what has not changed. What the
// kernel refuses it gets again when everything else is back.
func (g *Group) restore(before []Write) error {
	var again []Write
	for _, w := range before {
		if now := g.present(w); len(now) > 0 && now[0].Value == w.Value {
			continue
		}
		if g.write(w) != nil {
			again = append(again, w)
		}
	}
	var errs []error
	for _, err := range g.retry(again) {
		if !isGone(err) {
			errs = append(errs, fmt.Errorf("put back %w", err))
		}
	}
	return errors.Join(errs...)
}

// earlier returns what has to be written to a file to put back what it holds.
// Most have one value; some have a line for each device, resource or interface,
// of which the one is put back that w is about.
func earlier(w Write, text string) string {
	if w.File == "memory.oom_control" { // "oom_kill_disable 0", and lines that only tell
		_, text, _ = strings.Cut(text, " ")
	}
	key, _, isPair := strings.Cut(w.Value, " ")
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if isPair && name == key {
			return key + " " + rest
		}
	}
	if w.device() != "" || w.File == "rdma.max" {
		return key + " " + unset(w.File)
	}
	first, _, _ := strings.Cut(text, "\n")
	return first
}

// device returns the device that a write is about, "" if it is about all.
func (w Write) device() string {
	key, _, _ := strings.Cut(w.Value, " ")
	if !strings.Contains(key, ":") {
		return ""
	}
	return key
}

// unset is what a file with a line for each device takes to have none for it.
func unset(file string) string {
	switch {
	case file == "io.max":
		return "rbps=max wbps=max riops=max wiops=max"
	case file == "io.latency":
		return "target=0"
	case file == "rdma.max":
		return "hca_handle=max hca_object=max"
	case strings.Contains(file, "weight"):
		return "default"
	case strings.HasPrefix(file, "blkio.throttle."):
		return "0"
	}
	return "max"
}
