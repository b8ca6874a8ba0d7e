package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"skep/nsenter/plan"
	"skep/spec"
)

// logger writes warnings and the final error. With --log they go to a file, where managers read the last record of
// level error as the reason of a failure; the final error goes to stderr too. Without --log everything goes to
// stderr, in words.
type logger struct {
	records *slog.Logger // nil: no --log
	quiet   bool         // no warnings
	json    bool
	stderr  io.Writer
}

func newLogger(path, format, level string, stderr io.Writer) (*logger, error) {
	l := &logger{stderr: stderr, quiet: level == "error", json: format == "json"}
	if format != "text" && format != "json" {
		return l, fmt.Errorf("--log-format %s: want text or json", format)
	}
	if level != "error" && level != "warning" && level != "debug" {
		return l, fmt.Errorf("--log-level %s: want error, warning or debug", level)
	}
	w := io.Writer(stderr)
	if path != "" {
		const forFifos = unix.O_NONBLOCK // one that nobody reads is an error
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND|unix.O_SYNC|unix.O_CLOEXEC|forFifos, 0o644)
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
	if l.quiet {
		return
	}
	if l.records != nil {
		l.records.Warn(text)
		return
	}
	fmt.Fprintf(l.stderr, "skep: warning: %s\n", text)
}

func (l *logger) error(err error) {
	if l.records != nil {
		l.records.Error(err.Error(), details(err)...)
	}
	fmt.Fprintf(l.stderr, "skep: %s\n", err)
}

// details are what a program can read of an error without parsing its sentence: the JSON path in the configuration,
// the phase, the step and the system call that failed, and the errno.
func details(err error) []any {
	var attrs []any
	var problems spec.Problems
	if errors.As(err, &problems) && len(problems) > 0 {
		attrs = append(attrs, slog.String("path", problems[0].Path))
	}
	var step *plan.StepError
	if errors.As(err, &step) {
		attrs = append(attrs, slog.String("path", step.Item()), slog.String("phase", step.Phase),
			slog.String("op", step.Step.String()), slog.String("call", step.Call))
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		attrs = append(attrs, slog.String("errno", unix.ErrnoName(errno)))
	}
	return attrs
}
