package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

func (a *app) psCommand() *cli.Command {
	return a.define(&cli.Command{
		Name:   "ps",
		Usage:  "list the processes of a container, as the host's ps shows them",
		Flags:  []cli.Flag{&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "table", Usage: "table, or json for their pids alone"}},
		Action: a.ps,
	}, "ID", "[PS OPTION...]")
}

func (a *app) ps(c *cli.Context) error {
	format := c.String("format")
	if format != "table" && format != "json" {
		return fmt.Errorf("--format %s: want table or json", format)
	}
	container, err := a.load(c)
	if err != nil {
		return err
	}
	pids, err := container.Processes()
	if err != nil {
		return err
	}
	if format == "json" {
		return json.NewEncoder(a.stdout).Encode(append([]int{}, pids...)) // an empty list is [], not null
	}
	options := c.Args().Tail()
	if len(options) == 0 {
		options = []string{"-ef"}
	}
	table, err := exec.Command("ps", options...).Output()
	if err != nil {
		return fmt.Errorf("ps %s: %w%s", strings.Join(options, " "), err, complaint(err))
	}
	lines, err := linesOf(string(table), pids)
	if err != nil {
		return fmt.Errorf("ps %s: %w", strings.Join(options, " "), err)
	}
	_, err = fmt.Fprint(a.stdout, lines)
	return err
}

// complaint is what a program has said about its failure.
func complaint(err error) string {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return ""
	}
	said, _, _ := strings.Cut(string(exit.Stderr), "\n")
	return ": " + said
}

// linesOf returns the titles of a table and its lines about the processes.
func linesOf(table string, pids []int) (string, error) {
	titles, rest, _ := strings.Cut(table, "\n")
	column := slices.Index(strings.Fields(titles), "PID")
	if column < 0 {
		return "", errors.New("its output has no column PID")
	}
	var chosen strings.Builder
	chosen.WriteString(titles + "\n")
	for line := range strings.Lines(rest) {
		words := strings.Fields(line)
		if column >= len(words) {
			continue
		}
		if pid, err := strconv.Atoi(words[column]); err == nil && slices.Contains(pids, pid) {
			chosen.WriteString(line)
		}
	}
	return chosen.String(), nil
}
