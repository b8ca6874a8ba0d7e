package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"skep/libcontainer"
)

// report is the JSON of state and list: the specification's fields, and those that managers read besides.
type report struct {
	Version     string               `json:"ociVersion"`
	ID          string               `json:"id"`
	Pid         int                  `json:"pid"`
	Status      specs.ContainerState `json:"status"`
	Bundle      string               `json:"bundle"`
	Rootfs      string               `json:"rootfs"`
	Created     time.Time            `json:"created"`
	Annotations map[string]string    `json:"annotations,omitempty"`
	Owner       string               `json:"owner"`
}

func newReport(c *libcontainer.Container) report {
	oci, facts := c.OCI(), c.State()
	return report{
		Version: oci.Version, ID: oci.ID, Pid: oci.Pid, Status: oci.Status, Bundle: oci.Bundle,
		Rootfs: facts.Rootfs, Created: facts.Created.UTC(), Annotations: oci.Annotations,
	}
}

// owner names the user whose state directory it is.
func owner(dir string) string {
	st, err := os.Stat(dir)
	if err != nil {
		return ""
	}
	uid := strconv.Itoa(int(st.Sys().(*syscall.Stat_t).Uid))
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return "#" + uid
}

func (a *app) stateCommand() *cli.Command {
	return a.define(&cli.Command{
		Name:  "state",
		Usage: "print the state of a container as JSON",
		Action: func(c *cli.Context) error {
			container, err := libcontainer.Load(c.String("root"), c.Args().First())
			if err != nil {
				return err
			}
			r := newReport(container)
			encoder := json.NewEncoder(a.stdout)
			encoder.SetIndent("", "  ")
			return encoder.Encode(r)
		},
	}, "ID")
}

func (a *app) listCommand() *cli.Command {
	return a.define(&cli.Command{
		Name:  "list",
		Usage: "list containers",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "table", Usage: "table or json"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print ids only"},
		},
		Action: a.list,
	})
}

func (a *app) list(c *cli.Context) error {
	containers, broken, err := libcontainer.List(c.String("root"))
	if err != nil {
		return err
	}
	for _, err := range broken {
		a.log.warn(err.Error())
	}
	if c.Bool("quiet") {
		for _, container := range containers {
			if _, err := fmt.Fprintln(a.stdout, container.ID()); err != nil {
				return err
			}
		}
		return nil
	}
	reports := make([]report, 0, len(containers)) // an empty list is [], not null
	for _, container := range containers {
		r := newReport(container)
		r.Owner = owner(container.StateDir())
		reports = append(reports, r)
	}
	switch c.String("format") {
	case "json":
		return json.NewEncoder(a.stdout).Encode(reports)
	case "table":
		return a.table(reports)
	}
	return fmt.Errorf("--format %s: want table or json", c.String("format"))
}

func (a *app) table(reports []report) error {
	w := tabwriter.NewWriter(a.stdout, 12, 1, 3, ' ', 0)
	fmt.Fprint(w, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER\n")
	for _, r := range reports {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", r.ID, r.Pid, r.Status, r.Bundle, r.Created.Format(time.RFC3339Nano), r.Owner)
	}
	return w.Flush()
}
