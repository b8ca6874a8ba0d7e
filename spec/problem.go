package spec

import (
	"strconv"
	"strings"
)

// A Problem is one thing that is wrong with a configuration.
type Problem struct {
	Path string // JSON path such as mounts[4].options[1]; empty for the file as a whole
	Text string // one sentence
}

// String puts the path before the text.
func (p Problem) String() string {
	if p.Path == "" {
		return p.Text
	}
	return p.Path + ": " + p.Text
}

// Problems are all that was found wrong, in the order of the configuration.
// As an error it prints one problem on one line, several as a list after their
// count.
type Problems []Problem

// Error implements error.
func (ps Problems) Error() string {
	if len(ps) == 1 {
		return ps[0].String()
	}
	var b strings.Builder
	b.WriteString(strconv.Itoa(len(ps)))
	b.WriteString(" problems in the configuration:")
	for _, p := range ps {
		b.WriteString("\n  ")
		b.WriteString(p.String())
	}
	return b.String()
}

// err returns the problems as an error, nil when there are none.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// at appends an index to a path.
func at(path string, i int) string {
	return path + "[" + strconv.Itoa(i) + "]"
}

// member appends a member's name to a path; names that would not read well
// after a dot are quoted in brackets.
func member(path, name string) string {
	if !plainName(name) {
		return path + "[" + strconv.Quote(name) + "]"
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// plainName reports whether a name is made of letters, digits, _ and -, and
// does not start with a digit.
func plainName(name string) bool {
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_', c == '-':
		case '0' <= c && c <= '9' && i > 0:
		default:
			return false
		}
	}
	return name != ""
}
