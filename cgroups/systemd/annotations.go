package systemd

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"

	"skep/spec"
)

// own are the properties with which skep finds the container again.
var own = [...]string{"ControlGroup", "Delegate", "PIDFDs", "PIDs", "Slice"}

// Annotated returns the properties that annotations ask for, which begin with
// [spec.SystemdProperty]. The values are in the text format of GVariant:
// "uint64 5000000", "'inactive-or-failed'". A time in seconds (…Sec) becomes
// what systemd takes, one in microseconds (…USec).
func Annotated(annotations map[string]string) ([]Property, error) {
	var props []Property
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		name, ok := strings.CutPrefix(key, spec.SystemdProperty)
		if !ok {
			continue
		}
		p, err := parseProperty(name, annotations[key])
		if err != nil {
			return nil, fmt.Errorf("annotations[%q]: %w", key, err)
		}
		props = append(props, p)
	}
	return props, nil
}

func parseProperty(name, text string) (Property, error) {
	if len(name) < 3 || strings.ContainsFunc(name, notLetter) {
		return Property{}, fmt.Errorf("%q is not the name of a property: three letters or more, and nothing else", name)
	}
	if slices.Contains(own[:], name) {
		return Property{}, fmt.Errorf("the runtime itself sets the property %s", name)
	}
	value, err := parseVariant(text)
	if err != nil {
		return Property{}, fmt.Errorf("%q is no value in the text format of GVariant: %w", text, err)
	}
	stem, ok := strings.CutSuffix(name, "Sec")
	if !ok || strings.HasSuffix(name, "USec") {
		return Property{name, value}, nil
	}
	usec, err := microseconds(value.Value())
	if err != nil {
		return Property{}, err
	}
	return Property{stem + "USec", dbus.MakeVariant(usec)}, nil
}

// parseVariant reads one value. The parser does not mind what comes after it, unless that stands in a variant.
func parseVariant(text string) (dbus.Variant, error) {
	outer, err := dbus.ParseVariant("<"+text+">", dbus.Signature{})
	if err != nil {
		return dbus.Variant{}, err
	}
	inner, ok := outer.Value().(dbus.Variant)
	if !ok {
		return dbus.Variant{}, errors.New("it has no type")
	}
	return inner, nil
}

func notLetter(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

// microseconds converts a number of seconds.
func microseconds(seconds any) (uint64, error) {
	const unit = 1_000_000
	var n uint64
	switch s := seconds.(type) {
	case float64:
		if !(s >= 0 && s < math.MaxUint64/unit) {
			return 0, fmt.Errorf("%v seconds are out of range", s)
		}
		return uint64(s * unit), nil
	case byte:
		n = uint64(s)
	case uint16:
		n = uint64(s)
	case uint32:
		n = uint64(s)
	case uint64:
		n = s
	case int16:
		n = uint64(s)
	case int32:
		n = uint64(s)
	case int64:
		n = uint64(s)
	default:
		return 0, fmt.Errorf("%v is no number of seconds", s)
	}
	if n > math.MaxUint64/unit { // what was negative is, too
		return 0, fmt.Errorf("%v seconds are out of range", seconds)
	}
	return n * unit, nil
}
