package custody_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/airbuild/airbuild/engine/bundle/custody"
	"github.com/airbuild/airbuild/engine/bundle/internal/bundletest"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/sign"
)

// fixture is a bundle of format 1; see engine/bundle.
const fixture = "../../../testdata/formats/bundle-1"

func TestCustody(t *testing.T) {
	t.Parallel()
	k := bundletest.Key(t, 1)
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
		if _, err := custody.Read(bytes.NewReader(b)); !errors.Is(err, format.ErrRefused) {
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

func FuzzCustody(f *testing.F) {
	b, err := os.ReadFile(fixture + "-custody")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		events, err := custody.Read(bytes.NewReader(b))
		if err == nil && len(events) != bytes.Count(b, []byte("\n")) {
			t.Errorf("%d events", len(events))
		}
	})
}

// A key counts for the purposes and the series that it is trusted for.
func TestLimit(t *testing.T) {
	t.Parallel()
	ring := sign.OpenKeyring(t.TempDir())
	keys := map[string]sign.PublicKey{}
	for name, grant := range map[string]sign.Grant{
		"custody": {Purposes: []sign.Purpose{sign.Custody}},
		"release": {Purposes: []sign.Purpose{sign.Release}},
		"series":  {Purposes: []sign.Purpose{sign.Bundle}, Series: []string{"site"}},
	} {
		key, err := sign.OpenKeyring(t.TempDir()).New(name, sign.NewOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.TrustFor(name, key, grant, false); err != nil {
			t.Fatal(err)
		}
		keys[name] = key
	}
	events := []custody.Event{
		{Name: "site", Signers: []sign.PublicKey{keys["custody"]}},
		{Name: "site", Signers: []sign.PublicKey{keys["release"], keys["custody"]}},
		{Name: "site", Signers: []sign.PublicKey{keys["series"]}},
		{Name: "other", Signers: []sign.PublicKey{keys["series"]}},
		{Name: "site"},
	}
	limits := custody.Limit(events, ring)
	for i, want := range []struct {
		signers int
		limited bool
	}{{1, false}, {1, true}, {1, false}, {0, true}, {0, false}} {
		if got := len(events[i].Signers); got != want.signers || (limits[i] != nil) != want.limited {
			t.Errorf("event %d: %d signers, limit %v", i, got, limits[i])
		}
	}
	if !events[1].Signers[0].SameKey(keys["custody"]) {
		t.Error("event 1: the wrong signer was taken away")
	}
}
