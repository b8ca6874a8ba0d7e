package cli

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// flagsFirst moves the flags of a command that stand behind its positional arguments to the front, where the library
// expects them: `delete ID --force` is what people type, and runc takes it. The commands whose last arguments belong
// to another program or may look like flags stay as they are.
func flagsFirst(app *cli.App, args []string) []string {
	at := 1
	for at < len(args) && strings.HasPrefix(args[at], "-") {
		at += flagLength(app.Flags, args[at:])
	}
	if at >= len(args) {
		return args
	}
	command := app.Command(args[at])
	at++
	switch {
	case command == nil:
		return args
	case slices.Contains([]string{"exec", "ps", "kill"}, command.Name):
		return longNames(command.Flags, args, at)
	}
	flags := slices.Clone(args[:at])
	var positional []string
	for at < len(args) {
		n := 1
		switch {
		case args[at] == "--":
			positional = append(positional, args[at+1:]...)
			n = len(args) - at
		case len(args[at]) > 1 && strings.HasPrefix(args[at], "-"):
			n = flagLength(command.Flags, args[at:])
			if at+n > len(args) { // the library tells that a value is missing if nothing follows
				return append(flags, args[at])
			}
			flags = append(flags, args[at:at+n]...)
		default:
			positional = append(positional, args[at])
		}
		at += n
	}
	return append(append(flags, "--"), positional...)
}

// longNames replaces the short names of flags, which begin at an index, up to the first positional argument: the
// library refuses a flag that is given twice when it goes by two names, and -e and --env are given often.
func longNames(flags []cli.Flag, args []string, at int) []string {
	args = slices.Clone(args)
	for at < len(args) && len(args[at]) > 1 && strings.HasPrefix(args[at], "-") && args[at] != "--" {
		n := flagLength(flags, args[at:])
		name, value, hasValue := strings.Cut(strings.TrimLeft(args[at], "-"), "=")
		for _, f := range flags {
			if names := f.Names(); slices.Contains(names, name) {
				args[at] = "--" + names[0]
				if hasValue {
					args[at] += "=" + value
				}
			}
		}
		at += n
	}
	return args
}

// flagLength is how many arguments the first one, a flag, takes up: 2 if its value is the next one.
func flagLength(flags []cli.Flag, args []string) int {
	name := strings.TrimLeft(args[0], "-")
	if strings.Contains(name, "=") {
		return 1
	}
	for _, f := range flags {
		if _, isBool := f.(*cli.BoolFlag); !isBool && slices.Contains(f.Names(), name) {
			return 2
		}
	}
	return 1
}
