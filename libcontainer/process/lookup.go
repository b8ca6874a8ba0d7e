package process

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
)

// defaultPath is where the execvp(3) of glibc looks when there is no PATH. The specification wants execvp's
// semantics; runc finds nothing then.
const defaultPath = "/bin:/usr/bin"

// batch is how many candidates one phase can ask about: each has two answers.
const batch = plan.MaxResults / 2

// isPath reports whether args[0] names a file by itself and is not looked up.
func isPath(name string) bool { return strings.Contains(name, "/") }

// candidates are the files that args[0] may mean, at least one; relative ones count from the working directory.
func candidates(p *specs.Process) []string {
	name := p.Args[0]
	if isPath(name) {
		return []string{name}
	}
	path, ok := variable(p.Env, "PATH")
	if !ok {
		path = defaultPath
	}
	var files []string
	for dir := range strings.SplitSeq(path, ":") {
		if dir == "" { // the working directory
			dir = "."
		}
		files = append(files, strings.TrimRight(dir, "/")+"/"+name)
	}
	return files
}

// probes asks about the candidates, a batch for each phase.
func probes(p *specs.Process) [][]plan.Step {
	var batches [][]plan.Step
	for files := range slices.Chunk(candidates(p), batch) {
		steps := make([]plan.Step, len(files))
		for i, file := range files {
			steps[i] = plan.Probe{Name: file, Index: 2 * i}
		}
		batches = append(batches, steps)
	}
	return batches
}

// MoreProbes returns the phases, to be played after Settle's, that ask about the rest of a PATH with more than 8
// entries. Usually there are none.
func MoreProbes(p *specs.Process) []*plan.Phase {
	var phases []*plan.Phase
	for _, steps := range probes(p)[1:] {
		phases = append(phases, &plan.Phase{Name: "look-up", Steps: steps})
	}
	return phases
}

// Choose returns the path of the executable. There is one answer for Settle's phase, and one for each of MoreProbes':
// it reads the errno that the phase left in a slot. The errors are those by which callers recognise a missing
// program.
func Choose(p *specs.Process, answers ...func(plan.Slot) unix.Errno) (string, error) {
	name, denied := p.Args[0], false
	for i, file := range candidates(p) {
		errno := answers[i/batch]
		access := errno(plan.Result(2 * (i % batch)))
		isFile := errno(plan.Result(2*(i%batch)+1)) == unix.ENOTDIR
		switch {
		case access == 0 && isFile:
			return file, nil
		case isPath(name):
			return choosePath(p, access)
		case access == 0, access == unix.EACCES && isFile:
			denied = true
		}
	}
	if denied {
		return "", fmt.Errorf("exec: %q: %w", name, unix.EACCES)
	}
	return "", fmt.Errorf("exec: %q: executable file not found in $PATH", name)
}

// choosePath judges an args[0] with a slash that is not an executable file as far as access(2) can tell.
func choosePath(p *specs.Process, access unix.Errno) (string, error) {
	name := p.Args[0]
	switch {
	case access == 0:
		return "", fmt.Errorf("exec: %q: is a directory: %w", name, unix.EACCES)
	case access != unix.EACCES:
		return "", fmt.Errorf("exec: %q: stat %s: %w", name, name, access)
	case p.User.UID != 0 && overrides(p.Capabilities):
		return name, nil // access(2) leaves a user's capabilities out of account; execve does not
	}
	return "", fmt.Errorf("exec: %q: %w", name, access)
}

// overrides reports whether the process may reach files that their modes close to it.
func overrides(c *specs.LinuxCapabilities) bool {
	return c != nil && mask(c.Effective)&(1<<unix.CAP_DAC_OVERRIDE|1<<unix.CAP_DAC_READ_SEARCH) != 0
}
