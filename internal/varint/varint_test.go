package varint

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func TestReader(t *testing.T) {
	b := AppendTexts(AppendText([]byte{0xac, 0x02}, "ab"), []string{"", "c"})
	if got, want := hex.EncodeToString(b), "ac02"+"026162"+"02"+"00"+"0163"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	r := NewReader(b)
	if n, s := r.Number(), r.Text(); n != 300 || s != "ab" || !r.OK() || r.Done() {
		t.Errorf("%d %q", n, s)
	}
	if n := r.Count(); n != 2 || !bytes.Equal(r.Rest(), []byte{0, 1, 'c'}) {
		t.Errorf("%d, %x left", n, r.Rest())
	}
	if a, b := r.Text(), r.Text(); a != "" || b != "c" || !r.Done() {
		t.Errorf("%q %q", a, b)
	}
}

// After a mistake everything is zero, and it is not forgotten.
func TestMistakes(t *testing.T) {
	for name, read := range map[string]func(*Reader){
		"no number":        func(r *Reader) { r.Bytes(3); r.Number() },
		"number too large": func(r *Reader) { *r = *NewReader(bytes.Repeat([]byte{0xff}, 11)); r.Number() },
		"text cut off":     func(r *Reader) { r.Text() },
		"more than bytes":  func(r *Reader) { r.Count() },
		"bytes cut off":    func(r *Reader) { r.Bytes(4) },
	} {
		r := NewReader([]byte{9, 'a', 'b'})
		if read(r); r.OK() || r.Done() || r.Number() != 0 || r.Text() != "" || r.Bytes(1) != nil || r.Count() != 0 || len(r.Rest()) > 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
