package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// logger writes warnings and the final error. With --log they go to a file, where managers read the last record of
// level error as the reason of a failure; the final error goes to stderr too. Without --log everything goes to
// stderr, in words.
type logger struct {
	records *slog.Logger // nil: no --log
	debug   bool
	json    bool
	stderr  io.Writer
}

func newLogger(path, format string, stderr io.Writer, debug bool) (*logger, error) {
	l := &logger{stderr: stderr, debug: debug, json: format == "json"}
	if format != "text" && format != "json" {
		return l, fmt.Errorf("--log-format %s: want text or json", format)
	}
	w := io.Writer(stderr)
	if path != "" {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND|unix.O_SYNC|unix.O_CLOEXEC, 0o644)
		if err != nil {
			return l, fmt.Errorf("--log: %w", err)
		}
		w = f
	} else if !l.json {
		return l, nil
	}
	o := &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: contract}
	if l.json {
		l.records = slog.New(slog.NewJSONHandler(w, o))
	} else {
		l.records = slog.New(slog.NewTextHandler(w, o))
	}
	if path == "" {
		l.stderr = io.Discard
	}
	return l, nil
}

// contract gives records the values that containerd and conmon look for: lower-case levels, RFC 3339 times.
func contract(_ []string, a slog.Attr) slog.Attr {
	switch a.Key {
	case slog.LevelKey:
		name := strings.ToLower(a.Value.String())
		if name == "warn" {
			name = "warning"
		}
		return slog.String(slog.LevelKey, name)
	case slog.TimeKey:
		return slog.String(slog.TimeKey, a.Value.Time().UTC().Format(time.RFC3339))
	}
	return a
}

func (l *logger) warn(text string) {
	if l.records != nil {
		l.records.Warn(text)
		return
	}
	fmt.Fprintf(l.stderr, "skep: warning: %s\n", text)
}

func (l *logger) error(err error) {
	if l.records != nil {
		l.records.Error(err.Error())
	}
	fmt.Fprintf(l.stderr, "skep: %s\n", err)
}
