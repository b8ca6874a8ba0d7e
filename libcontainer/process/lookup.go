package process

import (
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// defaultPath is where execvp(3) of glibc looks when there is no PATH; the specification wants its semantics.
const defaultPath = "/bin:/usr/bin"

// batch is how many candidates one phase can ask about.
const batch = plan.MaxResults / 2

// candidates are the names under which args[0] may be found, relative ones from the working directory on.
func candidates(p *specs.Process) []string {
	name := p.Args[0]
	if strings.Contains(name, "/") {
		return []string{name}
	}
	path, ok := lookUp(p.Env, "PATH")
	if !ok {
		path = defaultPath
	}
	var found []string
	for dir := range strings.SplitSeq(path, ":") {
		if dir == "" {
			dir = "."
		}
		found = append(found, strings.TrimRight(dir, "/")+"/"+name)
	}
	return found
}

func first(names []string) []string { return names[:min(len(names), batch)] }

func probes(names []string) []plan.Step {
	steps := make([]plan.Step, len(names))
	for i, name := range names {
		steps[i] = plan.For{Item: "process.args[0]", Step: plan.Probe{Name: name, Index: 2 * i}}
	}
	return steps
}

// MoreProbes returns the phases to be played after Settle's that ask about the rest of a long PATH. Mostly there is
// none.
func MoreProbes(p *specs.Process) []*plan.Phase {
	var phases []*plan.Phase
	names := candidates(p)
	for names = names[len(first(names)):]; len(names) > 0; names = names[len(first(names)):] {
		phases = append(phases, &plan.Phase{Name: "look-up", Steps: probes(first(names))})
	}
	return phases
}

// Choose returns the path of the executable. answers read a slot of the results of Settle's phase, then of those of
// MoreProbes.
func Choose(p *specs.Process, answers ...func(plan.Slot) unix.Errno) (string, error) {
	name := p.Args[0]
	names := candidates(p)
	searched := !strings.Contains(name, "/")
	denied := false
	for i, candidate := range names {
		answer := answers[i/batch]
		slot := 2 * (i % batch)
		access, directory := answer(plan.Result(slot)), answer(plan.Result(slot+1)) != unix.ENOTDIR
		switch {
		case access == 0 && !directory:
			return candidate, nil
		case !searched && access == 0:
			return "", fmt.Errorf("exec: %q: is a directory: %w", name, unix.EACCES)
		case !searched && access == unix.EACCES:
			return "", fmt.Errorf("exec: %q: %w", name, access)
		case !searched:
			return "", fmt.Errorf("exec: %q: stat %s: %w", name, name, access)
		case access == 0, access == unix.EACCES && !directory:
			denied = true
		}
	}
	if denied {
		return "", fmt.Errorf("exec: %q: %w", name, unix.EACCES)
	}
	return "", fmt.Errorf("exec: %q: executable file not found in $PATH", name)
}
