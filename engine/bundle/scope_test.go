package bundle

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/engine/store"
)

// Results go where the importer says. The same bundle again brings them to
// another scope, and the reference says which one was the last.
func TestImportIntoScope(t *testing.T) {
	t.Parallel()
	dir, x := t.TempDir(), sample()
	makeBundle(t, dir, x.spec(1), CreateOptions{})
	b := openBundle(t, anyone, dir)
	h := newHost(t)
	found := func(in store.Scope) bool {
		t.Helper()
		n := 0
		for f := range b.Files("actions") {
			k, result, err := key(f)
			if err != nil {
				t.Fatal(err)
			}
			if !result {
				continue
			}
			if r, err := h.store.Result(t.Context(), in.Key(k)); err != nil {
				t.Fatal(err)
			} else if r != nil {
				n++
			}
		}
		if n != 0 && n != 2 {
			t.Errorf("%d of 2 results", n)
		}
		return n > 0
	}
	a, everywhere := store.NewScope("a"), store.Scope{}
	for _, step := range []struct {
		into                  store.Scope
		already               bool
		inA, inB, inAllOthers bool
	}{
		{into: a, inA: true},
		{into: a, already: true, inA: true},
		{into: everywhere, inA: true, inAllOthers: true},
		{into: a, already: true, inA: true, inAllOthers: true}, // all of it is there
		{into: store.NewScope("b"), inA: true, inB: true, inAllOthers: true},
	} {
		h.scope, h.sinks = step.into, map[string]Sink{}
		if done := h.imports(b); done.Already != step.already {
			t.Errorf("into %q: %+v", step.into, done)
		}
		if found(a) != step.inA || found(store.NewScope("b")) != step.inB || found(everywhere) != step.inAllOthers {
			t.Errorf("into %q: in a %v, b %v, everywhere %v", step.into, found(a), found(store.NewScope("b")), found(everywhere))
		}
		if got, err := ScopeOf(h.cache, b.Digest()); err != nil || got != step.into {
			t.Errorf("scope %q, %v; want %q", got, err, step.into)
		}
	}
	if got := Scopes(h.cache); !slices.Equal(got, []store.Scope{store.NewScope("b")}) {
		t.Errorf("scopes %v", got)
	}
	if got, err := ScopeOf(h.cache, strings.Repeat("0", 64)); err != nil || !got.IsZero() {
		t.Errorf("of a bundle that was not imported: %q, %v", got, err)
	}
}

// Keys that do not count for bundles, or not for this series, are as good as none.
func TestAdmit(t *testing.T) {
	t.Parallel()
	dir, a, b := t.TempDir(), testKey(t, 1), testKey(t, 2)
	makeBundle(t, dir, sample().spec(1), CreateOptions{}, a, b)
	series := openBundle(t, anyone, dir).Root().Name
	why := errors.New("not for this")
	keys := []sign.PublicKey{a.Public(), b.Public()}
	for _, c := range []struct {
		name            string
		threshold       int
		bundles, series []sign.PublicKey // that count
		signers         int              // negative: refused
	}{
		{"both", 2, keys, keys, 2},
		{"one for the series", 1, keys, keys[:1], 1},
		{"one for the series, two wanted", 2, keys, keys[:1], -1},
		{"one for bundles", 1, keys[1:], keys, 1},
		{"one for bundles, two wanted", 2, keys[1:], keys, -1},
		{"none for the series", 1, keys, nil, -1},
		{"none for bundles", 1, nil, keys, -1},
	} {
		var asked []string
		trust := Trust{Keys: keys, Threshold: c.threshold, Admit: func(key sign.PublicKey, name string) error {
			asked = append(asked, name)
			if list := c.series; name == series && slices.Contains(list, key) && slices.Contains(c.bundles, key) {
				return nil
			} else if name == "" && slices.Contains(c.bundles, key) {
				return nil
			}
			return why
		}}
		got, err := Open(t.Context(), trust, dir)
		if c.signers < 0 {
			if !errors.Is(err, format.ErrUnsigned) || !errors.Is(err, why) {
				t.Errorf("%s: %v", c.name, err)
			}
			trust.AllowUnsigned = true
			got, err = Open(t.Context(), trust, dir)
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if c.signers >= 0 && len(got.Signers()) != c.signers {
			t.Errorf("%s: %d signers", c.name, len(got.Signers()))
		}
		if asked[0] != "" {
			t.Errorf("%s: the series was looked at before the signatures", c.name)
		}
		got.Close()
	}
}
