// Package canonjson encodes JSON so that one value has one encoding, without the
// escapes that encoding/json has for HTML.
package canonjson

import (
	"bytes"
	"encoding/json"
)

// Compact returns the JSON of v, with the fields of structs in their order.
func Compact(v any) ([]byte, error) {
	b, err := encode(v, "")
	return bytes.TrimSuffix(b, []byte("\n")), err
}

// Indented returns the JSON of v as people read it, with a line feed at its end.
func Indented(v any) ([]byte, error) { return encode(v, "  ") }

func encode(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Sorted returns the JSON of v, with the names of every object in the order of
// their bytes.
func Sorted(v any) ([]byte, error) {
	b, err := Compact(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var tree any // objects become maps, whose names are written in order
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	return Compact(tree)
}
