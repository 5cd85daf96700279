package pipelines

import (
	"fmt"
	"slices"
	"testing"

	"github.com/airbuild/airbuild/tasks/golang/gocmd"
	"github.com/airbuild/airbuild/tasks/sign"
)

// real plans a project with the stage types that airbuild has.
func real(files map[string]string) *fixture {
	f := &fixture{files: files}
	f.opts.Tasks = Tasks(&gocmd.Config{LookupEnv: func(string) (string, bool) { return "", false }}, &sign.Config{}, &ExternalSettings{})
	f.opts.Inputs.Git = noGit
	f.opts.Project.FindTool = func(name string) (string, error) { return "", fmt.Errorf("%s is not on PATH", name) }
	f.opts.Project.HostOS, f.opts.Project.HostArch = "linux", "amd64"
	return f
}

// The ready-made release works on any ordinary module: here one with nothing
// beside its sources, and no git.
func TestReadyMadeReleasePlans(t *testing.T) {
	f := real(map[string]string{
		"go.mod":          "module example.com/tool\n\ngo 1.26\n",
		"main.go":         "package main\n\nfunc main() {}\n",
		"cmd/yq/main.go":  "package main\n\nfunc main() {}\n",
		"Airbuildfile":    "pipeline \"release\" {\n  use     = \"go_release\"\n  version = \"v1.0.0\"\n}\n",
		"internal/x/x.go": "package x\n",
	})
	p := f.mustLoad(t)
	ids, _, err := p.Select(nil)
	if err != nil {
		t.Fatal(err)
	}
	steps := names(p, p.Graph.Closure(ids))
	if want := 3 + 12 + 12 + 1; len(steps) != want {
		t.Errorf("%d steps, want %d: %v", len(steps), want, steps)
	}
	if got := p.Stage("sums").Cells[0].Outputs; !slices.Equal(got, []string{"dist/checksums.txt"}) {
		t.Errorf("sums makes %v", got)
	}
	for _, s := range p.Graph.Steps {
		if s.Origin == "" || s.Stage == "" || s.Type == "" {
			t.Errorf("step %s: %+v", s.Name, s)
		}
	}
}

func TestReadyMadeReleaseWithVendorPlans(t *testing.T) {
	f := real(map[string]string{
		"go.mod":       "module example.com/tool\n\ngo 1.26\n",
		"main.go":      "package main\n\nfunc main() {}\n",
		"LICENSE":      "free\n",
		"Airbuildfile": "pipeline \"release\" {\n  use     = \"go_release\"\n  version = \"v1.0.0\"\n  vendor = true\n  platforms = [\"linux/amd64\"]\n}\n",
	})
	p := f.mustLoad(t)
	if got := needs(t, p, "bin[linux/amd64,tool]"); !slices.Equal(got, []string{"tidy", "vendor"}) {
		t.Errorf("bin needs %v", got)
	}
}

// The Airbuildfile of the documentation.
func TestExampleFilePlans(t *testing.T) {
	f := real(map[string]string{
		"go.mod":         "module example.com/yq\n\ngo 1.26\n",
		"cmd/yq/main.go": "package main\n\nfunc main() {}\n",
		"LICENSE":        "free\n",
		"README.md":      "# yq\n",
		"Airbuildfile": `
airbuild {
  required_version = ">= 0.1.0"
}

variable "version" {
  type        = string
  default     = "v4.1.0"
  env         = "CI_COMMIT_TAG"
  description = "Stamped into binaries and file names"
  validation {
    condition     = can(regex("^v", var.version))
    error_message = "The version starts with v."
  }
}

locals {
  platforms = ["linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64"]
}

toolchain "go" {
  version = "1.26.8"
}

stage "go_tidy" "tidy" {
  mode = "check"
}

stage "go_vendor" "vendor" {
  after = [stage.tidy]
}

stage "go_build" "bin" {
  matrix = {
    platform = local.platforms
    cmd      = ["yq"]
  }
  exclude = [{ platform = "windows/arm64" }]
  package = "./cmd/${matrix.cmd}"
  modules = stage.vendor
  output  = "${matrix.cmd}_${var.version}_${matrix.os}_${matrix.arch}${matrix.exe}"
  stamp   = { "main.version" = var.version }
  size {
    strip    = true
    trimpath = true
  }
}

stage "archive" "archives" {
  for_each = stage.bin
  format   = each.os == "windows" ? "zip" : "tar.gz"
  files    = [each.path, "LICENSE", "README.md"]
}

stage "checksum" "sums" {
  files = stage.archives.paths
}

pipeline "release" {
  description = "Everything we publish"
  stages      = [stage.sums]
}
`,
	})
	p := f.mustLoad(t)
	if got := names(p, p.Graph.Closure(p.Pipeline("release").Steps)); len(got) != 11 {
		t.Errorf("steps %v", got)
	}
	var outputs []string
	for _, c := range p.Stage("archives").Cells {
		outputs = append(outputs, c.Outputs...)
	}
	if outputs[3] != "dist/yq_v4.1.0_windows_amd64.zip" {
		t.Errorf("archives %v", outputs)
	}
}
