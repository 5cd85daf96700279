// Package canonjson encodes JSON so that one value has one encoding: in one
// line, without white space and without the escapes that encoding/json has for
// HTML.
package canonjson

import (
	"bytes"
	"encoding/json"
)

// Compact returns the JSON of v, with the fields of structs in their order.
func Compact(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
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
