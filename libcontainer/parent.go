package libcontainer

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/cgroups"
	"skep/nsenter/plan"
)

// What the parent does to the child from outside, and the descriptors that it opens for it.

// tasksFile is the tasks file of a v1 cgroup, through which the child joins.
type tasksFile struct{ path string }

func (t tasksFile) Open() (int, error) { return openFile(t.path, unix.O_WRONLY) }
func (t tasksFile) String() string     { return t.path }

func tasksSources(g *cgroups.Group) []plan.Source {
	var all []plan.Source
	for _, path := range g.TasksFiles() {
		all = append(all, tasksFile{path})
	}
	return all
}

// fifo is a fifo opened for both directions: opening waits for nobody.
type fifo string

func (f fifo) Open() (int, error) { return openFile(string(f), unix.O_RDWR) }
func (f fifo) String() string     { return "fifo " + filepath.Base(string(f)) }

// openFile opens a file without os.File, which would register it with the poller: these are handed over at once.
func openFile(path string, flags int) (int, error) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// waitAt prepares the phase that waits for start. The fifos are opened here for both directions: they need no
// reopening behind the pivot. Nothing else stays open in the waiting init.
func waitAt(release *plan.Phase, gate, verdict plan.Source) {
	keep := []plan.Step{
		plan.Keep{From: release.Take(gate), As: plan.Gate},
		plan.Keep{From: release.Take(verdict), As: plan.Verdict},
		plan.Close{Slots: []plan.Slot{plan.Root}},
	}
	release.Steps = append(keep, release.Steps...)
}

// setOOMScore writes process.oomScoreAdj; nil leaves what the child inherited.
func setOOMScore(pid int, score *int) error {
	if score == nil {
		return nil
	}
	path := procFile(pid, "oom_score_adj")
	err := writeFile(path, strconv.Itoa(*score))
	if err == nil {
		return nil
	}
	current, _ := os.ReadFile(path)
	return fmt.Errorf("process.oomScoreAdj: %d: %w (it is %s now; an unprivileged user can only raise it)",
		*score, err, strings.TrimSpace(string(current)))
}

// raiseLimit raises a hard limit of the child, which takes CAP_SYS_RESOURCE on the host.
func raiseLimit(pid int, r plan.Rlimit) error {
	if err := unix.Prlimit(pid, r.Resource, &unix.Rlimit{Cur: r.Soft, Max: r.Hard}, nil); err != nil {
		return fmt.Errorf("process.rlimits: raise the hard limit %s to %d: %w", r.Name, r.Hard, err)
	}
	return nil
}

// procFile is a file of a process in /proc.
func procFile(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

// writeFile writes an existing file of the kernel in one write.
func writeFile(path, value string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(value))
	return err
}

// firstIDs are the ids with which the container is built: root where it is mapped, else the first that is.
func firstIDs(l *specs.Linux) (uid, gid uint32) {
	return firstID(l.UIDMappings), firstID(l.GIDMappings)
}

func firstID(ids []specs.LinuxIDMapping) uint32 {
	for _, m := range ids {
		if m.ContainerID == 0 {
			return 0
		}
	}
	if len(ids) == 0 {
		return 0
	}
	return ids[0].ContainerID
}

func (o *options) report(warnings []string) {
	if o.warn == nil {
		return
	}
	for _, w := range warnings {
		o.warn(w)
	}
}
