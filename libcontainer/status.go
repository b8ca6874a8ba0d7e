package libcontainer

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// Status is where a container stands in its lifecycle (runtime.md#state). It is never stored: it is derived from
// what is on disk and from the process.
type Status string

// The status values of the specification, and paused, which every runtime adds.
const (
	Creating Status = "creating"
	Created  Status = "created"
	Running  Status = "running"
	Paused   Status = "paused"
	Stopped  Status = "stopped"
)

// allowed is what each status permits; an error is why it does not.
type allowed struct {
	signal  bool // kill
	destroy bool // delete without --force
	start   error
	exec    error
	pause   error
	resume  error
	live    error // what needs processes, or changes them: events, update
}

func (s Status) allows() allowed {
	switch s {
	case Creating:
		return allowed{start: ErrStartCreating, exec: ErrExecCreating,
			pause: ErrNotRunning, resume: ErrNotPaused, live: ErrNotRunning}
	case Created:
		return allowed{signal: true, destroy: true, pause: ErrNotRunning, resume: ErrNotPaused}
	case Running:
		return allowed{signal: true, start: ErrStartRunning, resume: ErrNotPaused}
	case Paused:
		return allowed{signal: true, start: ErrStartPaused, exec: ErrExecPaused, pause: ErrNotRunning}
	default:
		return allowed{destroy: true, start: ErrStartStopped, exec: ErrExecStopped,
			pause: ErrNotRunning, resume: ErrNotPaused, live: ErrNotRunning}
	}
}

// Process identifies a process for good: a pid alone may be reused.
type Process struct {
	Pid int `json:"pid,omitempty"`
	// Start is when the process began, in clock ticks since boot: field 22 of /proc/PID/stat.
	Start uint64 `json:"startTime,omitempty"`
}

// procStat is what skep reads from /proc/PID/stat.
type procStat struct {
	comm    string
	state   byte
	exiting bool // its end has begun, before it closes its files
	threads int
	start   uint64
}

// leaderless tells whether the first thread has ended, as by pthread_exit(3), and others go on.
func (s procStat) leaderless() bool { return s.state == 'Z' && s.threads > 1 }

func readStat(pid int) (procStat, error) {
	raw, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return procStat{}, err
	}
	open, end := bytes.IndexByte(raw, '('), bytes.LastIndexByte(raw, ')') // comm itself may hold both
	if open < 0 || end < open {
		return procStat{}, os.ErrInvalid
	}
	const state, flags, threads, start = 0, 6, 17, 19 // counted from the field after comm
	fields := strings.Fields(string(raw[end+1:]))
	if len(fields) <= start {
		return procStat{}, os.ErrInvalid
	}
	ticks, err := strconv.ParseUint(fields[start], 10, 64)
	if err != nil {
		return procStat{}, err
	}
	bits, err := strconv.ParseUint(fields[flags], 10, 64)
	if err != nil {
		return procStat{}, err
	}
	const exiting = 0x4 // PF_EXITING in linux/sched.h
	n, err := strconv.Atoi(fields[threads])
	return procStat{string(raw[open+1 : end]), fields[state][0], bits&exiting != 0, n, ticks}, err
}

// there reports whether the process runs or has not been reaped. One that is being reaped (X) is no one's to wait for.
func (p Process) there() bool {
	st, err := readStat(p.Pid)
	return err == nil && st.start == p.Start && st.state != 'X'
}

// Alive reports whether the process runs. A zombie does not, unless it is only the first of its threads: nobody may ever
// reap it.
func (p Process) Alive() bool {
	if p.Pid <= 0 {
		return false
	}
	st, err := readStat(p.Pid)
	return err == nil && st.start == p.Start && (st.state != 'Z' || st.leaderless()) && st.state != 'X'
}
