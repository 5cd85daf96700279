package store

import (
	"reflect"
	"testing"

	"github.com/airbuild/airbuild/engine/action"
)

// A result of one scope is found in no other place, and comes first in its own.
func TestScope(t *testing.T) {
	dir := t.TempDir()
	plain, a, b := open(t, dir), open(t, dir), open(t, dir)
	a.Scope, b.Scope = NewScope("a"), NewScope("b")
	key, other := action.Of([]byte("an action")), action.Of([]byte("another"))
	result := func(s *Disk, content string) *action.Result {
		return &action.Result{OutputFiles: []action.OutputFile{{Path: "out", Digest: put(t, s, content)}}}
	}
	want := func(s *Disk, key action.Digest, content string) {
		t.Helper()
		r, err := s.Result(t.Context(), key)
		switch {
		case err != nil:
			t.Error(err)
		case content == "" && r != nil:
			t.Errorf("found %+v", r)
		case content != "" && !reflect.DeepEqual(r, result(s, content)):
			t.Errorf("found %+v; want %s", r, content)
		}
	}
	record(t, a, key, result(a, "made in a"))
	want(a, key, "made in a")
	want(b, key, "")
	want(plain, key, "")
	record(t, plain, key, result(plain, "made everywhere"))
	want(a, key, "made in a")
	want(b, key, "made everywhere")
	want(plain, key, "made everywhere")
	record(t, b, other, result(b, "made in b"))
	want(a, other, "")
	want(plain, other, "")

	b.Scopes = func() []Scope { return []Scope{NewScope("a"), NewScope("b")} }
	if why := b.Withheld(t.Context(), key); why == "" {
		t.Error("nothing is said of the result in a")
	}
	if why := b.Withheld(t.Context(), other); why != "" {
		t.Errorf("its own result: %s", why)
	}
	if why := plain.Withheld(t.Context(), other); why != "" {
		t.Errorf("without scopes to look at: %s", why)
	}
	for _, c := range []struct {
		s         *Disk
		key, want action.Digest
	}{
		{plain, key, key}, {a, key, NewScope("a").Key(key)}, {b, key, key}, {a, other, other},
	} {
		if got, err := c.s.EntryKey(t.Context(), c.key); err != nil || got != c.want {
			t.Errorf("entry key %v, %v; want %v", got, err, c.want)
		}
	}
	if r, err := plain.Verify(t.Context(), nil); err != nil || !r.OK() || r.Entries != 3 {
		t.Errorf("%+v, %v", r, err)
	}
	// Its entry has the pin, and not one of the same action.
	scoped, err := a.EntryKey(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.PutPin(t.Context(), pinOf("a", scoped)); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := plain.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err := a.Prune(t.Context(), PruneOptions{MaxBytes: 1}); err != nil || r.Entries != 2 {
		t.Errorf("pruned %+v, %v", r, err)
	}
	want(a, key, "made in a")
}

func TestScopeNames(t *testing.T) {
	for _, s := range []Scope{{}, NewScope(""), NewScope("a")} {
		if got, err := ParseScope(s.String()); err != nil || got != s {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	if _, err := ParseScope("abc"); err == nil {
		t.Error("half a scope is taken")
	}
	// Frozen: entries of older stores are found by it.
	const want = "1f9de347975c9a83"
	if got := NewScope("series \"app\" signers []").Key(action.Of([]byte("x"))).Hex(); got[:len(want)] != want {
		t.Errorf("key %s; want %s…", got, want)
	}
}
