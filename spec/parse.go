package spec

import (
	"bytes"
	"errors"
	"io/fs"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// document is a specs.Spec whose sections for other platforms are skipped,
// whatever they hold (config.md#extensibility). The fields of the outer struct
// hide those of the same name in the embedded one.
type document struct {
	specs.Spec
	Solaris ignored `json:"solaris"`
	Windows ignored `json:"windows"`
	VM      ignored `json:"vm"`
	ZOS     ignored `json:"zos"`
	FreeBSD ignored `json:"freebsd"`
}

// ignored takes any value. Skipping still refuses duplicate names.
type ignored struct{}

// UnmarshalJSONFrom implements [json.UnmarshalerFrom].
func (*ignored) UnmarshalJSONFrom(d *jsontext.Decoder) error { return d.SkipValue() }

// Parse decodes a config.json. The warnings name members that were ignored
// because they differ from a member of the specification in case only. An
// error about the content is of type [Problems].
func Parse(raw []byte) (*specs.Spec, []string, error) {
	var d document
	warnings, err := decode(raw, &d, "")
	if err == nil {
		var c census
		c.spec(&d.Spec)
		err = findMissing(raw, &d, "", c)
	}
	if err != nil {
		return nil, nil, err
	}
	if d.Linux != nil {
		for i := range d.Linux.Devices {
			stripFileType(d.Linux.Devices[i].FileMode)
		}
	}
	return &d.Spec, warnings, nil
}

// ParseProcess decodes the process file of exec. Its paths begin with process,
// as in a config.json.
func ParseProcess(raw []byte) (*specs.Process, []string, error) {
	var p specs.Process
	warnings, err := decode(raw, &p, "process")
	if err == nil {
		var c census
		c.process(&p)
		err = findMissing(raw, &p, "process", c)
	}
	if err != nil {
		return nil, nil, err
	}
	return &p, warnings, nil
}

// ParseResources decodes the resources that update gets. Its paths begin with
// linux.resources, as in a config.json.
func ParseResources(raw []byte) (*specs.LinuxResources, []string, error) {
	var r specs.LinuxResources
	warnings, err := decode(raw, &r, "linux.resources")
	if err == nil {
		var c census
		c.resources(&r)
		err = findMissing(raw, &r, "linux.resources", c)
	}
	if err != nil {
		return nil, nil, err
	}
	return &r, warnings, nil
}

// decode fills v, a pointer to a struct, from raw. Only when a name is unknown,
// which managers do not send, it decodes again and looks at all names for
// those that a decoder of Go's encoding/json would have matched.
func decode[T any](raw []byte, v *T, prefix string) (warnings []string, err error) {
	switch string(bytes.Trim(raw, " \t\r\n")) {
	case "":
		return nil, Problems{{prefix, "the file is empty, expected an object"}}
	case "null": // decodes into anything
		return nil, Problems{{prefix, "the file holds null, expected an object"}}
	}
	err = json.Unmarshal(raw, v, json.RejectUnknownMembers(true))
	if errors.Is(err, json.ErrUnknownName) {
		var again T
		if err = json.Unmarshal(raw, &again); err == nil {
			*v = again
			warnings = walk(raw, v, prefix).warnings
		}
	}
	if err != nil {
		return nil, explain(raw, v, prefix, err)
	}
	return warnings, nil
}

// stripFileType removes the file type from a mode: Podman sends what stat(2)
// returned.
func stripFileType(mode *fs.FileMode) {
	if mode != nil {
		*mode &^= unix.S_IFMT
	}
}
