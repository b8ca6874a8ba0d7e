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
	maxFunc = 60  // lines, of a Go function from its func to its brace; a test's tables are data
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
		lines := span(files, fn)
		if strings.HasSuffix(name, "_test.go") {
			lines -= tables(files, fn)
		}
		if lines >= maxFunc {
			start := files.Position(fn.Pos()).Line
			found = append(found, fmt.Sprintf("%s:%d: %s: %d lines, %d are too many", name, start, fn.Name.Name, lines, maxFunc))
		}
	}
	return found, nil
}

func span(files *token.FileSet, node ast.Node) int {
	return files.Position(node.End()).Line - files.Position(node.Pos()).Line + 1
}

// tables returns how many lines the function's outermost composite literals take.
func tables(files *token.FileSet, fn *ast.FuncDecl) int {
	lines := 0
	ast.Inspect(fn, func(node ast.Node) bool {
		literal, ok := node.(*ast.CompositeLit)
		if ok {
			lines += span(files, literal) - 1
		}
		return !ok
	})
	return lines
}
