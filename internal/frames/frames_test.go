package frames

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const magic = "airbuild-test-1\n"

// decoded are the bodies of a file.
func decoded(b []byte) (bodies []string, whole bool) {
	whole = Decode(b, magic, func(body []byte) bool {
		bodies = append(bodies, string(body))
		return true
	})
	return bodies, whole
}

// The bytes are part of formats that other versions of airbuild read.
func TestEncode(t *testing.T) {
	want := "magic\x09\x00\x00\x00\x83\x92\x06\xe3123456789" // the CRC's check value
	if got := Encode([]byte("magic"), []byte("123456789")); string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	if err := Append(name, []byte("a")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("append to a file that is not there: %v", err)
	}
	if err := Replace(name, magic, []byte("a")); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"", "bc"} {
		if err := Append(name, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	read := func(want ...string) {
		t.Helper()
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, whole := decoded(b); !whole || !slices.Equal(got, want) {
			t.Errorf("%q, whole %v, want %q", got, whole, want)
		}
	}
	read("a", "", "bc")
	if err := Replace(name, magic, []byte("d")); err != nil {
		t.Fatal(err)
	}
	read("d")
	if err := Replace(filepath.Join(dir, "missing", "file"), magic, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("replace in a directory that is not there: %v", err)
	}
}

func TestDamage(t *testing.T) {
	one := Encode([]byte(magic), []byte("one"))
	two := Encode(slices.Clone(one), []byte("two"))
	for n := range two {
		var want []string
		if n >= len(one) {
			want = []string{"one"}
		}
		if got, whole := decoded(two[:n]); whole != (n == len(magic) || n == len(one)) || !slices.Equal(got, want) {
			t.Errorf("cut off after %d bytes: %q, whole %v", n, got, whole)
		}
		bad := slices.Clone(two)
		bad[n] ^= 0x10
		if got, whole := decoded(bad); whole || !slices.Equal(got, want) {
			t.Errorf("byte %d is wrong: %q, whole %v", n, got, whole)
		}
	}
}

func TestUnknownBody(t *testing.T) {
	b := Encode(Encode([]byte(magic), []byte("one")), []byte("two"))
	var got []string
	whole := Decode(b, magic, func(body []byte) bool {
		got = append(got, string(body))
		return false
	})
	if whole || !slices.Equal(got, []string{"one"}) {
		t.Errorf("%q, whole %v", got, whole)
	}
}

// What decodes is what the bodies encode to.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(magic))
	f.Add(Encode(Encode([]byte(magic), []byte("one")), nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		again := []byte(magic)
		whole := Decode(b, magic, func(body []byte) bool {
			again = Encode(again, body)
			return true
		})
		if whole && string(again) != string(b) {
			t.Errorf("%q became %q", b, again)
		}
	})
}
