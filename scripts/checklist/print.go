package main

import (
	"fmt"
	"strings"
)

// summary lists what is open and not explained, for a terminal.
func summary(areas []area) string {
	var b strings.Builder
	total, tested, explained := 0, 0, 0
	for _, a := range areas {
		open, reasons := a.open()
		total += len(a.rows)
		tested += len(a.rows) - len(open)
		explained += reasons
		fmt.Fprintf(&b, "%s: %d of %d tested, %d explained\n", a.id, len(a.rows)-len(open), len(a.rows), reasons)
		for _, r := range open {
			if r.reason == "" {
				fmt.Fprintf(&b, "  %-8s %-10s %s\n", r.id, r.level, r.text)
			}
		}
	}
	fmt.Fprintf(&b, "total: %d of %d tested, %d explained, %d open\n", tested, total, explained, total-tested-explained)
	return b.String()
}

// document is docs/conformance.md.
func document(areas []area) string {
	var b strings.Builder
	b.WriteString("# Conformance\n\n" +
		"What skep does of the OCI runtime specification, and of what callers of runtimes rely on beyond it, is a list of\n" +
		"requirements: [tests/testdata/checklist.txt](../tests/testdata/checklist.txt). Tests name the ids of what they show;\n" +
		"`grep -r JSON-06 --include='*_test.go' .` finds those of one requirement, `go run ./scripts/checklist` prints what has\n" +
		"none, and with `-write` renews this page. Reasons stand in the list.\n\n" +
		"A requirement counts as tested when a test names it. Where skep does not do something yet, that test shows that a\n" +
		"configuration which asks for it is refused by name; [README.md](../README.md#status) says what that is.\n\n" +
		"| Area | | Requirements | Tested | Explained | Open |\n|---|---|---:|---:|---:|---:|\n")
	total, tested, explained := 0, 0, 0
	for _, a := range areas {
		open, reasons := a.open()
		n := len(a.rows)
		total, tested, explained = total+n, tested+n-len(open), explained+reasons
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d |\n", a.id, a.title, n, n-len(open), reasons, len(open)-reasons)
	}
	fmt.Fprintf(&b, "| | **All** | **%d** | **%d** | **%d** | **%d** |\n", total, tested, explained, total-tested-explained)
	b.WriteString("\n## Without a test\n\nRows without a reason are not done yet, or nobody has written the test.\n")
	for _, a := range areas {
		open, _ := a.open()
		if len(open) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n### %s: %s\n\n| Id | Level | Requirement | Why there is no test |\n|---|---|---|---|\n", a.id, a.title)
		for _, r := range open {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.id, r.level, cell(r.text), cell(r.reason))
		}
	}
	return b.String()
}

// cell makes a text fit into a cell: a bar would end it, and an angle bracket begin HTML.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(text)
}
