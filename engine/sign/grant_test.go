package sign

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGrant(t *testing.T) {
	for _, c := range []struct {
		purposes, series string
		need             Need
		allows           bool
	}{
		{"", "", Need{Bundle, "a"}, true},
		{"any", "", Need{Purpose: Approval}, true},
		{"approval", "", Need{Purpose: Approval}, true},
		{"approval", "", Need{Bundle, ""}, false},
		{"approval", "", Need{Bundle, "a"}, false},
		{"approval", "", Need{Purpose: Release}, false},
		{"approval", "", Need{Custody, "a"}, false},
		{"bundle", "", Need{Bundle, "a"}, true},
		{"bundle", "", Need{Custody, "a"}, true},
		{"bundle", "", Need{Purpose: Approval}, false},
		{"bundle", "", Need{Purpose: Provenance}, false},
		{"bundle", "a,b", Need{Bundle, ""}, true},
		{"bundle", "a,b", Need{Bundle, "b"}, true},
		{"bundle", "a,b", Need{Bundle, "c"}, false},
		{"bundle", "a,b", Need{Custody, "c"}, false},
		{"custody", "", Need{Custody, "c"}, true},
		{"custody", "", Need{Bundle, ""}, false},
		{"custody,bundle", "a", Need{Custody, "c"}, true},
		{"custody,bundle", "a", Need{Bundle, "c"}, false},
		{"release,provenance", "", Need{Purpose: Provenance}, true},
		{"release,provenance", "", Need{Purpose: Approval}, false},
	} {
		g, err := NewGrant(split(c.purposes), split(c.series))
		if err != nil {
			t.Fatal(err)
		}
		if g.Allows(c.need) != c.allows {
			t.Errorf("%s allows %s: %v", g, c.need, !c.allows)
		}
		if more := g.with(c.need); !g.Any() && !more.Allows(c.need) {
			t.Errorf("%s with %s is %s, which does not allow it", g, c.need, more)
		}
	}
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func TestGrantMistakes(t *testing.T) {
	for _, c := range []struct{ purposes, series, want string }{
		{"deploy", "", `"deploy" is not a purpose: want approval, bundle, custody, provenance, release, or any alone`},
		{"any,bundle", "", `"any" is not a purpose`},
		{"approval", "a", "needs the purpose bundle"},
		{"any", "a", "needs the purpose bundle"},
		{"bundle", "a/b", "cannot be the name of a series"},
		{"bundle", " a", "cannot be the name of a series"},
		{"bundle", "a\nb", "cannot be the name of a series"},
		{"bundle", strings.Repeat("a", 101), "cannot be the name of a series"},
	} {
		if _, err := NewGrant(split(c.purposes), split(c.series)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %s: %v; want %s", c.purposes, c.series, err, c.want)
		}
	}
}

// The command that a refusal names gives what was refused, and takes nothing away.
func TestLimitNamesCommand(t *testing.T) {
	key := testKey(t, 1).Public()
	for _, c := range []struct {
		g    Grant
		n    Need
		want string
	}{
		{Grant{Purposes: []Purpose{Approval}}, Need{Bundle, "a"}, "airbuild key trust k --for approval,bundle"},
		{Grant{Purposes: []Purpose{Bundle}, Series: []string{"a b"}}, Need{Bundle, "c"}, "airbuild key trust k --for bundle --series 'a b,c'"},
		{Grant{Purposes: []Purpose{Bundle}, Series: []string{"a"}}, Need{Purpose: Release}, "airbuild key trust k --for bundle,release --series a"},
		{Grant{Purposes: []Purpose{Release}}, Need{Custody, "c"}, "airbuild key trust k --for custody,release"},
	} {
		err := error(&LimitError{Name: "k", Key: key, Grant: c.g, Need: c.n})
		if !strings.HasSuffix(err.Error(), ": "+c.want) || !errors.Is(err, ErrUnverified) {
			t.Errorf("%v; want %s", err, c.want)
		}
	}
}

func TestTrustFor(t *testing.T) {
	dir := t.TempDir()
	r := OpenKeyring(dir)
	key, other := testKey(t, 1).Public(), testKey(t, 2).Public()
	bundles := Grant{Purposes: []Purpose{Bundle}, Series: []string{"a"}}
	files := func(want ...string) {
		t.Helper()
		var got []string
		entries, err := os.ReadDir(filepath.Join(dir, "trusted"))
		for _, e := range entries {
			got = append(got, e.Name())
		}
		if err != nil || strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("files %q, %v; want %q", got, err, want)
		}
	}
	grant := func(want Grant) {
		t.Helper()
		if e, err := r.Find("k"); err != nil || e.Err != nil || e.Key != key || !e.Grant.Equal(want) {
			t.Errorf("%+v, %v; want %s", e, err, want)
		}
	}
	for _, step := range []struct {
		g     Grant
		files string
	}{
		{Grant{}, "k.pub"}, {bundles, "k.json"}, {Grant{Purposes: []Purpose{Approval}}, "k.json"}, {Grant{}, "k.pub"}, {bundles, "k.json"},
	} {
		if err := r.TrustFor("k", key, step.g, false); err != nil {
			t.Fatal(err)
		}
		files(step.files)
		grant(step.g)
	}
	// Trusted again, it keeps its grant.
	if err := r.Trust("k", key, false); err != nil {
		t.Fatal(err)
	}
	grant(bundles)
	if err := r.TrustFor("k", other, Grant{}, false); !errors.Is(err, ErrExists) {
		t.Errorf("another key: %v", err)
	}
	// Where both files are there, as after a crash, the one that says less counts.
	if err := os.WriteFile(r.TrustedPath("k"), key.File(), 0o666); err != nil {
		t.Fatal(err)
	}
	grant(bundles)
	if err := r.Trust("k", key, false); err != nil {
		t.Fatal(err)
	}
	files("k.json")
	if err := r.CheckFree("k", true); !errors.Is(err, ErrExists) {
		t.Errorf("a key of one's own under the name: %v", err)
	}
	// The key under another id and name is the same key.
	disguised := key
	disguised.id++
	var limit *LimitError
	if err := r.Check(disguised, Need{Purpose: Approval}); !errors.As(err, &limit) || limit.Name != "k" {
		t.Errorf("under another id: %v", err)
	}
	if err := r.Check(other, Need{Purpose: Approval}); err != nil {
		t.Errorf("a key that the keyring does not have: %v", err)
	}
	if err := r.Trust("friend", disguised, false); err != nil {
		t.Fatal(err)
	}
	if err := r.Check(key, Need{Purpose: Approval}); err != nil {
		t.Errorf("trusted for it under another name: %v", err)
	}
	if err := r.Untrust("k"); err != nil {
		t.Fatal(err)
	}
	files("friend.pub")
}

