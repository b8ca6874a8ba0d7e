// Checklist compares the requirements in tests/testdata/checklist.txt with the tests, which
// name the ids of what they show in their names or comments. It prints the requirements
// without a test, by area, and their totals; with -write it renews docs/conformance.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	listFile = "tests/testdata/checklist.txt"
	docFile  = "docs/conformance.md"
)

// area is a chapter of the specification, or of what callers rely on beyond it.
type area struct {
	id, title string
	rows      []row
}

// row is one requirement.
type row struct {
	id, level, text string
	reason          string // why no test shows it
	tested          bool
}

// open returns the rows without a test, and how many of them have a reason.
func (a area) open() (rows []row, explained int) {
	for _, r := range a.rows {
		if r.tested {
			continue
		}
		rows = append(rows, r)
		if r.reason != "" {
			explained++
		}
	}
	return rows, explained
}

func main() {
	write := flag.Bool("write", false, "renew "+docFile)
	flag.Parse()
	areas, unknown, err := compare(".")
	if err == nil && *write {
		err = os.WriteFile(docFile, []byte(document(areas)), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "checklist:", err)
		os.Exit(2)
	}
	for _, id := range unknown {
		fmt.Printf("%s: named by a test, not in %s\n", id, listFile)
	}
	if !*write {
		fmt.Print(summary(areas))
	}
}

// compare reads the list and the tests below root.
func compare(root string) (areas []area, unknown []string, err error) {
	text, err := os.ReadFile(filepath.Join(root, listFile))
	if err != nil {
		return nil, nil, err
	}
	if areas, err = parse(string(text)); err != nil {
		return nil, nil, err
	}
	named, err := idsInTests(root)
	if err != nil {
		return nil, nil, err
	}
	for i := range areas {
		for j := range areas[i].rows {
			r := &areas[i].rows[j]
			r.tested = named[r.id]
			delete(named, r.id)
		}
	}
	for id := range named {
		for _, a := range areas {
			if strings.HasPrefix(id, a.id+"-") { // other words look like ids too: UTF-8
				unknown = append(unknown, id)
			}
		}
	}
	slices.Sort(unknown)
	return areas, unknown, nil
}

func parse(text string) ([]area, error) {
	var areas []area
	for n, line := range strings.Split(text, "\n") {
		fields := strings.Split(line, "\t")
		switch heading, ok := strings.CutPrefix(fields[0], "## "); {
		case ok && len(fields) == 2:
			areas = append(areas, area{id: heading, title: fields[1]})
		case line == "", strings.HasPrefix(line, "# "):
		case len(areas) == 0 || len(fields) < 3 || len(fields) > 4 || !strings.HasPrefix(fields[0], areas[len(areas)-1].id+"-"):
			return nil, fmt.Errorf("%s:%d: want id, level, requirement and perhaps a reason, separated by tabs", listFile, n+1)
		default:
			r := row{id: fields[0], level: fields[1], text: fields[2]}
			if len(fields) == 4 {
				r.reason = fields[3]
			}
			a := &areas[len(areas)-1]
			a.rows = append(a.rows, r)
		}
	}
	if len(areas) == 0 {
		return nil, errors.New(listFile + " is empty")
	}
	return areas, nil
}

// idsInTests returns every id that a test file names, those within "DEV-01 … DEV-13" too.
func idsInTests(root string) (map[string]bool, error) {
	found := make(map[string]bool)
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && (e.Name() == "build" || e.Name() == ".git") {
			return fs.SkipDir
		}
		if e.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, id := range idsIn(string(text)) {
			found[id] = true
		}
		return err
	})
	return found, err
}

func idsIn(text string) []string {
	pattern := regexp.MustCompile(`\b([A-Z]{2,5})-([0-9]{2})(?: … ([A-Z]{2,5})-([0-9]{2}))?\b`)
	var ids []string
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		first, _ := strconv.Atoi(m[2]) // two digits
		last := first
		if m[1] == m[3] {
			last, _ = strconv.Atoi(m[4])
		}
		for n := first; n <= last; n++ {
			ids = append(ids, fmt.Sprintf("%s-%02d", m[1], n))
		}
	}
	return ids
}
