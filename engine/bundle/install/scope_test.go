package install_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/bundle/install"
	"github.com/airbuild/airbuild/engine/bundle/internal/bundletest"
	"github.com/airbuild/airbuild/engine/store"
)

// Results go where the importer says. The same bundle again brings them to
// another scope, and the reference says which one was the last.
func TestImportIntoScope(t *testing.T) {
	t.Parallel()
	dir, x := t.TempDir(), bundletest.Sample()
	bundletest.Make(t, dir, x.Spec(1), create.Options{})
	b := bundletest.Open(t, bundletest.Anyone, dir)
	h := bundletest.NewHost(t)
	found := func(in store.Scope) bool {
		t.Helper()
		n := 0
		for f := range b.Files("actions") {
			k, result, err := install.Key(f)
			if err != nil {
				t.Fatal(err)
			}
			if !result {
				continue
			}
			if r, err := h.Store.Result(t.Context(), in.Key(k)); err != nil {
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
		h.Scope, h.Sinks = step.into, map[string]install.Sink{}
		if done := h.Imports(b); done.Already != step.already {
			t.Errorf("into %q: %+v", step.into, done)
		}
		if found(a) != step.inA || found(store.NewScope("b")) != step.inB || found(everywhere) != step.inAllOthers {
			t.Errorf("into %q: in a %v, b %v, everywhere %v", step.into, found(a), found(store.NewScope("b")), found(everywhere))
		}
		if got, err := install.ScopeOf(h.Cache, b.Digest()); err != nil || got != step.into {
			t.Errorf("scope %q, %v; want %q", got, err, step.into)
		}
	}
	if got := install.Scopes(h.Cache); !slices.Equal(got, []store.Scope{store.NewScope("b")}) {
		t.Errorf("scopes %v", got)
	}
	if got, err := install.ScopeOf(h.Cache, strings.Repeat("0", 64)); err != nil || !got.IsZero() {
		t.Errorf("of a bundle that was not imported: %q, %v", got, err)
	}
}
