package dsl

import (
	"testing"
	"testing/fstest"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// project makes a file system of an Airbuildfile and other files.
func project(airbuildfile string, files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{"Airbuildfile": {Data: []byte(airbuildfile)}}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

// testInputs are inputs of a host with git and no environment.
func testInputs() *Inputs {
	return &Inputs{
		HostOS: "linux", HostArch: "amd64",
		Git: func([]string) (*Git, error) {
			return &Git{
				Commit: "0123456789abcdef0123456789abcdef01234567", Short: "0123456", Branch: "main",
				Tag: "v1.2.3", Describe: "v1.2.3-4-g0123456", Dirty: true,
				Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600)),
			}, nil
		},
	}
}

// evalOK loads and evaluates a file that has no mistakes.
func evalOK(t *testing.T, airbuildfile string, in *Inputs) *Scope {
	t.Helper()
	m, diags := Load(project(airbuildfile, nil), "Airbuildfile")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	s, diags := m.Eval(in)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return s
}

func TestEval(t *testing.T) {
	s := evalOK(t, `
variable "version" {
  type    = string
  default = git.describe
}
locals {
  b    = "${local.a}!"
  a    = upper(var.version)
  cell = { "linux/amd64,yq" = 7 }
}
stage "exec" "x" {
  a = stage.bin["linux/amd64", "yq"].path
  b = "${stage.bin["linux/${var.arch}","yq"].path}"
}
`, testInputs())
	if got := s.Locals.GetAttr("b").AsString(); got != "V1.2.3-4-G0123456!" {
		t.Errorf("local.b = %s", got)
	}
	if got := s.Source.GetAttr("time").AsString(); got != "2026-01-02T02:04:05Z" {
		t.Errorf("source.time = %s", got)
	}
	bin := cty.ObjectVal(map[string]cty.Value{"bin": cty.ObjectVal(map[string]cty.Value{
		"linux/amd64,yq": cty.ObjectVal(map[string]cty.Value{"path": cty.StringVal("dist/yq")}),
	})})
	ctx := s.EvalContext(map[string]cty.Value{"stage": bin, "var": cty.ObjectVal(map[string]cty.Value{"arch": cty.StringVal("amd64")})})
	for _, name := range []string{"a", "b"} {
		v, diags := s.Value(s.Module.Stages[0].Body.Attributes[name].Expr, ctx)
		if diags.HasErrors() || v.AsString() != "dist/yq" {
			t.Errorf("%s = %#v, %v", name, v, diags)
		}
	}
	_ = hcl.Diagnostics{}
}
