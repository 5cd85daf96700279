package bundle

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine/bundle/internal/format"
)

// bundleOf makes an unsigned bundle of x and opens it.
func bundleOf(t testing.TB, s Spec) *Bundle {
	t.Helper()
	dir := t.TempDir()
	makeBundle(t, dir, s, CreateOptions{PackSize: 500000})
	return openBundle(t, anyone, dir)
}

func (h *host) receipt() *format.Receipt {
	h.t.Helper()
	r, err := MakeReceipt(context.Background(), h.cache, h.sink, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := r.WriteTo(&b); err != nil {
		h.t.Fatal(err)
	}
	again, err := ReadReceipt(bytes.NewReader(b.Bytes()))
	if err != nil {
		h.t.Fatal(err)
	}
	var c bytes.Buffer
	if _, err := again.WriteTo(&c); err != nil || !bytes.Equal(b.Bytes(), c.Bytes()) {
		h.t.Errorf("receipt changes when it is read and written: %v", err)
	}
	return again
}

func TestDelta(t *testing.T) {
	t.Parallel()
	x := sample()
	full := bundleOf(t, x.spec(1))
	h := newHost(t)
	h.imports(full)
	y := x.clone()
	y["source"]["main.go"] = prose(9, 5100)
	addResult(y["actions"], "bin/n", prose(10, 800))
	for name, base := range map[string]*Base{"receipt": BaseOfReceipt(h.receipt()), "assume": BaseOfBundle(full)} {
		t.Run(name, func(t *testing.T) {
			s := y.spec(2)
			s.Base = base
			s.Parents = []string{full.Digest()}
			delta := bundleOf(t, s)
			if delta.src.Root.Carried() > full.src.Root.Carried()/20 {
				t.Errorf("delta has %d bytes, the full bundle %d", delta.src.Root.Carried(), full.src.Root.Carried())
			}
			if r, err := delta.Verify(t.Context(), VerifyOptions{Deep: true}); err != nil || !r.OK() {
				t.Errorf("%+v, %v", r, err)
			}
			stranger := newHost(t)
			_, err := stranger.tryImport(delta)
			if !errors.Is(err, format.ErrBase) || !strings.Contains(err.Error(), full.Digest()) {
				t.Errorf("wrong base: %v", err)
			}
			if _, err := os.Stat(filepath.Join(stranger.cache, "cas", "00")); err == nil || len(readTree(t, stranger.work)) > 0 {
				t.Error("a wrong base was noticed after something was copied")
			}
			stranger.imports(full)
			stranger.imports(delta)
			stranger.check(y)
		})
	}
}

func TestDeltaOfDelta(t *testing.T) {
	t.Parallel()
	x, h := sample(), newHost(t)
	h.imports(bundleOf(t, x.spec(1)))
	for n := int64(2); n < 5; n++ {
		x["source"]["main.go"] = prose(uint64(10+n), 5000)
		s := x.spec(n)
		s.Base = BaseOfReceipt(h.receipt())
		h.imports(bundleOf(t, s))
		h.check(x)
	}
}

// TestReceiptOfWhatIsGone holds that a receipt lists only what is there, and
// that a delta is refused when its base has gone since.
func TestReceiptOfWhatIsGone(t *testing.T) {
	t.Parallel()
	x, h := sample(), newHost(t)
	full := bundleOf(t, x.spec(1))
	h.imports(full)
	before := h.receipt()
	s := x.spec(2)
	s.Base = BaseOfReceipt(before)
	delta := bundleOf(t, s)
	zip := filepath.Join(h.dir("modules"), "example.org/x/@v/v1.0.0.zip")
	if err := os.Remove(zip); err != nil {
		t.Fatal(err)
	}
	if after := h.receipt(); after.Contents() != before.Contents()-1 {
		t.Errorf("%d contents after %d", after.Contents(), before.Contents())
	}
	if _, err := h.tryImport(delta); !errors.Is(err, format.ErrBase) {
		t.Errorf("import: %v", err)
	}
}

func TestOlder(t *testing.T) {
	t.Parallel()
	x, h := sample(), newHost(t)
	one, two := bundleOf(t, x.spec(1)), bundleOf(t, x.spec(2))
	h.imports(two)
	if _, err := h.tryImport(one); !errors.Is(err, format.ErrOlder) || !errors.Is(err, format.ErrRefused) {
		t.Errorf("older: %v", err)
	}
	if _, err := Import(t.Context(), one, ImportOptions{Cache: h.cache, Sink: h.sink, AllowOlder: true}); err != nil {
		t.Error(err)
	}
	other := x.spec(1)
	other.Name = "other"
	h.imports(bundleOf(t, other))
}

func TestDiff(t *testing.T) {
	t.Parallel()
	x := sample()
	y := x.clone()
	y["source"]["main.go"], y["source"]["new"] = "changed", "new"
	delete(y["source"], "copy")
	delete(y, "artifacts")
	y["sbom"] = map[string]string{"sbom.json": "{}"}
	d := Diff(bundleOf(t, x.spec(1)), bundleOf(t, y.spec(2)))
	var got []string
	for _, c := range d.Components {
		got = append(got, c.Name)
		for _, f := range c.Files {
			switch {
			case f.Old == nil:
				got = append(got, "+"+f.New.Path)
			case f.New == nil:
				got = append(got, "-"+f.Old.Path)
			default:
				got = append(got, "~"+f.New.Path)
			}
		}
	}
	want := "artifacts -m_linux_amd64 sbom +sbom.json source -copy ~main.go +new"
	if strings.Join(got, " ") != want {
		t.Errorf("%v", got)
	}
	if !d.Components[0].Removed || !d.Components[1].Added {
		t.Errorf("%+v", d.Components)
	}
	if same := Diff(bundleOf(t, x.spec(1)), bundleOf(t, x.spec(3))); len(same.Components) > 0 {
		t.Errorf("%+v", same)
	}
}
