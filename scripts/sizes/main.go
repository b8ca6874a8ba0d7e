// Sizes reports source files and Go functions that have outgrown what one reads in
// a sitting. Its arguments are the files to look at.
package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
)

const (
	maxFile = 400 // lines, of any source file
	maxFunc = 60  // lines, of a Go function from its func to its brace
)

func main() {
	var found []string
	for _, name := range os.Args[1:] {
		more, err := measure(name)
		if err != nil {
			fmt.Fprintln(os.Stderr, "sizes:", err)
			os.Exit(2)
		}
		found = append(found, more...)
	}
	for _, line := range found {
		fmt.Println(line)
	}
	if len(found) > 0 {
		os.Exit(1)
	}
}

// measure returns one line for each thing in the file that is too long.
func measure(name string) ([]string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var found []string
	if lines := bytes.Count(text, []byte("\n")); lines >= maxFile {
		found = append(found, fmt.Sprintf("%s: %d lines, %d are too many", name, lines, maxFile))
	}
	if !strings.HasSuffix(name, ".go") {
		return found, nil
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	for _, decl := range file.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		start := files.Position(fn.Pos()).Line
		if lines := files.Position(fn.End()).Line - start + 1; lines >= maxFunc {
			found = append(found, fmt.Sprintf("%s:%d: %s: %d lines, %d are too many", name, start, fn.Name.Name, lines, maxFunc))
		}
	}
	return found, nil
}
