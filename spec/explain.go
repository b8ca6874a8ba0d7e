package spec

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// explain turns an error of the decoder into one sentence for the author of
// the file, without names of Go types. v is what was decoded into.
func explain(raw []byte, v any, prefix string, err error) Problems {
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		path := jsonPath(e.JSONPointer, reflect.TypeOf(v), prefix)
		if errors.Is(e.Err, jsontext.ErrDuplicateName) {
			return Problems{{path, "the name appears twice in its object"}}
		}
		return Problems{{path, e.Err.Error() + " " + position(raw, e.ByteOffset)}}
	}
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		path := jsonPath(e.JSONPointer, reflect.TypeOf(v), prefix)
		return Problems{{path, explainValue(raw, path, e)}}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return Problems{{prefix, "the file ends in the middle of a value"}}
	}
	return Problems{{prefix, err.Error()}}
}

// explainValue says what was found and what was expected.
func explainValue(raw []byte, path string, e *json.SemanticError) string {
	value := excerpt(raw, e.ByteOffset)
	_, notInteger := strconv.ParseInt(value, 10, 64)
	if strings.Contains(path, ".env") {
		value = "the value" // environments, of hooks too, hold secrets
	}
	switch {
	case errors.Is(e.Err, strconv.ErrRange), e.Err != nil && notInteger == nil: // -1 as an unsigned one
		value += " is out of range"
	case errors.Is(e.Err, strconv.ErrSyntax):
		value += " is not an integer"
	default:
		value += " is " + kindName(e.JSONKind)
	}
	if e.GoType == nil {
		return value
	}
	return value + ", expected " + typeName(e.GoType)
}

func kindName(k jsontext.Kind) string {
	switch k {
	case '"':
		return "a string"
	case '0':
		return "a number"
	case 't', 'f':
		return "a boolean"
	case '{':
		return "an object"
	case '[':
		return "a list"
	}
	return "not valid here"
}

// typeName describes the values that a type of the specification takes.
func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return typeName(t.Elem())
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		switch t.Elem().Kind() {
		case reflect.String:
			return "a list of strings"
		case reflect.Struct:
			return "a list of objects"
		}
		return "a list of integers"
	case reflect.Int, reflect.Int32, reflect.Int64:
		top := uint64(1)<<(t.Bits()-1) - 1
		return "an integer from -" + strconv.FormatUint(top+1, 10) + " to " + strconv.FormatUint(top, 10)
	case reflect.Uint, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		top := ^uint64(0) >> (64 - t.Bits())
		return "an integer from 0 to " + strconv.FormatUint(top, 10)
	}
	return "an object"
}

// excerpt returns the JSON value at an offset, shortened to fit in a line.
func excerpt(raw []byte, offset int64) string {
	const limit = 60
	value, err := jsontext.NewDecoder(bytes.NewReader(raw[min(offset, int64(len(raw))):])).ReadValue()
	if err != nil {
		return "the value"
	}
	if err := value.Compact(); err != nil || len(value) > limit {
		return strings.ToValidUTF8(string(value[:min(limit, len(value))]), "") + "…"
	}
	return string(value)
}

// position describes an offset as people count.
func position(raw []byte, offset int64) string {
	before := raw[:min(offset, int64(len(raw)))]
	line := bytes.Count(before, []byte{'\n'}) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return "(line " + strconv.Itoa(line) + ", column " + strconv.Itoa(column) + ")"
}

// jsonPath converts a JSON pointer to a path such as mounts[4].options[1].
// The type tells lists from maps, which a pointer does not.
func jsonPath(p jsontext.Pointer, t reflect.Type, path string) string {
	for token := range p.Tokens() {
		t = elem(t)
		if i, err := strconv.Atoi(token); err == nil && t != nil && t.Kind() == reflect.Slice {
			path = at(path, i)
		} else {
			path = member(path, token)
		}
		t = child(t, token)
	}
	return path
}

// elem follows pointers; the type of an unknown member is nil.
func elem(t reflect.Type) reflect.Type {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// child returns the type of a member or an element, nil when it is unknown.
func child(t reflect.Type, name string) reflect.Type {
	if t == nil {
		return nil
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Map:
		return t.Elem()
	case reflect.Struct:
		for _, f := range reflect.VisibleFields(t) {
			if jsonName(f) == name {
				return f.Type
			}
		}
	}
	return nil
}

// jsonName returns the name that a field has in JSON, "" for embedded structs.
func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}
