package format_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/internal/bundletest"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/bundle/internal/media"
)

// fixture is a bundle of format 1; see engine/bundle.
const fixture = "../../../../testdata/formats/bundle-1"

// seeds are the parts of real bundles: those of the fixture and of a sample.
func seeds(f *testing.F, part func(b *bundle.Bundle) []byte) {
	f.Helper()
	for _, dir := range []string{fixture, fixture + "-delta", fixture + "-patched"} {
		b, err := bundle.Open(f.Context(), bundletest.Anyone, dir)
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
	seeds(f, func(b *bundle.Bundle) []byte { return b.RootBytes() })
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := format.DecodeRoot(b)
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
	seeds(f, func(b *bundle.Bundle) []byte { return b.Contents().Index.Encode() })
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := format.DecodeIndex(b)
		if err != nil {
			return
		}
		if again := x.Encode(); !bytes.Equal(again, b) {
			t.Errorf("%q\n%q", b, again)
		}
		for i, c := range x.Contents {
			if c.Kind == format.ContentPacked && c.Digest.Size > 0 && x.ContentAt(c.Start) != i {
				t.Errorf("content %d is not found at its place", i)
			}
		}
	})
}

func FuzzBlock(f *testing.F) {
	seeds(f, func(b *bundle.Bundle) []byte { return b.IndexBlob() })
	d, err := format.NewDecoder(format.MaxBlock, 1)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, raw := range []int64{0, 1, 100, 5000} {
			if out, err := format.DecodeFrame(d, b, raw); err == nil && int64(len(out)) != raw {
				t.Errorf("%d bytes instead of %d", len(out), raw)
			}
		}
	})
}

func FuzzOCI(f *testing.F) {
	seeds(f, func(b *bundle.Bundle) []byte {
		x, err := media.Read(f.Context(), b.Media(), b.LayoutBlobs()[0])
		if err != nil {
			f.Fatal(err)
		}
		return x
	})
	seeds(f, func(b *bundle.Bundle) []byte {
		x, err := b.Media().Index(f.Context(), format.MaxOCI)
		if err != nil {
			f.Fatal(err)
		}
		return x
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		if w, err := format.DecodeManifest(b); err == nil && w != nil && w.Root.Size > format.MaxRoot {
			t.Errorf("%+v", w)
		}
		list, err := format.DecodeIndexJSON(b)
		for _, d := range list {
			if err == nil && (d.Size < 0 || d.Size > format.MaxOCI) {
				t.Errorf("%v", d)
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
		r, err := bundle.ReadReceipt(bytes.NewReader(b))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if _, err := r.WriteTo(&again); err != nil || !bytes.Equal(again.Bytes(), b) {
			t.Errorf("%v\n%s\n%s", err, b, &again)
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, p := range []string{"a/b", "../a", "größe", "NUL", "a\x00"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if format.CheckPath(p) == nil && !filepath.IsLocal(filepath.FromSlash(p)) {
			t.Errorf("%q leaves its directory", p)
		}
	})
}
