package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestIDsIn(t *testing.T) {
	text := "// AA-01 AA-02: words, BB-10 … BB-12 and UTF-8, CC-1, AA-02 … BB-04"
	want := []string{"AA-01", "AA-02", "BB-10", "BB-11", "BB-12", "AA-02"}
	if got := idsIn(text); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestCompare(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		listFile:      "# words\n\n## AA\tFirst\nAA-01\tMUST\tis so\nAA-02\tMAY\tcan be\tas one likes\nAA-03\tMUST\tis open\n",
		"x/y_test.go": "// AA-01 AA-09 ZZ-01\n",
		"x/y.go":      "// AA-03\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	areas, unknown, err := compare(root)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(unknown, []string{"AA-09"}) {
		t.Errorf("unknown: %q", unknown)
	}
	got := summary(areas)
	for _, want := range []string{"AA: 1 of 3 tested, 1 explained\n", "is open\n", "total: 1 of 3 tested, 1 explained, 1 open\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "can be") || strings.Contains(got, "is so") {
		t.Errorf("what is not open is listed:\n%s", got)
	}
	if doc := document(areas); !strings.Contains(doc, "| AA-02 | MAY | can be | as one likes |\n") {
		t.Errorf("the page lacks the reason:\n%s", doc)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"", "AA-01\tMUST\ttoo early\n", "## AA\tFirst\nAA-01\tMUST\n", "## AA\tFirst\nBB-01\tMUST\telsewhere\n"} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