func TestVerifyAs(t *testing.T) {
	a, b, c := testKey(t, 1), testKey(t, 2), testKey(t, 3)
	e, err := NewEnvelope("text/plain", []byte("x"), a, b)
	if err != nil {
		t.Fatal(err)
	}
	keys := []PublicKey{a.Public(), b.Public(), c.Public()}
	why := errors.New("not for this")
	not := func(k *SecretKey) func(PublicKey) error {
		return func(key PublicKey) error {
			if key == k.Public() {
				return why
			}
			return nil
		}
	}
	if got, err := e.VerifyAs(2, keys, not(c)); err != nil || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := e.VerifyAs(1, keys, not(a)); err != nil || len(got) != 1 || got[0] != b.Public() {
		t.Errorf("%v, %v", got, err)
	}
	for _, threshold := range []int{2, 3} {
		got, err := e.VerifyAs(threshold, keys, not(a))
		if !errors.Is(err, ErrUnverified) || !errors.Is(err, why) || len(got) != 1 {
			t.Errorf("%d: %v, %v", threshold, got, err)
		}
	}
	if _, err := e.VerifyAs(3, keys, not(c)); !errors.Is(err, ErrUnverified) || errors.Is(err, why) {
		t.Errorf("too few: %v", err)
	}
}

// A keyring from before there were purposes works as it did; both forms of a
// trusted key are frozen.
func TestKeyringFixtures(t *testing.T) {
	key := testKey(t, 1).Public()
	dir := filepath.Join("..", "..", "testdata", "formats")
	old := OpenKeyring(filepath.Join(dir, "keyring-1"))
	keys, err := old.Known()
	if err != nil || len(keys) != 1 || keys[0] != key {
		t.Fatalf("%v, %v", keys, err)
	}
	for _, p := range Purposes() {
		if err := old.Check(key, Need{Purpose: p}); err != nil {
			t.Error(err)
		}
	}
	want := map[string]Grant{
		"approver": {Purposes: []Purpose{Approval}},
		"site":     {Purposes: []Purpose{Bundle, Release}, Series: []string{"app", "greeter-release"}},
	}
	now := OpenKeyring(filepath.Join(dir, "keyring-2"))
	if *update {
		for name, g := range want {
			if err := now.TrustFor(name, key, g, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	entries, err := now.List()
	if err != nil || len(entries) != len(want) {
		t.Fatalf("%v, %v", entries, err)
	}
	for _, e := range entries {
		text, err := encodeGrant(key, want[e.Name])
		if err != nil || e.Err != nil || e.Key != key || !e.Grant.Equal(want[e.Name]) {
			t.Errorf("%+v, %v", e, err)
		}
		if got, err := os.ReadFile(e.Path); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s: %s, %v; want %s", e.Path, got, err, text)
		}
	}
}

func FuzzGrant(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "formats", "keyring-2", "trusted", "*.json"))
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(bytes.Replace(b, []byte(`"purposes":[`), []byte(`"purposes":["deploy",`), 1))
		f.Add(append(b, b...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		key, g, err := decodeGrant(b)
		if err != nil {
			return
		}
		if g.Any() {
			t.Error("a file with no purpose was read")
		}
		if again, err := encodeGrant(key, g); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s, %v; want %s", again, err, b)
		}
	})
}
