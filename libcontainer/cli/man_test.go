package cli

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

var flagInPage = regexp.MustCompile(`\bFl -?([a-z0-9-]+)`)

// argumentsInTitle turns a title's macros into what --help prints.
var argumentsInTitle = strings.NewReplacer(" Op options", "", "Op Ar PS_OPTION ...", "[PS OPTION...]", "Op Ar ARG ...", "[ARG...]",
	"Op Ar COMMAND", "[COMMAND]", "Op Ar SIGNAL", "[SIGNAL]", "Op Ar ID", "[ID]", "Ar ", "")

// The manual page has a section for each command, with its arguments and its flags, all of them and no others.
func TestManual(t *testing.T) {
	raw, err := os.ReadFile("../../docs/man/skep.8")
	if err != nil {
		t.Fatal(err)
	}
	app := (&app{}).command()
	sections := strings.Split(string(raw), "\n.Ss ")
	documented(t, "the global options", sections[0], append(app.Flags, cli.HelpFlag))
	last, _, _ := strings.Cut(sections[len(sections)-1], "\n.Sh ")
	sections[len(sections)-1] = last
	for _, section := range sections[1:] {
		title, text, _ := strings.Cut(section, "\n")
		name, _, _ := strings.Cut(title, " ")
		command := app.Command(name)
		if command == nil {
			t.Errorf("%s is no command", name)
			continue
		}
		if name == "ps" {
			text = strings.ReplaceAll(text, ".Fl ef .", "") // an option of ps(1)
		}
		documented(t, name, text, command.Flags)
		if got := argumentsInTitle.Replace(title[len(name):]); strings.TrimSpace(got) != command.ArgsUsage {
			t.Errorf("%s: the page has the arguments %q, want %q", name, got, command.ArgsUsage)
		}
	}
	for _, command := range app.Commands {
		if !strings.Contains(string(raw), "\n.Ss "+command.Name) {
			t.Errorf("%s has no section", command.Name)
		}
	}
}

// documented compares the flags that a text names with those that there are.
func documented(t *testing.T, of, text string, flags []cli.Flag) {
	t.Helper()
	want := []string{}
	for _, f := range flags {
		if v, ok := f.(cli.VisibleFlag); ok && v.IsVisible() {
			want = append(want, f.Names()...)
		}
	}
	got := []string{}
	for _, match := range flagInPage.FindAllStringSubmatch(text, -1) {
		got = append(got, match[1])
	}
	for _, list := range [...]*[]string{&want, &got} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: the page has the flags %v, want %v", of, got, want)
	}
}
