package bundle

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/airbuild/airbuild/engine/action"
)

// seeds are the parts of real bundles: those of the fixture and of a sample.
func seeds(f *testing.F, part func(b *Bundle) []byte) {
	f.Helper()
	for _, dir := range []string{fixture, fixture + "-delta", fixture + "-patched"} {
		b, err := Open(f.Context(), anyone, dir)
		if err != nil {
			f.Fatal(err)
		}
		seed := part(b)
		if len(seed) == 0 {
			f.Fatalf("%s gives no seed", dir)
		}
		f.Add(seed)
		b.Close()
	}
}

func FuzzRoot(f *testing.F) {
	seeds(f, func(b *Bundle) []byte { return b.bytes })
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRoot(b)
		if err != nil {
			return
		}
		again, err := r.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%v\n%s\n%s", err, b, again)
		}
	})
}

func FuzzIndex(f *testing.F) {
	seeds(f, func(b *Bundle) []byte { return b.index.encode() })
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := decodeIndex(b)
		if err != nil {
			return
		}
		if again := x.encode(); !bytes.Equal(again, b) {
			t.Errorf("%q\n%q", b, again)
		}
		for i, c := range x.contents {
			if c.kind == contentPacked && c.digest.Size > 0 && x.contentAt(c.start) != i {
				t.Errorf("content %d is not found at its place", i)
			}
		}
	})
}

func FuzzBlock(f *testing.F) {
	seeds(f, func(b *Bundle) []byte { return b.stored })
	d, err := newDecoder(maxBlock, 1)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, raw := range []int64{0, 1, 100, 5000} {
			if out, err := decodeFrame(d, b, raw); err == nil && int64(len(out)) != raw {
				t.Errorf("%d bytes instead of %d", len(out), raw)
			}
		}
	})
}

func FuzzOCI(f *testing.F) {
	seeds(f, func(b *Bundle) []byte {
		x, err := readBlob(f.Context(), b.media, b.wrapper.manifest)
		if err != nil {
			f.Fatal(err)
		}
		return x
	})
	seeds(f, func(b *Bundle) []byte {
		x, err := b.media.Index(f.Context(), maxOCI)
		if err != nil {
			f.Fatal(err)
		}
		return x
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		if w, err := decodeWrapper(b); err == nil && w != nil && w.root.Size > maxRoot {
			t.Errorf("%+v", w)
		}
		list, err := decodeIndexJSON(b)
		for _, d := range list {
			if err == nil && (d.Size < 0 || d.Size > maxOCI) {
				t.Errorf("%v", d)
			}
		}
	})
}

func FuzzVolume(f *testing.F) {
	names, err := filepath.Glob(filepath.Join(fixture+"-volumes", "*.tar"))
	if err != nil || len(names) == 0 {
		f.Fatal(names, err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		name := filepath.Join(t.TempDir(), "x-001-of-002.tar")
		if err := os.WriteFile(name, b, 0o666); err != nil {
			t.Fatal(err)
		}
		m, err := openVolumes([]string{name})
		if err != nil {
			return
		}
		defer m.Close()
		for d := range m.places {
			x, err := m.Blob(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			// Blobs lie within the volume.
			if bad, err := hashBlob(t.Context(), x, d, nil); err != nil || bad != nil && bad.Offset < 0 {
				t.Errorf("%v, %v", bad, err)
			}
		}
	})
}

func FuzzReceipt(f *testing.F) {
	for _, name := range []string{"-receipt.json", "-receipt-2.json"} {
		b, err := os.ReadFile(fixture + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ReadReceipt(bytes.NewReader(b))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if _, err := r.WriteTo(&again); err != nil || !bytes.Equal(again.Bytes(), b) {
			t.Errorf("%v\n%s\n%s", err, b, &again)
		}
	})
}

func FuzzCustody(f *testing.F) {
	b, err := os.ReadFile(fixture + "-custody")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		events, err := ReadCustody(bytes.NewReader(b))
		if err == nil && len(events) != bytes.Count(b, []byte("\n")) {
			t.Errorf("%d events", len(events))
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, p := range []string{"a/b", "../a", "größe", "NUL", "a\x00"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if CheckPath(p) == nil && !filepath.IsLocal(filepath.FromSlash(p)) {
			t.Errorf("%q leaves its directory", p)
		}
	})
}

// FuzzResult is what an action's result of a bundle goes through.
func FuzzResult(f *testing.F) {
	x := map[string]string{}
	addResult(x, "bin/m", "output")
	for _, text := range x {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := action.UnmarshalResult(b)
		if err == nil {
			_ = r.Marshal()
		}
	})
}
