package spec

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A Range is a range of CPU or memory node numbers, both ends included.
type Range struct{ First, Last uint }

// maxListNumber bounds what a list may name, so that nobody allocates a mask
// for CPU 4294967295. Kernels are built for at most 8192 CPUs.
const maxListNumber = 1<<16 - 1

// ParseList reads a list of CPUs or memory nodes such as "0-3,7" (cpuset(7)).
// Blanks around numbers are allowed. An empty list has no ranges.
func ParseList(s string) ([]Range, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	var list []Range
	for element := range strings.SplitSeq(s, ",") {
		first, last, isRange := strings.Cut(element, "-")
		if !isRange {
			last = first
		}
		a, err := parseListNumber(first)
		if err != nil {
			return nil, err
		}
		b, err := parseListNumber(last)
		if err != nil {
			return nil, err
		}
		if a > b {
			return nil, fmt.Errorf("the range %q is upside down", strings.TrimSpace(element))
		}
		list = append(list, Range{a, b})
	}
	return list, nil
}

func parseListNumber(s string) (uint, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0, errors.New("a number is missing")
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	if n > maxListNumber {
		return 0, fmt.Errorf("%s is larger than %d", s, maxListNumber)
	}
	return uint(n), nil
}

// list checks a list of the configuration.
func (v *validator) list(path, s string) []Range {
	list, err := ParseList(s)
	if err != nil {
		v.problem(path, "%q is not a list such as 0-3,7: %v", s, err)
	}
	return list
}

// sortedKeys makes the order of problems and of writes the same each time.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}
