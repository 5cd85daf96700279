package bundle_test

import (
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/internal/bundletest"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	x := bundletest.Sample()
	y := x.Clone()
	y["source"]["main.go"], y["source"]["new"] = "changed", "new"
	delete(y["source"], "copy")
	delete(y, "artifacts")
	y["sbom"] = map[string]string{"sbom.json": "{}"}
	d := bundle.Diff(bundletest.OfSpec(t, x.Spec(1)), bundletest.OfSpec(t, y.Spec(2)))
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
	if same := bundle.Diff(bundletest.OfSpec(t, x.Spec(1)), bundletest.OfSpec(t, x.Spec(3))); len(same.Components) > 0 {
		t.Errorf("%+v", same)
	}
}
