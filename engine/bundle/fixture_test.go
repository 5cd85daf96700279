package bundle_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/bundle/custody"
	"github.com/airbuild/airbuild/engine/bundle/internal/bundletest"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/sign"
)

// fixture is a bundle of format 1. Beside it: a delta to it, the same in
// volumes, a receipt, and a custody log.
const fixture = "../../testdata/formats/bundle-1"

// writeFixture makes what the fixture was made of, in dir.
func writeFixture(t *testing.T, dir string) (key *sign.SecretKey) {
	t.Helper()
	k, x := bundletest.Key(t, 1), bundletest.FixtureTree()
	at := func(name string) string { return filepath.Join(dir, "bundle-1"+name) }
	bundletest.Make(t, at(""), x.Spec(1), create.Options{PackSize: 6000}, k)
	full := bundletest.Open(t, bundletest.Anyone, at(""))
	h := bundletest.NewHost(t)
	h.Imports(full)
	for name, features := range map[string][]string{"-receipt.json": nil, "-receipt-2.json": {format.FeaturePatches}} {
		r := h.Receipt()
		r.Features = features
		var text bytes.Buffer
		if _, err := r.WriteTo(&text); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at(name), text.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	writePatched(t, at("-patched"), k)
	x["source"]["main.go"] = "package main // changed\n"
	s := x.Spec(2)
	s.Base, s.Parents = create.BaseOfReceipt(h.Receipt()), []string{full.Digest()}
	s.Metadata, s.Optional = map[string]string{"rehearsal": "passed"}, map[string]string{"note": "ä \"quoted\" <&>\n"}
	bundletest.Make(t, at("-delta"), s, create.Options{}, k)
	if _, err := create.Volumes(t.Context(), full, at("-volumes"), create.VolumeOptions{Size: 22000}); err != nil {
		t.Fatal(err)
	}
	for i, kind := range []string{custody.Verified, custody.Imported, custody.Rebuilt} {
		e := custody.Event{Kind: kind, Subject: "sha256:" + full.Digest(), Name: "yq", Time: time.Unix(int64(1767225600+i), 0).UTC().Format(time.RFC3339), Actor: "größe"}
		signer := k
		if i == 1 {
			signer = nil
		}
		if err := custody.Append(t.Context(), at("-custody"), e, signer); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(at("-custody.lock")); err != nil {
		t.Fatal(err)
	}
	return k
}

// patchedTrees are what a patched delta is for, and what it makes of it.
func patchedTrees() (before, after bundletest.Tree) {
	before, after = bundletest.FixtureTree(), bundletest.FixtureTree()
	old := bundletest.Prose(8, 36<<10)
	bundletest.AddResult(before["actions"], "bin/large", old)
	bundletest.AddResult(after["actions"], "bin/large", old[:9<<10]+"a few bytes more"+old[9<<10:])
	return before, after
}

// writePatched makes a delta with a patch.
func writePatched(t *testing.T, dir string, k *sign.SecretKey) {
	t.Helper()
	before, after := patchedTrees()
	h := bundletest.NewHost(t)
	h.Imports(bundletest.OfSpec(t, before.Spec(1)))
	s := after.Spec(2)
	s.Base, s.Old = create.BaseOfReceipt(h.Receipt()), bundletest.OldOf(before)
	bundletest.Make(t, dir, s, create.Options{}, k)
}

// TestPatchedFixture holds that a patch that was written once makes what it
// made then.
func TestPatchedFixture(t *testing.T) {
	t.Parallel()
	before, after := patchedTrees()
	h := bundletest.NewHost(t)
	h.Imports(bundletest.OfSpec(t, before.Spec(1)))
	b := bundletest.Open(t, bundle.Trust{Keys: []sign.PublicKey{bundletest.Key(t, 1).Public()}}, fixture+"-patched")
	if b.Contents().Index.Patched() != 1 {
		t.Errorf("%d patches", b.Contents().Index.Patched())
	}
	if raw := b.Contents().Index.Encode(); int64(len(raw)) != b.Root().Index.Raw {
		t.Errorf("index: %d bytes", len(raw))
	}
	h.Imports(b)
	h.Check(after)
}

// TestFixture holds that what was written once can be read, and that the same
// is written today.
func TestFixture(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := writeFixture(t, dir)
	formats := filepath.Dir(fixture)
	now := bundletest.ReadTree(t, dir)
	if *update {
		old, _ := filepath.Glob(fixture + "*")
		for _, name := range old {
			os.RemoveAll(name)
		}
		for name, text := range now {
			to := filepath.Join(formats, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(to, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	found, err := filepath.Glob(fixture + "*")
	if err != nil || len(found) != 7 {
		t.Fatalf("%v, %v", found, err)
	}
	frozen := map[string]string{}
	for _, name := range found {
		if info, err := os.Stat(name); err != nil || !info.IsDir() {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			frozen[filepath.Base(name)] = string(b)
			continue
		}
		for sub, text := range bundletest.ReadTree(t, name) {
			frozen[filepath.Base(name)+"/"+sub] = text
		}
	}
	for name, text := range frozen {
		if now[name] != text {
			t.Errorf("%s is written in another way today", name)
		}
	}
	if len(now) != len(frozen) {
		t.Errorf("%d files are written, %d are frozen", len(now), len(frozen))
	}
	trust := bundle.Trust{Keys: []sign.PublicKey{k.Public()}}
	volumes := bundletest.Open(t, trust, fixture+"-volumes")
	full, delta := bundletest.Open(t, trust, fixture), bundletest.Open(t, trust, fixture+"-delta")
	for _, b := range []*bundle.Bundle{full, volumes, delta} {
		bundletest.Sound(t, b)
		if again, err := b.Root().Encode(); err != nil || !bytes.Equal(again, b.RootBytes()) {
			t.Errorf("root: %v", err)
		}
		if raw := b.Contents().Index.Encode(); int64(len(raw)) != b.Root().Index.Raw {
			t.Errorf("index: %d bytes", len(raw))
		}
	}
	h := bundletest.NewHost(t)
	h.Imports(volumes)
	h.Check(bundletest.FixtureTree())
	if done := h.Imports(full); !done.Already {
		t.Errorf("%+v", done)
	}
	if done := h.Imports(delta); done.Files == 0 {
		t.Errorf("%+v", done)
	}
}

var update = flag.Bool("update", false, "rewrite the fixtures")
