package install_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/bundle/install"
	"github.com/airbuild/airbuild/engine/bundle/internal/bundletest"
)

func TestDelta(t *testing.T) {
	t.Parallel()
	x := bundletest.Sample()
	full := bundletest.OfSpec(t, x.Spec(1))
	h := bundletest.NewHost(t)
	h.Imports(full)
	y := x.Clone()
	y["source"]["main.go"] = bundletest.Prose(9, 5100)
	bundletest.AddResult(y["actions"], "bin/n", bundletest.Prose(10, 800))
	for name, base := range map[string]*create.Base{"receipt": create.BaseOfReceipt(h.Receipt()), "assume": create.BaseOfBundle(full)} {
		t.Run(name, func(t *testing.T) {
			s := y.Spec(2)
			s.Base = base
			s.Parents = []string{full.Digest()}
			delta := bundletest.OfSpec(t, s)
			if delta.Root().Carried() > full.Root().Carried()/20 {
				t.Errorf("delta has %d bytes, the full bundle %d", delta.Root().Carried(), full.Root().Carried())
			}
			bundletest.Sound(t, delta)
			stranger := bundletest.NewHost(t)
			stranger.Lacks(delta, full)
			stranger.Imports(full)
			stranger.Imports(delta)
			stranger.Check(y)
		})
	}
}

func TestDeltaOfDelta(t *testing.T) {
	t.Parallel()
	x, h := bundletest.Sample(), bundletest.NewHost(t)
	h.Imports(bundletest.OfSpec(t, x.Spec(1)))
	for n := int64(2); n < 5; n++ {
		x["source"]["main.go"] = bundletest.Prose(uint64(10+n), 5000)
		s := x.Spec(n)
		s.Base = create.BaseOfReceipt(h.Receipt())
		h.Imports(bundletest.OfSpec(t, s))
		h.Check(x)
	}
}

// TestReceiptOfWhatIsGone holds that a receipt lists only what is there, and
// that a delta is refused when its base has gone since.
func TestReceiptOfWhatIsGone(t *testing.T) {
	t.Parallel()
	x, h := bundletest.Sample(), bundletest.NewHost(t)
	full := bundletest.OfSpec(t, x.Spec(1))
	h.Imports(full)
	before := h.Receipt()
	s := x.Spec(2)
	s.Base = create.BaseOfReceipt(before)
	delta := bundletest.OfSpec(t, s)
	zip := filepath.Join(h.Dir("modules"), "example.org/x/@v/v1.0.0.zip")
	if err := os.Remove(zip); err != nil {
		t.Fatal(err)
	}
	if after := h.Receipt(); after.Contents() != before.Contents()-1 {
		t.Errorf("%d contents after %d", after.Contents(), before.Contents())
	}
	if _, err := h.TryImport(delta); !errors.Is(err, bundle.ErrBase) {
		t.Errorf("import: %v", err)
	}
}

func TestOlder(t *testing.T) {
	t.Parallel()
	x, h := bundletest.Sample(), bundletest.NewHost(t)
	one, two := bundletest.OfSpec(t, x.Spec(1)), bundletest.OfSpec(t, x.Spec(2))
	h.Imports(two)
	if _, err := h.TryImport(one); !errors.Is(err, bundle.ErrOlder) || !errors.Is(err, bundle.ErrRefused) {
		t.Errorf("older: %v", err)
	}
	if _, err := install.Bundle(t.Context(), one, install.Options{Cache: h.Cache, Sink: h.Sink, AllowOlder: true}); err != nil {
		t.Error(err)
	}
	other := x.Spec(1)
	other.Name = "other"
	h.Imports(bundletest.OfSpec(t, other))
}
