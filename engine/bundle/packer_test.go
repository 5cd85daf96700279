package bundle

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/internal/ctxio"
)

// Readers of a store end with the context that they were opened with. One whose
// content goes over several packs must be read to its end.
func TestPackContentsOfContexts(t *testing.T) {
	text := noise(3, 300<<10)
	in := Input{Path: "big", Open: func(ctx context.Context) (io.ReadCloser, error) {
		return io.NopCloser(ctxio.Reader(ctx, strings.NewReader(text))), nil
	}}
	spec := Spec{Name: "yq", Components: []Component{{Name: "extra/data", Files: []Input{in, input("small", "x")}}}}
	r, err := Create(t.Context(), t.TempDir(), spec, CreateOptions{PackSize: 64 << 10})
	if err != nil || len(r.Packs) < 3 {
		t.Fatalf("%v, %v", r, err)
	}
}
