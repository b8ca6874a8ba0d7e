package libcontainer

import (
	"fmt"
	"os"
	"strings"

	"skep/cgroups"
)

// stuck says of the processes that do not end with init why they do not: init itself waits for those of its pid
// namespace. One that is traced waits for its tracer, others for a disk or a server that does not answer.
func (c *Container) stuck() string {
	if f, err := cgroups.Open(c.state.Cgroup).Freezer(); err == nil && f == cgroups.Frozen { // its own is thawed by now
		return "a cgroup above the container's is frozen"
	}
	pids := []int{c.state.Init.Pid}
	if c.state.OwnPidns {
		if all, err := processesBeside(c.state.Init.Pid); err == nil {
			pids = all
		}
	}
	const enough = 5
	var all []string
	for _, pid := range pids {
		if text := waitsFor(pid); text != "" && len(all) < enough {
			all = append(all, text)
		}
	}
	return strings.Join(all, ", ")
}

// waitsFor is empty for a process that is gone.
func waitsFor(pid int) string {
	st, err := readStat(pid)
	if err != nil {
		return ""
	}
	who := fmt.Sprintf("%d (%s)", pid, st.comm)
	status, _ := os.ReadFile(procFile(pid, "status"))
	_, rest, _ := strings.Cut(string(status), "\nTracerPid:\t")
	if tracer, _, found := strings.Cut(rest, "\n"); found && tracer != "0" {
		return who + " is traced by " + tracer
	}
	if where, _ := os.ReadFile(procFile(pid, "wchan")); len(where) > 1 { // 0 tells an unprivileged user nothing
		return who + " waits in " + string(where)
	}
	return who + " is in state " + string(st.state)
}
