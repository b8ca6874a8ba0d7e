package cli

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"skep/libcontainer"
)

func (a *app) eventsCommand() *cli.Command {
	return a.define(&cli.Command{
		Name:  "events",
		Usage: "tell when a container is out of memory, and from time to time its statistics, as JSON until it ends",
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "interval", Value: 5 * time.Second, Usage: "time between statistics"},
			&cli.BoolFlag{Name: "stats", Usage: "print statistics once"},
		},
		Action: a.events,
	}, "ID")
}

func (a *app) events(c *cli.Context) error {
	interval := c.Duration("interval")
	if interval <= 0 {
		return fmt.Errorf("--interval %s: must be greater than 0", interval)
	}
	container, err := a.load(c)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(a.stdout)
	if c.Bool("stats") {
		stats, err := container.Stats()
		if err != nil {
			return err
		}
		return encoder.Encode(libcontainer.Event{Type: libcontainer.EventStats, ID: container.ID(), Data: stats})
	}
	for event, err := range container.Events(c.Context, interval) {
		if err == nil {
			err = encoder.Encode(event)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
