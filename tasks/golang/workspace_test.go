package golang

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// The modules of a workspace may require versions of each other that were
// never published.
func TestSiblingsStandIn(t *testing.T) {
	d := &downloading{cfg: &gocmd.Config{}, in: fstest.MapFS{
		"w/app/go.mod": {Data: []byte("module example.com/app\n\ngo 1.26\n\nrequire (\n\texample.com/lib v0.0.0\n\texample.com/other v1.0.0\n)\n")},
		"w/lib/go.mod": {Data: []byte("module example.com/lib\n\ngo 1.26\n")},
	}}
	text := "go 1.26\n\nuse (\n\t./app\n\t./lib\n\t./gone\n)\n"
	got, err := d.redirect("w/go.work", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(got), text) || !strings.Contains(string(got), "replace example.com/lib v0.0.0 => ./lib\n") || strings.Contains(string(got), "other") {
		t.Errorf("go.work:\n%s", got)
	}
}
