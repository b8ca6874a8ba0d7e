// Package hosts keeps from running what a host cannot show, and says so: no test is skipped unseen.
package hosts

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// LeaveOut adds tests to the flag -test.skip and prints a line on standard error for each that would have run. The
// map has their names, and what each of them needs, as the end of a sentence. Flags must have been parsed.
func LeaveOut(needs map[string]string) error {
	selected, _, _ := strings.Cut(flag.Lookup("test.run").Value.String(), "/")
	var notes, out []string
	for test, need := range needs {
		out = append(out, "^"+test+"$")
		if wanted, err := regexp.MatchString(selected, test); err == nil && wanted {
			notes = append(notes, fmt.Sprintf("not on this host: %s: needs %s\n", test, need))
		}
	}
	slices.Sort(notes)
	fmt.Fprint(os.Stderr, strings.Join(notes, ""))
	if caller := flag.Lookup("test.skip").Value.String(); caller != "" {
		out = append(out, caller)
	}
	return flag.Set("test.skip", strings.Join(out, "|"))
}
