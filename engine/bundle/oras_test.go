package bundle_test

import (
	"io"
	"log"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/bundle/internal/bundletest"
	"github.com/airbuild/airbuild/engine/sign"
)

// TestOras holds that oras carries a bundle with its signatures: to another
// layout, and through a registry.
func TestOras(t *testing.T) {
	t.Parallel()
	oras, err := exec.LookPath("oras")
	if err != nil {
		t.Skip("there is no oras here")
	}
	dir, k, x := t.TempDir(), bundletest.Key(t, 1), bundletest.Sample()
	run := func(args ...string) {
		t.Helper()
		c := exec.Command(oras, args...)
		c.Dir = dir
		c.Env = append(c.Environ(), "HOME="+dir)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("oras %v: %v\n%s", args, err, out)
		}
	}
	bundletest.Make(t, filepath.Join(dir, "from"), x.Spec(1), create.Options{PackSize: 500000}, k)
	b := bundletest.Open(t, bundle.Trust{Keys: []sign.PublicKey{k.Public()}}, filepath.Join(dir, "from"))
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	at := strings.TrimPrefix(server.URL, "http://") + "/bundles/yq:yq"
	run("copy", "--from-oci-layout", "--to-oci-layout", "from:yq", "to:any")
	run("copy", "--from-oci-layout", "--to-plain-http", "from:yq", at)
	run("copy", "--from-plain-http", "--to-oci-layout", at, "again:yq")
	for _, to := range []string{"to", "again"} {
		c := bundletest.Open(t, bundle.Trust{Keys: []sign.PublicKey{k.Public()}}, filepath.Join(dir, to))
		r, err := c.Verify(t.Context(), bundle.VerifyOptions{Deep: true})
		if err != nil || !r.OK() || c.Digest() != b.Digest() || len(r.Custody) != 1 {
			t.Errorf("%s: %+v, %v", to, r, err)
		}
		bundletest.SameTree(t, filepath.Join(dir, "from", "blobs"), filepath.Join(dir, to, "blobs"))
	}
}
