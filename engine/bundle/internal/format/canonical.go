// Package format has the bytes of bundles, without their place: the root
// manifest, the index, blocks, patches, receipts, the OCI manifest, the members
// of volumes, and which paths they may name. docs/formats.md describes them.
// Decoders check everything that they read; their errors wrap ErrRefused.
package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Canonical JSON, so that one value has one encoding and a digest names it:
// objects with their keys sorted as byte strings, no space, no fractions or
// exponents, integers of at most 53 bits, strings as they are in UTF-8 (nothing
// is normalised) with \" \\ \b \f \n \r \t and otherwise \u00xx for what is
// below U+0020, and \u2028 and \u2029, which are no line ends in JSON.

// maxInteger is what a double holds exactly.
const maxInteger = 1<<53 - 1

// EncodeCanonical returns the canonical JSON of v, which encoding/json must be
// able to marshal.
func EncodeCanonical(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	d := json.NewDecoder(&b)
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	return appendCanonical(nil, tree)
}

func appendCanonical(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case json.Number:
		n, err := strconv.ParseInt(v.String(), 10, 64)
		if err != nil || n > maxInteger || n < -maxInteger {
			return nil, fmt.Errorf("number %s: want an integer of at most 53 bits", v)
		}
		return strconv.AppendInt(b, n, 10), nil
	case string:
		return appendString(b, v), nil
	case []any:
		return appendList(b, v)
	case map[string]any:
		return appendObject(b, v)
	}
	return nil, fmt.Errorf("no JSON for %T", v)
}

func appendList(b []byte, list []any) ([]byte, error) {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendCanonical(b, v); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func appendObject(b []byte, object map[string]any) ([]byte, error) {
	keys := make([]string, 0, len(object))
	for k := range object {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, k), ':')
		var err error
		if b, err = appendCanonical(b, object[k]); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func appendString(b []byte, s string) []byte {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes, into memory
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}

// DecodeCanonical reads canonical JSON into v, a pointer to a struct. Whatever
// is not exactly what EncodeCanonical would write is refused: other white
// space, keys that are unknown or occur twice, text behind the end.
func DecodeCanonical(b []byte, v any) error {
	if !utf8.Valid(b) {
		return errors.New("it is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the JSON value")
	}
	again, err := EncodeCanonical(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, b) {
		return fmt.Errorf("it is not canonical JSON (first difference at byte %d)", firstDifference(again, b))
	}
	return nil
}

func firstDifference(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
