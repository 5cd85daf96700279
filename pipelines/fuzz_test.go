package pipelines

import (
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/airbuild/airbuild/pipelines/internal/decode"
	"github.com/airbuild/airbuild/tasks"
)

// FuzzLoad plans whatever there is. It must not panic, and what it accepts
// must be a graph whose outputs stay in the project.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/mistakes/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatalf("%d seeds, %v", len(files), err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(archive.Files[0].Data))
	}
	f.Add(selectFile)
	f.Add("stage \"\" \"A\" {\n  resources {\n    A = 1\n  }\n}\n")
	f.Add("stage \"make\" \"a\" {\n  for_each = { a = stage.b, b = null }\n}\nstage \"make\" \"b\" {\n  when = false\n}\n")
	f.Add("stage \"make\" \"a\" {\n  matrix = { paths = [1], x = toset([true]) }\n  text = matrix.paths.y\n}\n")
	f.Fuzz(func(t *testing.T, src string) {
		all := stubs()
		all["make"], all["needy"] = fakeTask{}, needy{}
		opts := Options{Tasks: all}
		opts.Inputs.LookupEnv = func(string) (string, bool) { return "", false }
		opts.Inputs.Git = noGit
		opts.Project = tasks.Project{HostOS: "linux", HostArch: "amd64"}
		project := fstest.MapFS{"Airbuildfile": {Data: []byte(src)}, "LICENSE": {Data: []byte("x")}}
		p, diags := Load(project, "Airbuildfile", opts)
		if diags.HasErrors() {
			for _, d := range diags {
				if d.Subject != nil && p.Sources[d.Subject.Filename] == nil {
					t.Errorf("no source for %s", d.Subject.Filename)
				}
			}
			return
		}
		for _, s := range p.Stages {
			for _, c := range s.Cells {
				for _, out := range c.Outputs {
					if decode.LeavesRoot(out) || filepath.IsAbs(out) || out == "." {
						t.Errorf("%s makes %q", s.Name, out)
					}
				}
			}
		}
		if _, _, err := p.Select(nil); err == nil && len(p.Pipelines) == 0 {
			t.Error("no pipeline, and yet one is selected")
		}
	})
}
