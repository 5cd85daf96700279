package bundle

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
)

// FuzzImport imports bundles whose hashes and signature are right and whose
// index and pack say anything, a delta's and a patch's among them. What is
// imported is what the index says, and what is refused leaves nothing.
func FuzzImport(f *testing.F) {
	for _, change := range []func(*forgery){func(*forgery) {}, withPatch(func(*forgery) {})} {
		s := newForgery(f)
		change(s)
		f.Add(s.x.Encode(), s.pack)
	}
	f.Fuzz(func(t *testing.T, indexRaw, pack []byte) {
		x, err := format.DecodeIndex(indexRaw)
		if err != nil {
			return
		}
		s := newForgery(t)
		s.x, s.indexRaw, s.pack, s.sinks = x, indexRaw, pack, true
		s.root = s.newRoot()
		for _, c := range x.Contents {
			if c.Kind == format.ContentBase {
				s.root.Base = &format.RootBase{Bundles: []string{hex.EncodeToString(make([]byte, 32))}, Contents: 1, Bytes: c.Digest.Size}
			}
			if c.Kind == format.ContentPatched {
				s.root.Features.Critical = []string{format.FeaturePatches}
			}
		}
		s.write()
		h := newHost(t)
		if s.take(h) != nil {
			h.untouched()
			return
		}
		for _, p := range x.Components {
			sink, err := h.sink(p.Name)
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range p.Files {
				file.Digest = x.Contents[file.Content].Digest
				if ok, err := sink.Has(t.Context(), file, false); !ok || err != nil {
					t.Errorf("%s %q was imported, and is not there: %v", p.Name, file.Path, err)
				}
			}
		}
	})
}

// FuzzJournal goes on with an import that was interrupted. Whatever its journal
// says, nothing is missing at the end, or the import says so.
func FuzzJournal(f *testing.F) {
	x := fixtureTree()
	b := bundleOf(f, x.spec(1))
	f.Add([]byte("pack 0\n"))
	f.Add([]byte("pack 0\npack 1\n"))
	f.Add([]byte("pack 99"))
	f.Add([]byte("sink source \"/elsewhere\"\n"))
	f.Fuzz(func(t *testing.T, rest []byte) {
		h := newHost(t)
		text := journalMagic + "\n"
		for name := range x {
			s, err := h.sink(name)
			if err != nil {
				t.Fatal(err)
			}
			text += fmt.Sprintf("sink %s %q\n", name, s.ID())
		}
		if err := os.MkdirAll(journalDir(h.cache), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(journalDir(h.cache), b.Digest()), append([]byte(text), rest...), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := h.tryImport(b); err == nil {
			h.check(x)
		}
	})
}

// FuzzRecord goes on with a creation that was interrupted. Whatever its record
// says, the bundle is the one that it would have been.
func FuzzRecord(f *testing.F) {
	s := fixtureTree().spec(1)
	whole := f.TempDir()
	want := makeBundle(f, whole, s, CreateOptions{PackSize: 6000})
	b := openBundle(f, anyone, whole)
	f.Add([]byte("{}\n"))
	for n := range want.Packs {
		d, err := b.src.Pack(n)
		if err != nil {
			f.Fatal(err)
		}
		recipe := b.src.Index.Recipe(n)
		m := madePack{Recipe: hex.EncodeToString(recipe[:]), Digest: d.String()}
		first, end := b.src.Index.BlocksOf(n)
		for _, k := range b.src.Index.Blocks[first:end] {
			m.Blocks = append(m.Blocks, madeBlock{k.Stored, k.Method == format.BlockZstd})
		}
		line, err := json.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append(line, '\n'))
	}
	blobs, err := filepath.Glob(filepath.Join(whole, "blobs", "sha256", "*"))
	if err != nil || len(blobs) == 0 {
		f.Fatal(blobs, err)
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o777); err != nil {
			t.Fatal(err)
		}
		for _, name := range blobs {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "blobs", "sha256", filepath.Base(name)), b, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, recordName), record, 0o666); err != nil {
			t.Fatal(err)
		}
		got := makeBundle(t, dir, s, CreateOptions{PackSize: 6000})
		if a, b := must(got.Encode()), must(want.Encode()); action.Of(a) != action.Of(b) {
			t.Errorf("%s\n%s", a, b)
		}
	})
}
