package process

import (
	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// Hint says what may be the reason that a step of the process failed, in words for the user; empty when the errno
// says it all.
func Hint(e *plan.StepError) string {
	step := e.Step
	if f, ok := step.(plan.For); ok {
		step = f.Step
	}
	switch s := step.(type) {
	case plan.Scheduler:
		return schedulerHint(s.Policy, e.Errno)
	case plan.IOPriority:
		if e.Errno == unix.EPERM {
			return "the class takes CAP_SYS_NICE or CAP_SYS_ADMIN on the host"
		}
	case plan.MemoryPolicy:
		switch e.Errno {
		case unix.ENOSYS:
			return "the kernel was built without CONFIG_NUMA"
		case unix.EINVAL:
			return "the kernel does not know the mode or its flags, or the host or the cpuset lacks the nodes"
		}
	case plan.SetLabel:
		switch {
		case e.Errno == unix.ENOENT && s.Module == "apparmor":
			return "is the profile loaded?"
		case e.Errno == unix.EINVAL && s.Module == "":
			return "does the policy know the label?"
		}
	case plan.SessionKeyring:
		if e.Errno == unix.EDQUOT {
			return "the user has as many keys as kernel.keys.maxkeys allows; --no-new-keyring needs none"
		}
	}
	return ""
}

func schedulerHint(policy uint32, errno unix.Errno) string {
	switch {
	case policy == unix.SCHED_DEADLINE && errno == unix.EPERM:
		return "SCHED_DEADLINE takes CAP_SYS_NICE on the host, and excludes cpuset limits such as linux.resources.cpu.cpus"
	case policy == unix.SCHED_DEADLINE && errno == unix.EBUSY:
		return "the CPUs have no such bandwidth left"
	case errno != unix.EPERM:
		return ""
	case policy == unix.SCHED_FIFO, policy == unix.SCHED_RR:
		return "real-time policies take CAP_SYS_NICE on the host, and with CONFIG_RT_GROUP_SCHED a cgroup that has linux.resources.cpu.realtimeRuntime"
	}
	return "a lower nice value than the runtime's takes CAP_SYS_NICE on the host"
}
