package cgroups

import (
	"math"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func cpuV1(c *compiler, r *specs.LinuxResources) {
	cpu := r.CPU
	if cpu == nil {
		return
	}
	cpuShares(c, cpu, "cpu.shares", func(shares uint64) uint64 { return shares })
	if period := deref(cpu.Period); period != 0 {
		c.set("cpu", "cpu.cfs_period_us", utoa(period), "cpu.period")
	}
	if quota := deref(cpu.Quota); quota != 0 {
		c.set("cpu", "cpu.cfs_quota_us", itoa(max(quota, -1)), "cpu.quota")
	}
	burst(c, cpu, "cpu.cfs_burst_us")
	if period := deref(cpu.RealtimePeriod); period != 0 {
		c.set("cpu", "cpu.rt_period_us", utoa(period), "cpu.realtimePeriod")
	}
	if runtime := deref(cpu.RealtimeRuntime); runtime != 0 {
		c.set("cpu", "cpu.rt_runtime_us", itoa(runtime), "cpu.realtimeRuntime")
	}
}

func cpuV2(c *compiler, r *specs.LinuxResources) {
	cpu := r.CPU
	if cpu == nil {
		return
	}
	cpuShares(c, cpu, "cpu.weight", cpuWeight)
	cpuMax(c, deref(cpu.Quota), deref(cpu.Period))
	burst(c, cpu, "cpu.max.burst")
	if deref(cpu.RealtimeRuntime) != 0 {
		c.fail("cpu.realtimeRuntime", notOnV2)
	}
	if deref(cpu.RealtimePeriod) != 0 {
		c.fail("cpu.realtimePeriod", notOnV2)
	}
}

// cpuShares sets how the processor is shared with others. Both versions have
// cpu.idle since Linux 5.15; not to be idle is what earlier kernels do anyway.
func cpuShares(c *compiler, cpu *specs.LinuxCPU, file string, convert func(uint64) uint64) {
	if idle := cpu.Idle; idle != nil {
		c.add(Write{Controller: "cpu", File: "cpu.idle", Value: itoa(*idle), Field: "cpu.idle", Optional: *idle == 0})
	}
	shares := deref(cpu.Shares)
	switch {
	case shares == 0:
	case deref(cpu.Idle) == 1: // which has the least weight; the kernel refuses another one
		c.warn("cpu.shares", "ignored because cpu.idle is 1")
	default:
		c.set("cpu", file, utoa(convert(shares)), "cpu.shares")
	}
}

// cpuMax sets quota and period, which v2 has in one file. A quota alone keeps
// the period; a period alone keeps the quota.
func cpuMax(c *compiler, quota int64, period uint64) {
	w := Write{Controller: "cpu", File: "cpu.max", Value: maxOr(quota), Field: "cpu.quota"}
	switch {
	case quota == 0 && period == 0:
		return
	case quota == 0:
		w.Value, w.Field, w.Keep = utoa(period), "cpu.period", true
	case period != 0:
		w.Value += " " + utoa(period)
	}
	c.add(w)
}

// burst comes after the quota, which a new cgroup's burst may not exceed. No
// burst is what kernels before 5.14 do anyway.
func burst(c *compiler, cpu *specs.LinuxCPU, file string) {
	if cpu.Burst != nil {
		c.add(Write{Controller: "cpu", File: file, Value: utoa(*cpu.Burst),
			Field: "cpu.burst", Optional: *cpu.Burst == 0})
	}
}

// cpuWeight converts v1's shares (2 to 262144, default 1024) to v2's weight (1
// to 10000, default 100). The curve is the one that runc, crun and systemd
// agreed on: quadratic between the logarithms, through both ends and through
// both defaults; a straight line would give the default shares a weight of 39.
func cpuWeight(shares uint64) uint64 {
	if shares <= 2 {
		return 1
	}
	if shares >= 262144 {
		return 10000
	}
	l := math.Log2(float64(shares))
	return uint64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}
