package spec

import (
	"bytes"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// A walker reads a decoded document once more, name by name. That costs about
// as much as decoding it, so it is left to documents that seem odd.
type walker struct {
	dec      *jsontext.Decoder
	warnings []string
	missing  Problems
}

// walk compares the names in raw, which has been decoded into v, with those of
// the specification.
func walk(raw []byte, v any, prefix string) *walker {
	w := &walker{dec: jsontext.NewDecoder(bytes.NewReader(raw))}
	w.value(reflect.TypeOf(v), prefix)
	return w
}

// value reads the next value, of type t. The document is known to be sound, so
// errors of the decoder can only end the walk.
func (w *walker) value(t reflect.Type, path string) {
	t = elem(t)
	switch kind := w.dec.PeekKind(); {
	case t == nil || t == reflect.TypeFor[ignored]():
		w.dec.SkipValue()
	case kind == '{' && t.Kind() == reflect.Struct:
		w.object(t, path)
	case kind == '{' && t.Kind() == reflect.Map:
		w.dec.ReadToken()
		for w.more('}') {
			name, _ := w.dec.ReadToken()
			w.element(t.Elem(), member(path, name.String()))
		}
	case kind == '[' && t.Kind() == reflect.Slice:
		w.dec.ReadToken()
		for i := 0; w.more(']'); i++ {
			w.element(t.Elem(), at(path, i))
		}
	default:
		w.dec.SkipValue()
	}
}

// element reads a value of a list or map, which null is not.
func (w *walker) element(t reflect.Type, path string) {
	if w.dec.PeekKind() == jsontext.KindNull {
		w.missing = append(w.missing, Problem{path, "null, expected " + typeName(t)})
	}
	w.value(t, path)
}

// object reads a struct of the specification.
func (w *walker) object(t reflect.Type, path string) {
	w.dec.ReadToken()
	var names []string
	fifo := false // a device without numbers
	for w.more('}') {
		token, _ := w.dec.ReadToken()
		name := token.String()
		if w.dec.PeekKind() != jsontext.KindNull {
			names = append(names, name)
		}
		known := child(t, name)
		if known == nil {
			w.misspelt(t, path, name)
		}
		if t == reflect.TypeFor[specs.LinuxDevice]() && name == "type" {
			value, _ := w.dec.ReadValue()
			fifo = string(value) == `"p"`
			continue
		}
		w.value(known, member(path, name))
	}
	for _, name := range required(t) {
		if !slices.Contains(names, name) && !fifo {
			w.missing = append(w.missing, Problem{member(path, name), "required but missing"})
		}
	}
}

// more reports whether another member or element follows; it eats the end.
func (w *walker) more(end jsontext.Kind) bool {
	switch w.dec.PeekKind() {
	case end:
		w.dec.ReadToken()
		return false
	case jsontext.KindInvalid:
		return false
	}
	return true
}

// misspelt warns when an unknown name is a known one in other case. Decoders
// that ignore case apply such members; the specification does not know them.
func (w *walker) misspelt(t reflect.Type, path, name string) {
	for _, f := range reflect.VisibleFields(t) {
		if known := jsonName(f); known != "" && strings.EqualFold(known, name) {
			w.warnings = append(w.warnings, member(path, name)+": ignored, the specification spells it "+known)
			return
		}
	}
}
