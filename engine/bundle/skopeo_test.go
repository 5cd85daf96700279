package bundle_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/bundle/internal/bundletest"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/sign"
)

// TestSkopeo holds that skopeo carries a bundle with its signatures, in all the
// ways that it has without a registry.
func TestSkopeo(t *testing.T) {
	t.Parallel()
	skopeo, err := exec.LookPath("skopeo")
	if err != nil {
		t.Skip("there is no skopeo here")
	}
	run := func(args ...string) []byte {
		t.Helper()
		out, err := exec.Command(skopeo, append([]string{"--insecure-policy"}, args...)...).Output()
		if err != nil {
			t.Fatalf("skopeo %v: %v", args, err)
		}
		return out
	}
	dir, k, x := t.TempDir(), bundletest.Key(t, 1), bundletest.Sample()
	from, through := filepath.Join(dir, "from"), filepath.Join(dir, "through")
	bundletest.Make(t, from, x.Spec(1), create.Options{PackSize: 500000}, k)
	b := bundletest.Open(t, bundle.Trust{Keys: []sign.PublicKey{k.Public()}}, from)
	if got := run("inspect", "--raw", "--config", "oci:"+from+":yq"); !bytes.Equal(got, b.RootBytes()) {
		t.Errorf("skopeo inspect --raw --config: %.200s", got)
	}
	manifest, err := os.ReadFile(filepath.Join(from, filepath.FromSlash(format.BlobPath(b.LayoutBlobs()[0]))))
	if err != nil {
		t.Fatal(err)
	}
	if got := run("inspect", "--raw", "oci:"+from+":yq"); !bytes.Equal(got, manifest) {
		t.Errorf("skopeo inspect --raw: %.200s", got)
	}
	run("copy", "oci:"+from+":yq", "dir:"+through)
	run("copy", "dir:"+through, "oci:"+filepath.Join(dir, "to")+":any")
	run("copy", "oci:"+from+":yq", "oci-archive:"+filepath.Join(dir, "a.tar")+":yq")
	run("copy", "oci-archive:"+filepath.Join(dir, "a.tar")+":yq", "oci:"+filepath.Join(dir, "again"))
	for _, to := range []string{"to", "again"} {
		c := bundletest.Open(t, bundle.Trust{Keys: []sign.PublicKey{k.Public()}}, filepath.Join(dir, to))
		r, err := c.Verify(t.Context(), bundle.VerifyOptions{Deep: true})
		if err != nil || !r.OK() || c.Digest() != b.Digest() || len(r.Custody) != 1 {
			t.Errorf("%s: %+v, %v", to, r, err)
		}
		bundletest.SameTree(t, filepath.Join(from, "blobs"), filepath.Join(dir, to, "blobs"))
	}
}
