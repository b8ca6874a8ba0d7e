package systemd

import (
	"slices"
	"strconv"
	"strings"

	"skep/cgroups"
)

const (
	second        = 1_000_000 // µs
	step          = second / 100
	defaultPeriod = 100_000 // µs, the kernel's
)

// quota is the CPU time, in µs, that a cgroup has in each period.
type quota struct {
	time   uint64 // unlimited for none
	period uint64
}

// perSecond is the CPU time in a second, rounded up to what systemd keeps: whole
// hundredths. A wide enough quota is none.
func (q quota) perSecond() uint64 {
	if q.time == unlimited || q.time > unlimited/second {
		return unlimited
	}
	return (q.time*second/q.period + step - 1) / step * step
}

// rounded is the quota that systemd makes of it.
func (q quota) rounded() quota {
	if s := q.perSecond(); s != unlimited && s <= unlimited/q.period {
		q.time = s * q.period / second
	}
	return q
}

// quotaProperties returns the properties for a CPU quota, and the writes with
// the quota that systemd will keep.
func quotaProperties(writes []cgroups.Write, h Host) ([]Property, []cgroups.Write) {
	var q quota
	ok := false
	present := h.Read("cpu", "cpu.max") // and then what an earlier write makes of it
	for i, w := range writes {
		switch w.File {
		case "cpu.max":
			if q, ok = readMax(w, present); ok {
				writes, present = slices.Clone(writes), q.rounded().String()
				writes[i].Value, writes[i].Keep = present, false
			}
		case "cpu.cfs_quota_us":
			if q, ok = readCFS(writes, h); ok {
				writes = slices.Clone(writes)
				writes[i].Value = formatCFS(q.rounded().time)
			}
		case "cpu.cfs_period_us":
			q, ok = readCFS(writes, h)
		}
	}
	if !ok {
		return nil, writes
	}
	props := []Property{property("CPUQuotaPerSecUSec", q.perSecond())}
	if h.Version >= 242 {
		props = append(props, property("CPUQuotaPeriodUSec", q.period))
	}
	return props, writes
}

// readMax reads what a write makes of cpu.max: "50000 100000", "max".
func readMax(w cgroups.Write, present string) (quota, bool) {
	now := strings.Fields(present)
	if len(now) != 2 {
		now = []string{"max", strconv.Itoa(defaultPeriod)}
	}
	fields := strings.Fields(w.Value)
	if w.Keep {
		fields = append([]string{now[0]}, fields...)
	}
	if len(fields) == 1 {
		fields = append(fields, now[1])
	}
	if len(fields) != 2 {
		return quota{}, false
	}
	return parseQuota(fields[0], fields[1])
}

// readCFS reads what the writes make of v1's two files.
func readCFS(writes []cgroups.Write, h Host) (quota, bool) {
	value := func(file, unset string) string {
		for _, w := range writes {
			if w.File == file {
				return w.Value
			}
		}
		if now := strings.TrimSpace(h.Read("cpu", file)); now != "" {
			return now
		}
		return unset
	}
	time := value("cpu.cfs_quota_us", "-1")
	if time == "-1" {
		time = "max"
	}
	return parseQuota(time, value("cpu.cfs_period_us", strconv.Itoa(defaultPeriod)))
}

func parseQuota(time, period string) (quota, bool) {
	q := quota{time: unlimited}
	var err, err2 error
	if time != "max" {
		q.time, err = strconv.ParseUint(time, 10, 64)
	}
	q.period, err2 = strconv.ParseUint(period, 10, 64)
	return q, err == nil && err2 == nil && q.period > 0
}

// String returns the quota as cpu.max has it.
func (q quota) String() string {
	period := strconv.FormatUint(q.period, 10)
	if q.time == unlimited {
		return "max " + period
	}
	return strconv.FormatUint(q.time, 10) + " " + period
}

func formatCFS(time uint64) string {
	if time == unlimited {
		return "-1"
	}
	return strconv.FormatUint(time, 10)
}
