package pipelines

import (
	"reflect"
	"testing"
)

func TestBundle(t *testing.T) {
	f := project(`
stage "make" "a" {
  output = "a"
}
stage "make" "b" {
  matrix = { os = ["x", "y"] }
  output = "b-${matrix.os}"
}
pipeline "release" {
  stages = [stage.b]
}
locals {
  hosts = ["linux/amd64", "linux/arm64"]
}
bundle "site" {
  description = "North"
  stages      = [pipeline.release, stage.a]
  hosts       = local.hosts
  airbuild    = { "linux/arm64" = "dist/airbuild-arm64" }
  sign        = ["ann", "bob"]
  volume_size = "650MB"
  history     = true
  exclude     = ["big/**"]

  extra "wheels" {
    files = ["*.whl"]
    dir   = "../wheels"
  }
}
bundle "small" {
  stages      = stage.b["x"]
  volume_size = "none"
}
`)
	plan := f.mustLoad(t)
	site := plan.Bundle("site")
	if site == nil || plan.Bundle("nowhere") != nil {
		t.Fatalf("bundles %+v", plan.Bundles)
	}
	if got := names(plan, site.Steps); !reflect.DeepEqual(got, []string{"a", "b[x]", "b[y]"}) {
		t.Errorf("steps %q", got)
	}
	got := *site
	got.Steps, got.Range = nil, plan.Bundle("small").Range
	got.Extra[0].Range = got.Range
	want := Bundle{
		Name: "site", Description: "North", Stages: []string{"b", "a"},
		Hosts:    []string{"linux/amd64", "linux/arm64"},
		Airbuild: map[string]string{"linux/arm64": "dist/airbuild-arm64"},
		Sign:     []string{"ann", "bob"}, VolumeSize: 650e6, History: true,
		Exclude: []string{"big/**"},
		Extra:   []Extra{{Name: "wheels", Dir: "../wheels", Patterns: []string{"*.whl"}, Range: got.Range}},
		Range:   got.Range,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("bundle\n%+v, want\n%+v", got, want)
	}
	small := plan.Bundle("small")
	if got := names(plan, small.Steps); !reflect.DeepEqual(got, []string{"b[x]"}) || small.VolumeSize != NoVolumes {
		t.Errorf("steps %q, volume size %d", got, small.VolumeSize)
	}
}
