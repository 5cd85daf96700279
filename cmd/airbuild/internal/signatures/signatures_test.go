package signatures

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/engine/sign"
)

func TestExitCode(t *testing.T) {
	for _, test := range []struct {
		err  error
		want int
	}{
		{notSigned{"a"}, exit.Unverified},
		{notEnough{}, exit.Unverified},
		{fmt.Errorf("a: %w", sign.ErrUnverified), exit.Unverified},
		{fmt.Errorf("a: %w", fs.ErrNotExist), exit.Usage},
		{fs.ErrPermission, exit.Failed},
	} {
		if got := ExitCode(test.err); got != test.want {
			t.Errorf("%v: got %d, want %d", test.err, got, test.want)
		}
	}
}

func TestIsKeyFile(t *testing.T) {
	for arg, want := range map[string]bool{"site": false, "site.pub": true, "site.PUB": true, "./site": true, `a\site`: true, "site.key": false} {
		if got := IsKeyFile(arg); got != want {
			t.Errorf("%s: got %v", arg, got)
		}
	}
}

func TestGrantOf(t *testing.T) {
	release := sign.Entry{Grant: sign.Grant{Purposes: []sign.Purpose{sign.Release}}}
	bundles := sign.Entry{Grant: sign.Grant{Purposes: []sign.Purpose{sign.Bundle}}}
	for _, test := range []struct {
		name             string
		purposes, series []string
		old              sign.Entry
		want             sign.Grant
	}{
		{"a new key", nil, nil, sign.Entry{}, sign.Grant{}},
		{"kept", nil, nil, release, release.Grant},
		{"replaced", []string{"bundle"}, nil, release, bundles.Grant},
		{"series are added", nil, []string{"a"}, bundles, sign.Grant{Purposes: []sign.Purpose{sign.Bundle}, Series: []string{"a"}}},
		{"any again", []string{sign.AnyPurpose}, nil, release, sign.Grant{}},
	} {
		got, err := GrantOf(test.purposes, test.series, test.old)
		if err != nil || !got.Equal(test.want) {
			t.Errorf("%s: got %v, %v, want %v", test.name, got, err, test.want)
		}
	}
	if g, err := GrantOf(nil, []string{"a"}, release); err == nil {
		t.Errorf("series of releases: got %v", g)
	}
}

func TestDistinct(t *testing.T) {
	var keys []sign.PublicKey
	for _, name := range []string{"a", "b"} {
		key, err := sign.OpenKeyring(t.TempDir()).New(name, sign.NewOptions{})
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	got := Distinct([]sign.PublicKey{keys[1], keys[0], keys[1], keys[0]})
	if len(got) != 2 || !got[0].SameKey(keys[1]) || !got[1].SameKey(keys[0]) {
		t.Errorf("got %v", got)
	}
}

func TestSignaturesOf(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"both", "both.minisig", "both.dsse.json", "one", "one.dsse.json", "none"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string][]string{
		"both": {"both.minisig", "both.dsse.json"}, "one": {"one.dsse.json"}, "none": nil,
		"one.dsse.json": {"one.dsse.json"}, // an envelope is its own
	} {
		var got []string
		for _, found := range signaturesOf(filepath.Join(dir, name)) {
			got = append(got, filepath.Base(found))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestKeyToTrust(t *testing.T) {
	owner := sign.OpenKeyring(t.TempDir())
	key, err := owner.New("site", sign.NewOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ring := sign.OpenKeyring(t.TempDir())
	for _, test := range []struct{ arg, as, want string }{
		{owner.PublicPath("site"), "", "site"},
		{owner.PublicPath("site"), "factory", "factory"},
	} {
		got, name, err := KeyToTrust(ring, test.arg, test.as)
		if err != nil || !got.SameKey(key) || name != test.want {
			t.Errorf("%+v: got %s, %v", test, name, err)
		}
	}
	if _, _, err := KeyToTrust(ring, "site", ""); exitCode(err) != exit.Usage {
		t.Errorf("a name that is not trusted: %v", err)
	}
	if err := ring.TrustFor("site", key, sign.Grant{}, false); err != nil {
		t.Fatal(err)
	}
	if got, name, err := KeyToTrust(ring, "site", ""); err != nil || !got.SameKey(key) || name != "site" {
		t.Errorf("a trusted name: %s, %v", name, err)
	}
	if _, _, err := KeyToTrust(ring, owner.SecretPath("site"), ""); exitCode(err) != exit.Unverified {
		t.Errorf("a secret key: %v", err)
	}
}

func exitCode(err error) int {
	code, _ := exit.Code(err)
	return code
}
