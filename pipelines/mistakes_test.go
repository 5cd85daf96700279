package pipelines

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestMistakes holds the diagnostics of every file in testdata/mistakes: an
// archive of a project, and under "want" what Load says of it.
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/mistakes/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			f, want, at := &fixture{files: map[string]string{}}, "", -1
			f.opts.Inputs.Git = noGit
			f.opts.Tasks = stubs()
			for i, part := range archive.Files {
				if part.Name == "want" {
					want, at = string(part.Data), i
				} else {
					f.files[part.Name] = string(part.Data)
				}
			}
			plan, diags := f.load()
			got := render(diags)
			if !diags.HasErrors() {
				t.Error("no error")
			}
			for name := range diags {
				if s := diags[name].Subject; s != nil && plan.Sources[s.Filename] == nil {
					t.Errorf("the plan has no source %s", s.Filename)
				}
			}
			if *update {
				part := txtar.File{Name: "want", Data: []byte(got)}
				if at < 0 {
					archive.Files = append(archive.Files, part)
				} else {
					archive.Files[at] = part
				}
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}
