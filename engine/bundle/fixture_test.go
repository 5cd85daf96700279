package bundle

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine/bundle/custody"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/sign"
)

// fixture is a bundle of format 1. Beside it: a delta to it, the same in
// volumes, a receipt, and a custody log.
const fixture = "../../testdata/formats/bundle-1"

func fixtureTree() tree {
	x := tree{
		"airbuild/linux-amd64": {"airbuild*": "#!/bin/sh\n# stands for a program\n"},
		"source":               {"go.mod": "module example.org/m\n", "main.go": prose(1, 3000), "größe.txt": "", "run.sh*": "exit 0\n"},
		"modules":              {"example.org/x/@v/v1.0.0.zip": "PK\x03\x04" + noise(2, 5000)},
		"actions":              {},
	}
	addResult(x["actions"], "bin/m", prose(3, 4000))
	return x
}

// writeFixture makes what the fixture was made of, in dir.
func writeFixture(t *testing.T, dir string) (key *sign.SecretKey) {
	t.Helper()
	k, x := testKey(t, 1), fixtureTree()
	at := func(name string) string { return filepath.Join(dir, "bundle-1"+name) }
	makeBundle(t, at(""), x.spec(1), CreateOptions{PackSize: 6000}, k)
	full := openBundle(t, anyone, at(""))
	h := newHost(t)
	h.imports(full)
	for name, features := range map[string][]string{"-receipt.json": nil, "-receipt-2.json": {format.FeaturePatches}} {
		r := h.receipt()
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
	s := x.spec(2)
	s.Base, s.Parents = BaseOfReceipt(h.receipt()), []string{full.Digest()}
	s.Metadata, s.Optional = map[string]string{"rehearsal": "passed"}, map[string]string{"note": "ä \"quoted\" <&>\n"}
	makeBundle(t, at("-delta"), s, CreateOptions{}, k)
	if _, err := WriteVolumes(t.Context(), full, at("-volumes"), VolumeOptions{Size: 22000}); err != nil {
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
func patchedTrees() (before, after tree) {
	before, after = fixtureTree(), fixtureTree()
	old := prose(8, 36<<10)
	addResult(before["actions"], "bin/large", old)
	addResult(after["actions"], "bin/large", old[:9<<10]+"a few bytes more"+old[9<<10:])
	return before, after
}

// writePatched makes a delta with a patch.
func writePatched(t *testing.T, dir string, k *sign.SecretKey) {
	t.Helper()
	before, after := patchedTrees()
	h := newHost(t)
	h.imports(bundleOf(t, before.spec(1)))
	s := after.spec(2)
	s.Base, s.Old = BaseOfReceipt(h.receipt()), oldOf(before)
	makeBundle(t, dir, s, CreateOptions{}, k)
}

// TestPatchedFixture holds that a patch that was written once makes what it
// made then.
func TestPatchedFixture(t *testing.T) {
	t.Parallel()
	before, after := patchedTrees()
	h := newHost(t)
	h.imports(bundleOf(t, before.spec(1)))
	b := openBundle(t, Trust{Keys: []sign.PublicKey{testKey(t, 1).Public()}}, fixture+"-patched")
	if b.src.Index.Patched() != 1 {
		t.Errorf("%d patches", b.src.Index.Patched())
	}
	if raw := b.src.Index.Encode(); int64(len(raw)) != b.src.Root.Index.Raw {
		t.Errorf("index: %d bytes", len(raw))
	}
	h.imports(b)
	h.check(after)
}

// TestFixture holds that what was written once can be read, and that the same
// is written today.
func TestFixture(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := writeFixture(t, dir)
	formats := filepath.Dir(fixture)
	now := readTree(t, dir)
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
		for sub, text := range readTree(t, name) {
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
	trust := Trust{Keys: []sign.PublicKey{k.Public()}}
	volumes := openBundle(t, trust, fixture+"-volumes")
	full, delta := openBundle(t, trust, fixture), openBundle(t, trust, fixture+"-delta")
	for _, b := range []*Bundle{full, volumes, delta} {
		if r, err := b.Verify(t.Context(), VerifyOptions{Deep: true}); err != nil || !r.OK() {
			t.Errorf("%s: %+v, %v", b.src.Media.Name(), r, err)
		}
		if again, err := b.src.Root.Encode(); err != nil || !bytes.Equal(again, b.bytes) {
			t.Errorf("root: %v", err)
		}
		if raw := b.src.Index.Encode(); int64(len(raw)) != b.src.Root.Index.Raw {
			t.Errorf("index: %d bytes", len(raw))
		}
	}
	h := newHost(t)
	h.imports(volumes)
	h.check(fixtureTree())
	if done := h.imports(full); !done.Already {
		t.Errorf("%+v", done)
	}
	if done := h.imports(delta); done.Files == 0 {
		t.Errorf("%+v", done)
	}
}

func TestCustody(t *testing.T) {
	t.Parallel()
	k := testKey(t, 1)
	text, err := os.ReadFile(fixture + "-custody")
	if err != nil {
		t.Fatal(err)
	}
	events, err := custody.Read(bytes.NewReader(text), k.Public())
	if err != nil || len(events) != 3 || len(events[0].Signers) != 1 || len(events[1].Signers) != 0 || len(events[2].Signers) != 1 {
		t.Fatalf("%+v, %v", events, err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	bad := map[string][]byte{
		"one taken away": append(append([]byte{}, lines[0]...), lines[2]...),
		"the first gone": append(append([]byte{}, lines[1]...), lines[2]...),
		"turned round":   bytes.Join([][]byte{lines[0], lines[2], lines[1]}, nil),
		"twice":          bytes.Join([][]byte{lines[0], lines[0]}, nil),
		"cut off":        text[:len(text)-3],
		"blank":          append([]byte("\n"), text...),
		"space":          append([]byte(" "), text...),
	}
	for name, b := range bad {
		if _, err := custody.Read(bytes.NewReader(b)); !errorsIsRefused(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range text {
		b := bytes.Clone(text)
		b[i] ^= 1
		got, err := custody.Read(bytes.NewReader(b), k.Public())
		if err == nil && len(got) == 3 && len(got[0].Signers) == 1 && len(got[2].Signers) == 1 && i < len(lines[0])+len(lines[1]) {
			t.Errorf("byte %d was changed and nobody noticed", i)
		}
	}
	// A crash cut the last line off: the next event takes its place.
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, text[:len(text)-5], 0o666); err != nil {
		t.Fatal(err)
	}
	if err := custody.Append(t.Context(), file, custody.Event{Kind: custody.Verified, Time: "2026-01-01T00:00:00Z"}, k); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if events, err := custody.Read(bytes.NewReader(b), k.Public()); err != nil || len(events) != 3 || events[2].Kind != custody.Verified {
		t.Errorf("%+v, %v", events, err)
	}
}
