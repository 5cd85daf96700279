package bundle_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/bundle/internal/bundletest"
	"github.com/airbuild/airbuild/engine/sign"
)

// Keys that do not count for bundles, or not for this series, are as good as none.
func TestAdmit(t *testing.T) {
	t.Parallel()
	dir, a, b := t.TempDir(), bundletest.Key(t, 1), bundletest.Key(t, 2)
	bundletest.Make(t, dir, bundletest.Sample().Spec(1), create.Options{}, a, b)
	series := bundletest.Open(t, bundletest.Anyone, dir).Root().Name
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
		trust := bundle.Trust{Keys: keys, Threshold: c.threshold, Admit: func(key sign.PublicKey, name string) error {
			asked = append(asked, name)
			if list := c.series; name == series && slices.Contains(list, key) && slices.Contains(c.bundles, key) {
				return nil
			} else if name == "" && slices.Contains(c.bundles, key) {
				return nil
			}
			return why
		}}
		got, err := bundle.Open(t.Context(), trust, dir)
		if c.signers < 0 {
			if !errors.Is(err, bundle.ErrUnsigned) || !errors.Is(err, why) {
				t.Errorf("%s: %v", c.name, err)
			}
			trust.AllowUnsigned = true
			got, err = bundle.Open(t.Context(), trust, dir)
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
