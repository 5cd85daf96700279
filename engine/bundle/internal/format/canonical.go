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
	"unicode/utf8"

	"github.com/airbuild/airbuild/internal/canonjson"
)

// Canonical JSON, so that one value has one encoding and a digest names it:
// objects with their keys sorted as byte strings, no space, no fractions or
// exponents, integers of at most 53 bits, strings as they are in UTF-8 (nothing
// is normalised) with \" \\ \b \f \n \r \t and otherwise \u00xx for what is
// below U+0020, and \u2028 and \u2029, which are not line ends in JSON.

// maxInteger is what a double holds exactly.
const maxInteger = 1<<53 - 1

// EncodeCanonical returns the canonical JSON of v, which encoding/json must be
// able to marshal.
func EncodeCanonical(v any) ([]byte, error) {
	b, err := canonjson.Sorted(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	for {
		t, err := d.Token()
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
		if n, ok := t.(json.Number); ok {
			if i, err := n.Int64(); err != nil || i > maxInteger || i < -maxInteger {
				return nil, fmt.Errorf("number %s: want an integer of at most 53 bits", n)
			}
		}
	}
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
