package bundle_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/bundle/custody"
	"github.com/airbuild/airbuild/engine/bundle/install"
	"github.com/airbuild/airbuild/engine/bundle/internal/bundletest"
	"github.com/airbuild/airbuild/engine/sign"
)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, pack := range []int64{0, 300000, 1000001} {
		t.Run(fmt.Sprint(pack), func(t *testing.T) {
			dir, k, x := t.TempDir(), bundletest.Key(t, 1), bundletest.Sample()
			bundletest.Make(t, dir, x.Spec(1), create.Options{PackSize: pack}, k)
			b := bundletest.Open(t, bundle.Trust{Keys: []sign.PublicKey{k.Public()}}, dir)
			r, err := b.Verify(t.Context(), bundle.VerifyOptions{Deep: true})
			if err != nil || !r.OK() || len(r.Custody) != 1 || r.Custody[0].Kind != custody.Created || len(r.Custody[0].Signers) != 1 {
				t.Fatalf("%+v, %v", r, err)
			}
			for c, files := range x {
				for p, want := range files {
					p, executable := strings.CutSuffix(p, "*")
					f, ok := b.Find(c, p)
					if !ok || f.Executable != executable {
						t.Fatalf("%s %s: %v %+v", c, p, ok, f)
					}
					rd, err := b.OpenFile(t.Context(), f)
					if err != nil {
						t.Fatal(err)
					}
					got, err := io.ReadAll(rd)
					if err != nil || string(got) != want {
						t.Errorf("%s %s: %d bytes, %v", c, p, len(got), err)
					}
					rd.Close()
				}
			}
			h := bundletest.NewHost(t)
			if done := h.Imports(b); done.Files == 0 || done.Already {
				t.Errorf("%+v", done)
			}
			h.Check(x)
			if done := h.Imports(b); !done.Already || done.Files != 0 {
				t.Errorf("again: %+v", done)
			}
			list, err := install.List(h.Cache)
			if err != nil || len(list) != 1 || list[0].Digest != b.Digest() {
				t.Errorf("%+v, %v", list, err)
			}
			log, err := os.ReadFile(custody.File(h.Cache))
			if err != nil {
				t.Fatal(err)
			}
			events, err := custody.Read(bytes.NewReader(log))
			if err != nil || len(events) != 1 || events[0].Subject != "sha256:"+b.Digest() {
				t.Errorf("%+v, %v", events, err)
			}
		})
	}
}
